"""Asking a run to end; and ending it by force: in storage, with its children, whatever its holder does."""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, TypeAlias

from sequential_adaptor import ids, telemetry
from sequential_adaptor.engine import rules
from sequential_adaptor.engine.rules import lanes
from sequential_adaptor.errors import Conflict, RecordExists, RecordNotFound
from sequential_adaptor.lifecycles import STACK_RUN, TASK_RUN
from sequential_adaptor.records import StackRun, TaskRun
from sequential_adaptor.runners.base import Ending

if TYPE_CHECKING:
    from sequential_adaptor.storage import Change, StorageAdapter

    Commit: TypeAlias = Callable[[tuple[Change, ...]], Awaitable[None]]


async def ask_to_end(store: StorageAdapter, commit: Commit, run_id: str, now: datetime) -> None:
    """Ask a run to end. Once is enough, so asking again is no error."""
    try:
        await commit(rules.cancel_asked(run_id, now))
    except RecordExists:
        asked = await store.get_stack_run(rules.cancel_id(run_id))
        if asked is not None and rules.is_undone(asked):
            with contextlib.suppress(Conflict):  # somebody else has asked meanwhile
                await commit(rules.cancel_asked_again(asked, now))


async def commit_ends(commit: Commit, changes: Sequence[Change]) -> None:
    """Commit the ends of runs. They do not need their queues: one that is there no more is not told."""
    while True:
        try:
            return await commit(tuple(changes))
        except RecordNotFound as missing:
            without = lanes.ended_without(missing.id, changes)
            if without is None:
                raise
            changes = without


async def cancel_at_once(store: StorageAdapter, run_id: str) -> None:
    """End a run and its children in one commit, and tell the parent that waits for it; one that has ended stays.

    The holder may have made calls while that was on its way: what is still open below a run that has ended ends too.
    """
    while True:
        run = await store.get_task_run(run_id)
        if run is None:
            raise RecordNotFound("TaskRun", run_id)
        try:
            changes = await _end_of_tree(store, run)
            if not changes:
                return
            if run.status not in TASK_RUN.ended:
                changes += await _news_for_parent(store, run)
            await commit_ends(lambda ends: store.commit(ends, id=ids.new_id()), changes)
        except Conflict:
            continue  # it has moved meanwhile
        if telemetry.active is not None:
            await telemetry.active.ended_by_force(store, changes)


async def _end_of_tree(store: StorageAdapter, run: TaskRun) -> list[Change]:
    now = await store.now()
    rows = await store.query_stack_runs({"task_run_id": run.id})
    open_rows = [row for row in rows if row.status not in STACK_RUN.ended]
    calls = [row for row in open_rows if row.id != run.id]
    changes: list[Change] = []
    for call in calls:
        child = await store.get_task_run(rules.child_id(call)) if rules.is_child(call) else None
        if child is not None and child.parent_stack_run_id == call.id:
            changes += await _end_of_tree(store, child)
    if run.status in TASK_RUN.ended:
        return [*changes, *rules.left_open(calls, now)]
    frame = next((row for row in rows if row.id == run.id), None)
    if frame is not None and frame.status in STACK_RUN.ended:  # and so has the run, since it was read
        raise Conflict(StackRun.__name__, run.id, "status", "open", frame.status)
    return [*changes, *rules.cancelled_at_once(run, frame, calls, now)]


async def _news_for_parent(store: StorageAdapter, run: TaskRun) -> tuple[Change, ...]:
    call = await waiting_parent(store, run)
    if call is None:
        return ()
    return rules.child_ended(call, run, Ending("cancelled", error=rules.BY_FORCE), await store.now())


async def waiting_parent(store: StorageAdapter, run: TaskRun) -> StackRun | None:
    """The call that waits for the run; ``None`` where nobody does, or does any more."""
    if run.parent_stack_run_id is None:
        return None
    call = await store.get_stack_run(run.parent_stack_run_id)
    return None if call is None or call.status in STACK_RUN.ended else call
