"""Reading runs with all that belongs to them, page by page."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any

from sequential_adaptor.records import StackRun, TaskRun
from sequential_adaptor.storage import StorageAdapter
from sequential_adaptor.syncing.rules import has_ended

PAGE = 500


@dataclass(frozen=True, slots=True)
class Whole:
    """A run (``None`` where only stack runs of it are there yet) with all its stack runs."""

    run: TaskRun | None
    rows: tuple[StackRun, ...]

    @property
    def present(self) -> Mapping[tuple[type, str], TaskRun | StackRun]:
        """Every record by its kind and id."""
        found: dict[tuple[type, str], TaskRun | StackRun] = {(StackRun, row.id): row for row in self.rows}
        return found if self.run is None else {**found, (TaskRun, self.run.id): self.run}


async def task_runs(store: StorageAdapter, filter: Mapping[str, Any]) -> AsyncIterator[TaskRun]:
    """The runs that match, oldest first."""
    cursor = None
    while True:
        page = await store.query_task_runs(filter, limit=PAGE, cursor=cursor)
        for run in page:
            yield run
        if (cursor := page.cursor) is None:
            return


async def stack_runs(store: StorageAdapter, filter: Mapping[str, Any]) -> AsyncIterator[StackRun]:
    """The stack runs that match, oldest first."""
    cursor = None
    while True:
        page = await store.query_stack_runs(filter, limit=PAGE, cursor=cursor)
        for row in page:
            yield row
        if (cursor := page.cursor) is None:
            return


async def whole(store: StorageAdapter, run_id: str) -> Whole:
    """What the store has of a run.

    The run is read first: whatever happens to it in between is seen in its stack runs, or refuses the commit that is
    based on them.
    """
    run = await store.get_task_run(run_id)
    return Whole(run, tuple([row async for row in stack_runs(store, {"task_run_id": run_id})]))


async def family(store: StorageAdapter, run_id: str) -> dict[str, Whole]:
    """An unfinished run with its unfinished children, and whoever waits for it, and theirs in turn."""
    found: dict[str, Whole] = {}
    asked = [run_id]
    while asked:
        id = asked.pop()
        if id in found:
            continue
        member = await whole(store, id)
        if member.run is None or has_ended(member.run):
            continue
        found[id] = member
        asked += await _relatives(store, member.run, member.rows)
    return found


async def _relatives(store: StorageAdapter, run: TaskRun, rows: tuple[StackRun, ...]) -> list[str]:
    calls = [row.id for row in rows if not has_ended(row) and not row.is_frame]
    found = [child.id async for child in task_runs(store, {"parent_stack_run_id": calls})] if calls else []
    if run.parent_stack_run_id is not None:
        call = await store.get_stack_run(run.parent_stack_run_id)
        found += [] if call is None or has_ended(call) else [call.task_run_id]
    return found
