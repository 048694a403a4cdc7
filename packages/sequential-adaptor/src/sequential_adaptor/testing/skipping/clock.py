"""A clock that runs as real time does, and jumps when it is told to; and who waits for it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sequential_adaptor.engine.holding.clock import StoreClock


@dataclass(eq=False, slots=True)
class _Sleeper:
    until: datetime | None
    event: asyncio.Event
    holds: bool


class SkippedTime:
    """What time it is, for a store and all engines on it.

    ``stirs`` counts whatever may have changed who waits for what; ``stirred`` is called each time.
    """

    def __init__(self, start: datetime | None = None) -> None:
        self._start = start or datetime.now(UTC)
        self._began = time.monotonic()
        self._skipped = timedelta()
        self._sleepers: set[_Sleeper] = set()
        self._watchers: set[Callable[[], object]] = set()
        self.stirs = 0

    def now(self) -> datetime:
        """The time; it goes on by itself, as fast as real time does."""
        return self._start + timedelta(seconds=time.monotonic() - self._began) + self._skipped

    def jump(self, to: datetime) -> None:
        """Be there at once; never back. Whoever slept until then is woken."""
        self._skipped += max(timedelta(), to - self.now())
        for sleeper in self._sleepers:
            if sleeper.until is not None and sleeper.until <= to:
                sleeper.event.set()
        self.stir()

    # ---- who waits

    def stir(self) -> None:
        """Something has changed."""
        self.stirs += 1
        for watcher in self._watchers:
            watcher()

    @contextmanager
    def watched(self, watcher: Callable[[], object]) -> Iterator[None]:
        """Have ``watcher`` called at every stir."""
        self._watchers.add(watcher)
        try:
            yield
        finally:
            self._watchers.discard(watcher)

    @contextmanager
    def asleep(self, event: asyncio.Event, until: datetime | None, *, holds: bool) -> Iterator[None]:
        """Somebody waits for the event, or that time; ``holds`` says that it holds a frame."""
        sleeper = _Sleeper(until, event, holds)
        self._sleepers.add(sleeper)
        self.stir()
        try:
            yield
        finally:
            self._sleepers.discard(sleeper)
            self.stir()

    def is_waking(self) -> bool:
        """Whether one of those who wait is about to move."""
        return any(sleeper.event.is_set() for sleeper in self._sleepers)

    def holders_asleep(self) -> int:
        """How many holders of frames wait."""
        return sum(sleeper.holds for sleeper in self._sleepers)

    def next_alarm(self) -> datetime | None:
        """When the first of those who wait is to be woken."""
        return min((sleeper.until for sleeper in self._sleepers if sleeper.until is not None), default=None)


class SkippingClock(StoreClock):
    """The clock of an engine, which is its store's own, and on which waiting is skipped."""

    def __init__(self, time: SkippedTime) -> None:
        super().__init__(time.now())
        self._time = time

    def now(self) -> datetime:
        return self._time.now()

    def set(self, now: datetime, asked: float) -> None:
        """There is nothing that could drift."""

    async def sleep(self, seconds: float) -> None:
        event, until = asyncio.Event(), self.now() + timedelta(seconds=seconds)
        with self._time.asleep(event, until, holds=False):
            await super().wait(event, until)

    async def wait(self, event: asyncio.Event, until: datetime | None) -> None:
        with self._time.asleep(event, until, holds=True):
            await super().wait(event, until)
