"""Queues, and the places of runs in them. A queue is copied and never moved: runs go through it at both sides."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from typing import Any, Final

from sequential_adaptor import ids
from sequential_adaptor.engine.queues import passes, places
from sequential_adaptor.engine.queues.desk import RUNNER
from sequential_adaptor.engine.queues.settings import Place, name_of
from sequential_adaptor.engine.rules import lanes
from sequential_adaptor.errors import RecordExists
from sequential_adaptor.lifecycles import STACK_RUN
from sequential_adaptor.records import StackRun, TaskRun
from sequential_adaptor.storage import Change, StorageAdapter
from sequential_adaptor.storage.changes import Create
from sequential_adaptor.syncing.summary import Summary

_ARRIVING: Final = "arriving-"
"""What the lane of a parked frame begins with: the gate of the target lets in nobody who is not there yet."""


def is_queue(run: TaskRun) -> bool:
    """Whether the run is a queue."""
    return run.runner == RUNNER


def waiting_outside(frame: StackRun) -> StackRun:
    """A parked frame: its place is kept for it, and seen by no gate."""
    queue_id = lanes.queue_of(frame)
    if queue_id is None:
        return frame
    return frame.replace(parent_stack_run_id=lanes.lane(queue_id, f"{_ARRIVING}{_lane_of(frame)}"))


def entering(frame: StackRun) -> tuple[dict[str, Any], tuple[Change, ...]]:
    """What changes of a parked frame's place when it is released, and what its queue hears of it.

    One that has begun goes on in its lane, and is counted there until it ends; one whose start time has not come waits
    for that. Any other is a newcomer, whatever the gate of the source had decided.
    """
    queue_id, place = lanes.queue_of(frame), lanes.queued(frame)
    if queue_id is None or place is None:
        return {}, ()
    name = _lane_of(frame)
    if name == lanes.LATER or passes.is_taken_up(frame):
        return {"parent_stack_run_id": lanes.lane(queue_id, name)}, ()
    anew = Place(str(place["name"]), passes.priority_of(frame), passes.key_of(frame))
    options = {**frame.options, lanes.QUEUED: anew.to_json()}
    return {"parent_stack_run_id": passes.waiting_lane(frame), "options": options}, places.arrival(anew)


class Queues:
    """Brings queues to the target, and tells those of the source what has left them."""

    def __init__(self, source: StorageAdapter, target: StorageAdapter, summary: Summary) -> None:
        self._source, self._target, self._summary = source, target, summary

    async def bring(self, queue_id: str) -> bool:
        """Have the queue there; one that the target has keeps its settings. ``False`` where neither side has it."""
        here, there = await _gate(self._source, queue_id), await _gate(self._target, queue_id)
        if there is not None:
            self._compare(here, there)
        elif here is not None:
            await self._copy(here)
        return here is not None or there is not None

    async def missing(self, rows: Iterable[StackRun]) -> str | None:
        """Bring the queues of the rows; the name of one that neither side has."""
        for queue_id in _queues_of(rows):
            if not await self.bring(queue_id):
                return name_of(queue_id)
        return None

    async def news(self, rows: Iterable[StackRun]) -> list[Change]:
        """The queues of the source look again when the rows have left; one that is gone has nobody to let in."""
        open_rows = [row for row in rows if row.status not in STACK_RUN.ended]
        there = {id for id in _queues_of(open_rows) if await _gate(self._source, id) is not None}
        return [news for row in open_rows if lanes.queue_of(row) in there for news in lanes.news_for_queue(row)]

    async def _copy(self, frame: StackRun) -> None:
        """With what it remembers: the admissions of its last period count at the target as well."""
        run = TaskRun(id=frame.id, task_identifier=RUNNER, runner=RUNNER, status="suspended")
        anew = StackRun(
            id=frame.id,
            task_run_id=frame.id,
            status="suspended_waiting_child",
            options=frame.options,
            state=frame.state,
        )
        with suppress(RecordExists):  # somebody makes it there at this very moment
            await self._target.commit((Create(run), Create(anew)), id=ids.new_id())
            self._summary.queues.append(name_of(frame.id))

    def _compare(self, here: StackRun | None, there: StackRun) -> None:
        note = f"queue {name_of(there.id)} has other settings at the target, and keeps them"
        differs = here is not None and here.options != there.options
        if differs and note not in self._summary.notes:
            self._summary.notes.append(note)


async def _gate(store: StorageAdapter, queue_id: str) -> StackRun | None:
    """The frame of a queue; ``None`` where there is none, or a run that has its id and is something else."""
    frame = await store.get_stack_run(queue_id)
    return frame if frame is not None and passes.GATE in (frame.options or {}) else None


def _queues_of(rows: Iterable[StackRun]) -> list[str]:
    return sorted({id for row in rows if (id := lanes.queue_of(row)) is not None})


def _lane_of(frame: StackRun) -> str:
    """The lane of the frame, or the one that is kept for it."""
    return str(frame.parent_stack_run_id).partition(".")[2].removeprefix(_ARRIVING)
