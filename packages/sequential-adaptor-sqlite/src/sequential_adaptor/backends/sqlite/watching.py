"""Watching a file for writes of other processes: by the kernel's events where it has them, else by looking at its time.

A look costs little, and waking up for it a hundred times a second does not: events (Linux) cost nothing until there are
some. Either way SQLite is asked now and then, because two writes within one tick of a clock look like one.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import sys
from functools import cache
from typing import Final, TypeAlias

Stamp: TypeAlias = tuple[int, int] | None

_LOOK_EVERY: Final = 0.015
_ASK_EVERY: Final = 0.3
_MODIFIED: Final = 0x2  # IN_MODIFY


def stamp(path: str) -> Stamp:
    """What a write changes."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size


class Watch:
    """``changed`` ends with ``True`` when the file may have been written to, or it is time to ask; else with ``False``.

    ``before`` is the file's stamp when it was last read, ``until`` when it is enough, by the event loop's clock.
    """

    def __init__(self, path: str, before: Stamp, until: float) -> None:
        self._loop = asyncio.get_running_loop()
        self.changed: asyncio.Future[bool] = self._loop.create_future()
        self._path = path
        self._before = before
        self._until = until
        self._ask_at = self._loop.time() + _ASK_EVERY
        self._events = open_events(path)
        if self._events is not None:
            self._listen(self._events)
        self._timer = self._loop.call_soon(self._look)

    def stop(self) -> None:
        """Look no more."""
        self._timer.cancel()
        if self._events is not None:
            self._loop.remove_reader(self._events)
            os.close(self._events)
            self._events = None
        self.changed.cancel()

    def _listen(self, events: int) -> None:
        try:
            self._loop.add_reader(events, self._end, True)
        except NotImplementedError:  # an event loop that knows sockets only
            os.close(events)
            self._events = None

    def _look(self) -> None:
        now = self._loop.time()
        if now >= self._ask_at or stamp(self._path) != self._before:
            self._end(True)
        elif now >= self._until:
            self._end(False)
        else:
            pause = _LOOK_EVERY if self._events is None else _ASK_EVERY
            self._timer = self._loop.call_later(min(pause, self._until - now), self._look)

    def _end(self, changed: bool) -> None:
        if not self.changed.done():
            self.changed.set_result(changed)


@cache
def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None)


def open_events(path: str) -> int | None:
    """A descriptor that can be read from when the file has been written to; ``None`` where the kernel gives none."""
    if sys.platform != "linux":
        return None
    with contextlib.suppress(OSError, AttributeError):
        events: int = _libc().inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        if events < 0:  # each user has only so many
            return None
        if _libc().inotify_add_watch(events, os.fsencode(path), _MODIFIED) >= 0:
            return events
        os.close(events)
    return None
