"""When and in which queue a child is to run, as a task says it."""

from __future__ import annotations

from datetime import datetime

from sequential_adaptor.engine.queues.settings import Place
from sequential_adaptor.records import check_time, time_to_text
from sequential_adaptor.values import JSON


def checked_place(*, at: datetime | None, queue: str | None, priority: int | None, key: str | None) -> dict[str, JSON]:
    """What a child's call stores of it; raised here, at the line of the call, where it cannot be right."""
    if at is not None:
        check_time(at, "at")
    Place(queue if queue is not None else "own", priority if priority is not None else 0, key)
    return {"at": None if at is None else time_to_text(at), "queue": queue, "priority": priority, "key": key}
