"""How runs come into a queue, or wait for their start time: pure functions from what was asked to changes."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

from sequential_adaptor.engine import rules
from sequential_adaptor.engine.queues import passes
from sequential_adaptor.engine.queues.entrance import LEVEL
from sequential_adaptor.engine.queues.settings import Place
from sequential_adaptor.engine.rules import lanes
from sequential_adaptor.engine.rules.steps import GIVEN_BACK
from sequential_adaptor.records import StackRun, TaskFunction, time_from_text, time_to_text
from sequential_adaptor.storage.changes import Change, Create, Update, Wake
from sequential_adaptor.values import JSON

AT: Final = "at"
"""Where the ``options`` of a root frame have the time before which it does not start."""
_EPOCH: Final = datetime.fromisoformat("2000-01-01T00:00:00Z")
_OUTSIDE: Final[dict[str, Any]] = {"options": None, "parent_stack_run_id": None}


def submission(
    function: TaskFunction,
    run_id: str,
    input: JSON,
    *,
    place: Place | None = None,
    at: datetime | None = None,
    metadata: JSON = None,
    parent_stack_run_id: str | None = None,
) -> tuple[Change, ...]:
    """A new run of the function: due at once, at its start time, or when its queue admits it."""
    run, frame = rules.submission(function, run_id, input, metadata=metadata, parent_stack_run_id=parent_stack_run_id)
    if place is None and at is None:
        return run, frame
    entering = () if place is None or at is not None else arrival(place)
    return (run, Create(_placed(run_id, place, at)), *entering)


def arrival(place: Place) -> tuple[Change, ...]:
    """The queue hears of one more that waits, and of its priority if that may be a new one."""
    if place.priority == 0:
        return (Wake(place.queue_id),)
    level = StackRun(
        id=f"{place.queue_id}.p{place.priority}",
        task_run_id=place.queue_id,
        parent_stack_run_id=place.queue_id,
        operation=f"{LEVEL}{place.priority}",
        status="completed",
        created_at=_EPOCH,
        updated_at=_EPOCH,
        ended_at=_EPOCH,
    )
    return Create(level), Wake(place.queue_id)


def is_early(frame: StackRun, now: datetime) -> bool:
    """Whether the start time of the frame has not come."""
    at = start_of(frame)
    return at is not None and at > now


def outside(frame: StackRun, now: datetime) -> Update:
    """One that waits in a queue that is there no more is due without it."""
    expect = {"parent_stack_run_id": frame.parent_stack_run_id, "status": frame.status}
    return Update(StackRun, frame.id, {"due_at": now, **_OUTSIDE}, expect)


def back_to_place(frame: StackRun, now: datetime, *, has_queue: bool) -> tuple[Change, ...]:
    """Somebody who must not start yet, and was woken, waits on; one whose start time has come enters the queue.

    Where there is no such queue any more, it is due without. A ``Conflict`` where anything has happened to it since.
    """
    expect = {"wakes": frame.wakes, "parent_stack_run_id": frame.parent_stack_run_id}
    fields: dict[str, Any] = {"progress_token": frame.token, "due_at": None, **GIVEN_BACK}
    if is_early(frame, now):
        return (Update(StackRun, frame.id, {**fields, "due_at": start_of(frame)}, expect),)
    if not has_queue:
        return (Update(StackRun, frame.id, {**fields, **_OUTSIDE, "due_at": now}, expect),)
    if lanes.is_later(frame):
        entered = {**fields, "parent_stack_run_id": passes.waiting_lane(frame)}
        place = Place(str((lanes.queued(frame) or {})["name"]), passes.priority_of(frame), passes.key_of(frame))
        return (Update(StackRun, frame.id, entered, expect), *arrival(place))
    return (Update(StackRun, frame.id, fields, expect),)


def _placed(run_id: str, place: Place | None, at: datetime | None) -> StackRun:
    frame = rules.root_frame(run_id)
    if at is not None:
        frame = frame.replace(due_at=at, options={AT: time_to_text(at)})
    if place is None:
        return frame
    name = lanes.LATER if at is not None else lanes.waiting(place.priority)
    return frame.replace(
        status="suspended_waiting_child",  # pending would mean due
        parent_stack_run_id=lanes.lane(place.queue_id, name),
        options={**(frame.options or {}), lanes.QUEUED: place.to_json()},
    )


def start_of(frame: StackRun) -> datetime | None:
    """The time before which a run does not start, if it has one."""
    at = (frame.options or {}).get(AT)
    return None if at is None else time_from_text(at)
