"""A task's clock: it begins at ``started_at`` and stands at the last thing that has happened to the task."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta

_LAST = datetime.max.replace(tzinfo=UTC)


class Clock:
    """``now`` is an aware UTC datetime; ``elapsed`` the seconds since the beginning, the time of the task's loop."""

    __slots__ = ("_paused", "elapsed", "now", "started_at")

    def __init__(self, started_at: datetime) -> None:
        self.started_at = self.now = started_at
        self.elapsed = 0.0
        self._paused = timedelta(0)

    def move(self, to: datetime) -> None:
        """Move on to ``to``; never back."""
        if to > self.now:
            self.now = to
            self.elapsed = (to - self.started_at - self._paused).total_seconds()

    def pause(self, to: datetime) -> None:
        """Nothing ran until ``to``, timers as little as the task."""
        if to > self.now:
            self._paused += to - self.now
            self.now = to

    def at(self, elapsed: float) -> datetime | None:
        """The point in time at which ``elapsed`` is reached, ``None`` where that is beyond the calendar."""
        begun = self.started_at + self._paused
        if not math.isfinite(elapsed) or elapsed > (_LAST - begun).total_seconds() - 1:
            return None
        return begun + timedelta(microseconds=math.ceil(round(elapsed * 1e6, 3)))
