"""When something that this process has stored becomes due."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable
from datetime import datetime

from sequential_adaptor.records import StackRun
from sequential_adaptor.storage.changes import Change, Update, Wake


class Agenda:
    """The times at which this process' own commits make something due; ``noted`` is called when there is a new one.

    Whoever keeps it need not ask the store for work before the next of them, or until the store itself has news.
    """

    def __init__(self) -> None:
        self.noted: Callable[[], object] = _nobody
        self._times: list[datetime] = []

    def note(self, changes: Iterable[Change], now: Callable[[], datetime]) -> None:
        """These are committed."""
        times = [due_at for change in changes if (due_at := _due_at(change, now)) is not None]
        for due_at in times:
            heapq.heappush(self._times, due_at)
        if times:
            self.noted()

    def has_come(self, now: datetime) -> bool:
        """Whether something has become due since the last time this was asked."""
        come = False
        while self._times and self._times[0] <= now:
            heapq.heappop(self._times)
            come = True
        return come

    def seconds(self, now: datetime, longest: float) -> float:
        """Seconds to the next time, ``longest`` at most."""
        return longest if not self._times else max(0.0, min(longest, (self._times[0] - now).total_seconds()))


def _due_at(change: Change, now: Callable[[], datetime]) -> datetime | None:
    if isinstance(change, Wake):
        return now()
    if isinstance(change, Update):
        due_at: datetime | None = change.changes.get("due_at")
        return due_at
    record = change.record
    if not isinstance(record, StackRun) or record.lease_expires_at is not None:
        return None
    return now() if record.due_at is None and record.status == "pending" else record.due_at


def _nobody() -> None:
    """Nobody wants to know."""
