"""Whether anything is left to do soon."""

from __future__ import annotations

from datetime import timedelta

from sequential_adaptor.engine.retrying import LONGEST_DELAY
from sequential_adaptor.engine.workbench import Workbench

_SOON = timedelta(seconds=LONGEST_DELAY)


async def is_idle(bench: Workbench) -> bool:
    """Nothing is due or held anywhere, and nothing will be within the longest back-off.

    A frame whose worker died counts as held until its lease ends: the one who waits here then goes on with it. Runs
    that wait for an event, or for a timer further away, do not count.
    """
    if await bench.store.query_task_runs({"status": ["pending", "running"]}, limit=1):
        return False
    if await bench.store.query_stack_runs({"status": "pending"}, limit=1):
        return False
    soon = bench.clock.now() + _SOON
    filter, cursor = {"status": "suspended_waiting_child"}, None
    while True:  # latest deadline first, those without one last
        page = await bench.store.query_stack_runs(
            filter, limit=1_000, order_by="due_at", newest_first=True, cursor=cursor
        )
        if any(frame.due_at is not None and frame.due_at <= soon for frame in page):
            return False
        cursor = page.cursor
        if cursor is None or page[-1].due_at is None:
            return True
