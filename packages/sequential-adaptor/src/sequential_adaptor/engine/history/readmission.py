"""How a run that is retried, or a fork, comes to be due: at once, or through the queue that its root frame names."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from sequential_adaptor.engine.queues import places
from sequential_adaptor.engine.queues.passes import key_of, priority_of
from sequential_adaptor.engine.queues.settings import Place
from sequential_adaptor.engine.rules import lanes
from sequential_adaptor.records import StackRun

if TYPE_CHECKING:
    from sequential_adaptor.storage import Change, StorageAdapter


@dataclass(frozen=True, slots=True)
class Entry:
    """The ``fields`` of a root frame that goes on, and the ``news`` for its queue."""

    fields: dict[str, Any]
    news: Sequence[Change] = ()


async def entry(store: StorageAdapter, frame: StackRun, now: datetime) -> Entry:
    """Behind those that wait in its queue already; at once where it goes through none, or that is there no more."""
    found = lanes.queued(frame)
    if found is None:
        return Entry({"status": "pending", "due_at": now})
    place = Place(str(found["name"]), priority_of(frame), key_of(frame))
    if await store.get_stack_run(place.queue_id) is None:
        return Entry({"status": "pending", "due_at": now, "options": None, "parent_stack_run_id": None})
    waiting = {
        "status": "suspended_waiting_child",  # pending would mean due
        "due_at": None,
        "parent_stack_run_id": lanes.lane(place.queue_id, lanes.waiting(place.priority)),
        "options": {lanes.QUEUED: place.to_json()},
    }
    return Entry(waiting, places.arrival(place))
