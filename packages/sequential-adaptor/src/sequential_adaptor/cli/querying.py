"""Finding runs."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sequential_adaptor.cli.failures import CommandFailed
from sequential_adaptor.cli.families import Child, children_of
from sequential_adaptor.cli.flow_states import states_of
from sequential_adaptor.cli.waits import Wait, wait_of
from sequential_adaptor.engine import Engine
from sequential_adaptor.engine.queues import desk as queues
from sequential_adaptor.engine.retention.tombstones import check_id_is_free
from sequential_adaptor.engine.schedules import desk as schedules
from sequential_adaptor.errors import RecordNotFound
from sequential_adaptor.records import StackRun, TaskRun

if TYPE_CHECKING:
    from sequential_adaptor.runners.flow.watching import FlowView

PAGE = 500
_FIXTURES = frozenset({queues.RUNNER, schedules.RUNNER})
"""What is stored as a run, and is nobody's: it has commands of its own."""


async def runs(engine: Engine, filter: Mapping[str, Any], limit: int | None) -> AsyncIterator[TaskRun]:
    """The runs that match, newest first, read a page at a time; queues and schedules only where they are asked for."""
    cursor, left = None, limit
    while left is None or left > 0:
        size = PAGE if left is None else min(PAGE, left)
        page = await engine.adapter.query_task_runs(filter, limit=size, newest_first=True, cursor=cursor)
        found = [run for run in page if run.runner not in _FIXTURES or "task_identifier" in filter]
        for run in found:
            yield run
        cursor = page.cursor
        if cursor is None:
            return
        left = None if left is None else left - len(found)


async def run_of(engine: Engine, run_id: str | None) -> TaskRun:
    """The run of that id; without one, the newest there is."""
    if run_id is not None:
        found = await engine.adapter.get_task_run(run_id)
        if found is None:
            await check_id_is_free(engine.adapter, run_id)
            raise RecordNotFound("run", run_id)
        return found
    async for run in runs(engine, {}, 1):
        return run
    raise CommandFailed("there are no runs yet", "Make one: sequential new hello && sequential run hello.py")


def check_is_no_fixture(run: TaskRun) -> None:
    """Refuse a queue and a schedule."""
    if run.runner in _FIXTURES:
        name = run.id.removeprefix(f"{run.runner}-")
        raise CommandFailed(f"run {run.id} is a {run.runner}", f"Delete it: sequential {run.runner} delete {name}")


@dataclass(frozen=True, slots=True)
class Story:
    """A run with all that is stored of it.

    ``calls`` in the order in which they began, ``events`` (timers that went off, events that were sent, a cancel) in
    theirs, and the ``log`` that it printed, line by line. ``children`` are the runs that its calls have started,
    ``flow`` the states that it has been in, if it has any; ``wait`` is what keeps it from beginning.
    """

    run: TaskRun
    calls: Sequence[StackRun]
    events: Sequence[StackRun]
    log: Sequence[str]
    children: Sequence[Child]
    flow: FlowView | None
    wait: Wait | None


async def story_of(engine: Engine, run: TaskRun) -> Story:
    """What there is to tell of a run."""
    rows = await engine.handle(run.id).calls()
    frame = await engine.adapter.get_stack_run(run.id)
    calls = [row for row in rows if row.sequence is not None]
    return Story(
        run=run,
        calls=calls,
        events=[row for row in rows if row.sequence is None],
        log=_log_lines(frame, rows),
        children=await children_of(engine, calls),
        flow=await states_of(engine, run),
        wait=await wait_of(engine, frame, await engine.adapter.now()),
    )


def _log_lines(frame: StackRun | None, rows: Sequence[StackRun]) -> list[str]:
    """What was printed up to the first outcome is with the frame, everything later with the outcome that led to it."""
    taken = sorted((row for row in rows if row.position is not None), key=lambda row: row.position or 0)
    written = [line for row in (frame, *taken) if row is not None for line in row.log or ()]
    return "".join(str(line) if str(line).endswith("\n") else f"{line}\n" for line in written).splitlines()
