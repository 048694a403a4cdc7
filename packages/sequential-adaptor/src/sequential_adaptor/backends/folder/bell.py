"""The bell: wakes those who wait for work, from whichever thread."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable

POLL = 0.01
"""Seconds between two looks at the journal for what other processes write: one small read each."""


class Bell:
    """Rung when records have changed. A ring that nobody waits for is kept for the next who does."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._rung = False
        self._rings = 0
        self._waiting: dict[asyncio.Event, asyncio.AbstractEventLoop] = {}

    def ring(self) -> None:
        """Wake everybody."""
        with self._lock:
            self._rung = True
            self._rings += 1
            waiting = list(self._waiting.items())
        for event, loop in waiting:
            try:
                loop.call_soon_threadsafe(event.set)
            except RuntimeError:  # that loop is closed, and so is whoever waited on it
                continue

    async def wait(self, timeout: float, look: Callable[[], bool]) -> None:
        """Until the bell rings, or ``look`` (called every ``POLL`` seconds) finds something, or the time is up."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout
        event = asyncio.Event()
        with self._lock:
            rings = self._rings - self._rung
            self._waiting[event] = loop
        try:
            while self._rings == rings and not look() and loop.time() < deadline:
                timer = loop.call_later(min(POLL, max(0.0, deadline - loop.time())), event.set)
                await event.wait()
                timer.cancel()
                event.clear()
        finally:
            with self._lock:
                self._rung = False
                del self._waiting[event]
