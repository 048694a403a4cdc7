"""Whether anything is left to do soon."""

from __future__ import annotations

from datetime import datetime, timedelta

from sequential_adaptor.engine.holding.retrying import LONGEST_DELAY
from sequential_adaptor.engine.holding.workbench import Workbench

_SOON = timedelta(seconds=LONGEST_DELAY)


async def is_idle(bench: Workbench) -> bool:
    """Nothing is due or held anywhere, and nothing will be within the longest back-off.

    A frame whose worker died counts as held until its lease ends: the one who waits here then goes on with it. Runs
    that wait for an event, for their queue, or for a time further away, do not count.
    """
    if await bench.store.query_task_runs({"status": "running"}, limit=1):
        return False
    soon = bench.clock.now() + _SOON
    for status in ("pending", "suspended_waiting_child"):
        if await _is_any_due(bench, status, soon):
            return False
    return True


async def _is_any_due(bench: Workbench, status: str, soon: datetime) -> bool:
    filter, cursor = {"status": status}, None
    while True:  # latest deadline first, those without one last
        page = await bench.store.query_stack_runs(
            filter, limit=1_000, order_by="due_at", newest_first=True, cursor=cursor
        )
        if any(frame.due_at is not None and frame.due_at <= soon for frame in page):
            return True
        cursor = page.cursor
        if cursor is None or page[-1].due_at is None:
            return False
