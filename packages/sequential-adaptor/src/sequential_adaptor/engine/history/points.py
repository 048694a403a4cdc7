"""Reading a run's history, and finding the call in it that somebody means."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sequential_adaptor.errors import CallNotFound, CannotGoBack, RecordNotFound, TaskFunctionNotFound
from sequential_adaptor.records import StackRun, TaskRun
from sequential_adaptor.runners.plain import standing_calls

if TYPE_CHECKING:
    from sequential_adaptor.storage import StorageAdapter


@dataclass(frozen=True, slots=True)
class Story:
    """A run, its root frame, the ``rows`` below that, and ``everything`` that is stored of it."""

    run: TaskRun
    frame: StackRun
    rows: Sequence[StackRun]
    everything: Sequence[StackRun]

    @property
    def calls(self) -> list[StackRun]:
        """Its calls, in the order in which the code makes them."""
        return sorted((row for row in self.rows if row.sequence is not None), key=lambda row: row.sequence or 0)


async def read_story(store: StorageAdapter, run_id: str) -> Story:
    """All that is stored of a run; :class:`RecordNotFound` where there is none."""
    run, frame = await store.get_task_run(run_id), await store.get_stack_run(run_id)
    if run is None or frame is None:
        raise RecordNotFound("TaskRun", run_id)
    everything = await store.query_stack_runs({"task_run_id": run_id})
    return Story(run, frame, [row for row in everything if row.parent_stack_run_id == run_id], everything)


def call_at(story: Story, at: int | str) -> StackRun:
    """The call of that number or id; an error that lists the calls where there is none."""
    wanted = str(at)
    for call in story.calls:
        if wanted in (str(call.sequence), call.id):
            return call
    raise CallNotFound(story.run.id, at, [(call.sequence or 0, call.operation) for call in story.calls])


def check_runner_goes_back(story: Story, calls: Iterable[StackRun]) -> None:
    """Refuse what a runner cannot do that keeps its last state only, and no way back to an earlier one."""
    standing = standing_calls(story.frame.state)
    if standing is None:
        return
    for call in calls:
        if call.sequence not in standing:
            names = ", ".join(str(number) for number in sorted(standing)) or "none"
            raise CannotGoBack(
                story.run.id,
                f"cannot go back to call {call.sequence}: its runner, {story.run.runner!r}, keeps its last state only,"
                f" and that waits for the calls {names}",
            )


async def current_version(store: StorageAdapter, run: TaskRun) -> str:
    """The version of the run's function that is current now."""
    function = await store.get_task_function(run.task_identifier)
    if function is None:
        raise TaskFunctionNotFound(run.task_identifier)
    if function.runner != run.runner:
        raise CannotGoBack(
            run.id,
            f"was begun by the runner {run.runner!r}, and {run.task_identifier} is run by {function.runner!r} now",
        )
    return function.version
