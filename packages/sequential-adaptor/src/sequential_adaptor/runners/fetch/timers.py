"""The timers of a task's loop: they wait until the frame lets them go off."""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Callable
from contextvars import Context
from typing import Any


class Timer(asyncio.TimerHandle):
    """A timer under a number that is the same on every replay."""

    __slots__ = ("number",)

    _scheduled: bool

    def __init__(
        self,
        number: int,
        when: float,
        callback: Callable[..., object],
        args: tuple[Any, ...],
        loop: asyncio.AbstractEventLoop,
        context: Context | None,
    ) -> None:
        self.number = number
        super().__init__(when, callback, args, loop, context)
        self._scheduled = True  # so that the loop hears of it when the timer is cancelled


class Timers:
    """Those that are neither gone off nor cancelled, by number."""

    __slots__ = ("_heap", "_waiting")

    def __init__(self) -> None:
        self._waiting: dict[int, Timer] = {}
        self._heap: list[tuple[float, int]] = []

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, timer: Timer) -> None:
        """Wait for a timer."""
        self._waiting[timer.number] = timer
        heapq.heappush(self._heap, (timer.when(), timer.number))

    def forget(self, number: int) -> None:
        """It is cancelled."""
        self._waiting.pop(number, None)

    def clear(self) -> None:
        """Forget them all."""
        self._waiting.clear()
        self._heap.clear()

    def earliest(self) -> float | None:
        """When the first one is due, in seconds since the task began."""
        while self._heap and self._heap[0][1] not in self._waiting:
            heapq.heappop(self._heap)
        return self._heap[0][0] if self._heap else None

    def recorded(self, numbers: list[int]) -> list[Timer]:
        """Take out those that went off when this was recorded, in that order."""
        return [self._take(number) for number in numbers if number in self._waiting]

    def due(self, now: float) -> list[Timer]:
        """Take out those that are due, by time and then as they were made, as asyncio has them; else the earliest."""
        found: list[Timer] = []
        while (when := self.earliest()) is not None and (when <= now or not found):
            found.append(self._take(self._heap[0][1]))
        return found

    def _take(self, number: int) -> Timer:
        timer = self._waiting.pop(number)
        timer._scheduled = False
        return timer
