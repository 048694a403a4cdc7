"""``sync``: one store into another."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from sequential_adaptor.errors import ConfigurationError, RecordNotFound
from sequential_adaptor.lifecycles import STACK_RUN
from sequential_adaptor.records import StackRun
from sequential_adaptor.storage import StorageAdapter
from sequential_adaptor.syncing import rules
from sequential_adaptor.syncing.belongings import Functions, copy_keys, identifiers
from sequential_adaptor.syncing.queues import is_queue
from sequential_adaptor.syncing.reading import stack_runs, task_runs
from sequential_adaptor.syncing.runs import RunMover, RunsInFlight
from sequential_adaptor.syncing.summary import Summary


@dataclass(frozen=True, slots=True)
class Selection:
    """Which runs: all, those of a ``task``, or one; with ``ended_only`` none that would have to be moved."""

    task: str | None = None
    run: str | None = None
    ended_only: bool = False

    @property
    def filter(self) -> dict[str, Any]:
        """The same as a filter for a query."""
        wanted = {"task_identifier": self.task, "id": self.run}
        return {name: value for name, value in wanted.items() if value is not None}


EVERYTHING: Final = Selection()


async def sync(
    source: StorageAdapter,
    target: StorageAdapter,
    selection: Selection = EVERYTHING,
    *,
    where: str = "another storage",
    on_progress: Callable[[Summary], None] = lambda _: None,
) -> Summary:
    """Copy functions, keystore, queues, and what has ended; move what has not. Run again, it does what is left to do.

    Raises :class:`RunsInFlight` before anything is written where workers hold runs that would be moved. A run that
    cannot be taken over is left as it is, and named in ``Summary.refused``.
    """
    if source is target:
        raise ConfigurationError("source and target are one store")
    summary = Summary()
    await _check_selected(source, selection)
    functions = Functions(source, target, summary)
    if not selection.filter:
        for identifier in await identifiers(source, summary):
            await functions.bring(identifier)
    await copy_keys(source, target, summary)
    mover = RunMover(source, target, functions, where, summary, ended_only=selection.ended_only)
    async for run in task_runs(source, selection.filter):
        await mover.take(run)
        on_progress(summary)
    return summary


async def _check_selected(source: StorageAdapter, selection: Selection) -> None:
    if selection.run is not None and await source.get_task_run(selection.run) is None:
        raise RecordNotFound("TaskRun", selection.run)
    if selection.ended_only:
        return
    now = await source.now()
    open_rows = stack_runs(source, {"status": STACK_RUN.open})
    held = [row async for row in open_rows if rules.is_held(row, now) and await _is_selected(source, row, selection)]
    if held:
        raise RunsInFlight(held)


async def _is_selected(source: StorageAdapter, row: StackRun, selection: Selection) -> bool:
    run = await source.get_task_run(row.task_run_id)
    if run is None or is_queue(run):
        return False  # a queue is never moved: its gate may be looking at it
    return all(getattr(run, name) == value for name, value in selection.filter.items())
