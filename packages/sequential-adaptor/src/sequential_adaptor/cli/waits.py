"""What keeps a run from beginning: its queue, or its start time."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sequential_adaptor.engine import Engine
from sequential_adaptor.engine.queues import desk, places
from sequential_adaptor.engine.rules import lanes
from sequential_adaptor.records import StackRun, time_to_text
from sequential_adaptor.values import JSON


@dataclass(frozen=True, slots=True)
class Wait:
    """``queue`` is the one that the run goes through, ``before`` how many are before it there (counted up to 1,000);
    ``at`` is the time before which it does not start."""

    queue: str | None
    before: int | None
    at: datetime | None

    def as_json(self) -> JSON:
        """The wait as ``--json`` prints it."""
        return {"queue": self.queue, "before": self.before, "at": None if self.at is None else time_to_text(self.at)}

    def __str__(self) -> str:
        if self.at is not None:
            return f"starts at {self.at.astimezone():%Y-%m-%d %H:%M:%S %z}"
        more = "+" if self.before is not None and self.before >= desk.MOST_COUNTED else ""
        return f"{self.queue}, {self.before}{more} before it"


async def wait_of(engine: Engine, frame: StackRun | None, now: datetime) -> Wait | None:
    """What a run waits for, ``None`` where it may begin or has begun."""
    if frame is None or frame.options is None or frame.ended_at is not None:
        return None
    place = lanes.queued(frame)
    queue = None if place is None else str(place["name"])
    if (at := places.start_of(frame)) is not None and at > now:
        return Wait(queue, None, at)
    before = await desk.ahead(engine.adapter, frame)
    return None if before is None else Wait(queue, before, None)
