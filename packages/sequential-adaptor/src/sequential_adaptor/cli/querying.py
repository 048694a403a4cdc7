"""Finding runs."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sequential_adaptor.cli.failures import CommandFailed
from sequential_adaptor.engine import Engine
from sequential_adaptor.errors import RecordNotFound
from sequential_adaptor.records import StackRun, TaskRun

PAGE = 500


async def runs(engine: Engine, filter: Mapping[str, Any], limit: int | None) -> AsyncIterator[TaskRun]:
    """The runs that match, newest first, read a page at a time."""
    cursor, left = None, limit
    while left is None or left > 0:
        size = PAGE if left is None else min(PAGE, left)
        page = await engine.adapter.query_task_runs(filter, limit=size, newest_first=True, cursor=cursor)
        for run in page:
            yield run
        cursor = page.cursor
        if cursor is None:
            return
        left = None if left is None else left - len(page)


async def run_of(engine: Engine, run_id: str | None) -> TaskRun:
    """The run of that id; without one, the newest there is."""
    if run_id is not None:
        found = await engine.adapter.get_task_run(run_id)
        if found is None:
            raise RecordNotFound("run", run_id)
        return found
    async for run in runs(engine, {}, 1):
        return run
    raise CommandFailed("there are no runs yet", "Make one: sequential new hello && sequential run hello.py")


@dataclass(frozen=True, slots=True)
class Story:
    """A run with all that is stored of it.

    ``calls`` in the order in which they began, ``events`` (timers that went off, events that were sent, a cancel) in
    theirs, and the ``log`` that it printed, line by line.
    """

    run: TaskRun
    calls: Sequence[StackRun]
    events: Sequence[StackRun]
    log: Sequence[str]


async def story_of(engine: Engine, run: TaskRun) -> Story:
    """What there is to tell of a run."""
    rows = await engine.handle(run.id).calls()
    frame = await engine.adapter.get_stack_run(run.id)
    return Story(
        run=run,
        calls=[row for row in rows if row.sequence is not None],
        events=[row for row in rows if row.sequence is None],
        log=_log_lines(frame, rows),
    )


def _log_lines(frame: StackRun | None, rows: Sequence[StackRun]) -> list[str]:
    """What was printed up to the first outcome is with the frame, everything later with the outcome that led to it."""
    taken = sorted((row for row in rows if row.position is not None), key=lambda row: row.position or 0)
    written = [line for row in (frame, *taken) if row is not None for line in row.log or ()]
    return "".join(str(line) if str(line).endswith("\n") else f"{line}\n" for line in written).splitlines()
