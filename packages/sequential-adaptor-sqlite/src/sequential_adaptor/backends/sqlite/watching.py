"""Touching a file to tell other processes something, and watching it: by the kernel's events where it has them.

It is touched when what there is to tell can be read. Writes to the file itself say nothing: they come before, and most
of them bring no work. Where there are no events, its time is looked at, which writes change as well. Either way SQLite
is asked now and then, because there are writers who touch nothing.

A watch is kept for as long as its event loop is used: the kernel takes some ten milliseconds to end one.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import sys
import threading
import time
from functools import cache
from typing import Final, TypeAlias
from weakref import WeakKeyDictionary

Stamp: TypeAlias = tuple[int, int] | None

_LOOK_EVERY: Final = 0.015
_ASK_EVERY: Final = 0.3
_TOUCHED: Final = 0x4  # IN_ATTRIB
_EVENTS_AT_ONCE: Final = 4096


def touch(path: str) -> None:
    """Tell those who watch the file."""
    now = time.time_ns()  # the kernel's own idea of now is the same for some milliseconds
    with contextlib.suppress(OSError):
        os.utime(path, ns=(now, now))


def stamp(path: str) -> Stamp:
    """What touching a file changes, and writing to it."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size


class Watch:
    """A file that is touched, for the tasks of one event loop."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._number = 0
        self._stamp: Stamp = None
        self._events = open_events(path)
        self._waiting: set[asyncio.Future[None]] = set()
        self._closed = False

    def mark(self) -> int:
        """A number that is another one when the file has been touched since the last time."""
        if self._has_changed():
            self._number += 1
            for future in self._waiting:
                if not future.done():
                    future.set_result(None)
        return self._number

    async def changed(self, since: int, until: float, rung: asyncio.Future[None]) -> bool:
        """Wait until the file has been touched since that mark, or it is time to ask.

        ``False`` where ``rung`` ends before, or it is ``until`` by the event loop's clock.
        """
        loop = asyncio.get_running_loop()
        ask_at = loop.time() + _ASK_EVERY
        while self.mark() == since and not rung.done():
            pause = min(until, ask_at) - loop.time()
            if pause <= 0:
                return ask_at < until
            await self._wait(pause, rung)
        return not rung.done()

    def close(self) -> None:
        """Watch no more, as soon as nobody waits any more."""
        self._closed = True
        if not self._waiting:
            self._give_back()

    async def _wait(self, pause: float, rung: asyncio.Future[None]) -> None:
        loop = asyncio.get_running_loop()
        touched: asyncio.Future[None] = loop.create_future()
        if not self._listens(loop):
            pause = min(pause, _LOOK_EVERY)
        self._waiting.add(touched)
        try:
            await asyncio.wait((rung, touched), timeout=pause, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._waiting.discard(touched)
            if not self._waiting:
                self._rest(loop)

    def _rest(self, loop: asyncio.AbstractEventLoop) -> None:
        if self._events is not None:
            loop.remove_reader(self._events)
        if self._closed:
            self._give_back()

    def _give_back(self) -> None:
        events, self._events = self._events, None
        if events is not None:
            os.close(events)

    def _listens(self, loop: asyncio.AbstractEventLoop) -> bool:
        if self._events is None:
            return False
        try:
            loop.add_reader(self._events, self.mark)
        except NotImplementedError:  # an event loop that knows sockets only
            self._give_back()
            return False
        return True

    def _has_changed(self) -> bool:
        if self._events is not None:
            with contextlib.suppress(BlockingIOError):
                return bool(os.read(self._events, _EVENTS_AT_ONCE))
            return False
        before, self._stamp = self._stamp, stamp(self._path)
        return self._stamp != before


class Watches:
    """One watch of a file for each event loop."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._watches: WeakKeyDictionary[asyncio.AbstractEventLoop, Watch] = WeakKeyDictionary()

    def here(self) -> Watch:
        """The one of the running event loop."""
        loop = asyncio.get_running_loop()
        with self._lock:
            if loop not in self._watches:
                self._forget_closed()
                self._watches[loop] = Watch(self._path)
            return self._watches[loop]

    def close(self) -> None:
        """Close them all; those who still wait have been told to stop."""
        with self._lock:
            for watch in self._watches.values():
                watch.close()
            self._watches.clear()

    def _forget_closed(self) -> None:
        for loop in [loop for loop in self._watches if loop.is_closed()]:
            self._watches.pop(loop).close()


@cache
def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None)


def open_events(path: str) -> int | None:
    """A descriptor that can be read from when the file was touched; ``None`` where the kernel gives none."""
    if sys.platform != "linux":
        return None
    with contextlib.suppress(OSError, AttributeError):
        events: int = _libc().inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        if events < 0:  # each user has only so many
            return None
        if _libc().inotify_add_watch(events, os.fsencode(path), _TOUCHED) >= 0:
            return events
        os.close(events)
    return None
