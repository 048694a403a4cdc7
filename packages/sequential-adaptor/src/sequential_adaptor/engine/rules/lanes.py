"""Where a run stands that goes through a queue: the ``parent_stack_run_id`` of its root frame names its lane.

A lane is ``<queue run>.<lane>``; every backend finds the frames of a lane, oldest first, by the index that finds the
calls of a frame. A root frame that goes through no queue has no lane, and costs nothing here.

- ``later``: its start time has not come.
- ``w<priority>``: it waits. ``k<key>.<priority>``: it waits, and one of the same key is further on.
- ``in``: it was admitted, and holds a slot until it ends.
- ``c``: it was admitted by a queue without a limit, which it leaves when it is taken up; with a key it holds that until
  it ends, in ``h<key>``.
- ``out``: it had a key, and has ended.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from sequential_adaptor.records import StackRun
from sequential_adaptor.storage.changes import Change, Create, Update, Wake
from sequential_adaptor.values import JSON

QUEUED: Final = "queue"
"""Where the ``options`` of a root frame say what queue it goes through: ``{"name", "priority", "key"?}``."""

LATER, HELD, CALLED, RELEASED = "later", "in", "c", "out"


def queued(frame: StackRun) -> Mapping[str, JSON] | None:
    """What a root frame says of its queue, ``None`` where it goes through none."""
    if frame.options is None or not isinstance(frame.options, dict):
        return None
    found = frame.options.get(QUEUED)
    return found if isinstance(found, dict) else None


def lane(queue_id: str, name: str) -> str:
    """A lane of a queue."""
    return f"{queue_id}.{name}"


def waiting(priority: int) -> str:
    """Those of a priority that wait."""
    return f"w{priority}"


def parked(key: str, priority: int) -> str:
    """Those of a key and a priority that wait for others of the same key."""
    return f"k{_short(key)}.{priority}"


def holding(key: str) -> str:
    """The one of a key that is further on, where the queue has no limit."""
    return f"h{_short(key)}"


def queue_of(frame: StackRun) -> str | None:
    """The id of the queue's run in whose lane the frame is."""
    if frame.parent_stack_run_id is None or queued(frame) is None:
        return None
    return frame.parent_stack_run_id.partition(".")[0]


def is_admitted(frame: StackRun) -> bool:
    """Whether nothing keeps the frame from being taken up."""
    if queue_of(frame) is None:
        return True
    name = _name(frame)
    return name in (HELD, CALLED) or name.startswith("h")


def is_later(frame: StackRun) -> bool:
    """Whether the frame waits for its start time, and enters its queue then."""
    return queue_of(frame) is not None and _name(frame) == LATER


def taken_up(frame: StackRun) -> dict[str, Any]:
    """What changes of a frame's place when a worker takes it up."""
    queue_id, place = queue_of(frame), queued(frame)
    if queue_id is None or place is None or _name(frame) != CALLED:
        return {}
    key = place.get("key")
    return {"parent_stack_run_id": None if key is None else lane(queue_id, holding(str(key)))}


def left(frame: StackRun) -> dict[str, Any]:
    """What changes of a frame's place when it ends, wherever it was in its queue."""
    queue_id, place = queue_of(frame), queued(frame)
    if queue_id is None or place is None:
        return {}
    keyed = place.get("key") is not None and _name(frame) != LATER
    return {"parent_stack_run_id": lane(queue_id, RELEASED) if keyed else None}


def news_for_queue(frame: StackRun) -> tuple[Change, ...]:
    """The queue looks again when a frame has left it."""
    queue_id = queue_of(frame)
    return () if queue_id is None else (Wake(queue_id),)


def ended_without(queue_id: str, changes: Sequence[Change]) -> list[Change] | None:
    """The same ends of runs where their queue is there no more; ``None`` where they need what is missing."""
    if Wake(queue_id) not in changes or any(_enters(queue_id, change) for change in changes):
        return None
    return [_outside(queue_id, change) for change in changes if change != Wake(queue_id)]


def _enters(queue_id: str, change: Change) -> bool:
    return isinstance(change, Create) and (change.record.parent_stack_run_id or "").partition(".")[0] == queue_id


def _outside(queue_id: str, change: Change) -> Change:
    """Nobody would see that the run has ended: it is not kept for that."""
    if isinstance(change, Update) and change.changes.get("parent_stack_run_id") == lane(queue_id, RELEASED):
        return replace(change, changes={**change.changes, "parent_stack_run_id": None})
    return change


def _name(frame: StackRun) -> str:
    assert frame.parent_stack_run_id is not None  # asked of frames in a lane only
    return frame.parent_stack_run_id.partition(".")[2]


def _short(key: str) -> str:
    """A key may be any text, and an id may not."""
    return hashlib.sha256(key.encode()).hexdigest()[:32]
