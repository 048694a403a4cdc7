"""The bell: wakes those who wait for work, from whichever thread, and when another process writes to the journal."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterable

from sequential_adaptor.backends.folder.watch import Watch

POLL = 0.015
"""Seconds between two looks at the journal where the kernel does not tell of writes."""
_LOOK_ANYWAY = 0.5


class Bell:
    """Rung when records have changed. A ring that nobody waits for is kept for the next who does."""

    def __init__(self, open_watch: Callable[[], Watch | None]) -> None:
        self._lock = threading.Lock()
        self._rung = False
        self._rings = 0
        self._waiting: dict[asyncio.Event, asyncio.AbstractEventLoop] = {}
        self._open_watch = open_watch
        self._watch: Watch | None = None
        self._closed = False

    def ring(self) -> None:
        """Wake everybody."""
        with self._lock:
            self._rung = True
            self._rings += 1
            waiting = list(self._waiting.items())
        _set_all(waiting)

    def close(self) -> None:
        """Wake everybody for the last time."""
        self._closed = True
        self.ring()
        with self._lock:
            self._close_watch()

    async def wait(self, timeout: float, look: Callable[[], float]) -> None:
        """Until the bell rings or the time is up, or until ``look`` finds something.

        ``look`` says how many seconds may pass until it is to look again, 0 where it has found something. It is called
        then, and when another process has written.
        """
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout
        event = asyncio.Event()
        rings = self._enter(event, loop)
        try:
            while self._rings == rings and (pause := look()) > 0 and (left := deadline - loop.time()) > 0:
                timer = loop.call_later(min(pause, left, self._pause), event.set)
                await event.wait()
                timer.cancel()
                event.clear()
        finally:
            self._leave(event, loop)

    @property
    def _pause(self) -> float:
        return POLL if self._watch is None else _LOOK_ANYWAY

    def _enter(self, event: asyncio.Event, loop: asyncio.AbstractEventLoop) -> int:
        with self._lock:
            if self._watch is None and not self._waiting and not self._closed:
                self._watch = self._open_watch()
            if loop not in self._waiting.values():
                self._listen(loop)
            self._waiting[event] = loop
            return self._rings - self._rung

    def _leave(self, event: asyncio.Event, loop: asyncio.AbstractEventLoop) -> None:
        with self._lock:
            self._rung = False
            del self._waiting[event]
            if self._watch is not None and loop not in self._waiting.values():
                loop.remove_reader(self._watch.fd)
            if self._closed:
                self._close_watch()

    def _listen(self, loop: asyncio.AbstractEventLoop) -> None:
        if self._watch is not None:
            try:
                loop.add_reader(self._watch.fd, self._written)
            except NotImplementedError:  # an event loop that cannot: look at the journal instead
                self._watch.close()
                self._watch = None

    def _written(self) -> None:
        """Somebody wrote to the journal: those who wait look at it."""
        if self._watch is not None:
            self._watch.clear()
        with self._lock:
            waiting = list(self._waiting.items())
        _set_all(waiting)

    def _close_watch(self) -> None:
        """The file is closed when no loop listens to it any more."""
        if self._watch is not None and not self._waiting:
            self._watch.close()
            self._watch = None


def _set_all(waiting: Iterable[tuple[asyncio.Event, asyncio.AbstractEventLoop]]) -> None:
    for event, loop in waiting:
        try:
            loop.call_soon_threadsafe(event.set)
        except RuntimeError:  # that loop is closed, and so is whoever waited on it
            continue
