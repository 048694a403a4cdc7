"""Waiting for work: word of it comes at once from this process, in milliseconds from others, or by the clock."""

from __future__ import annotations

import asyncio
import os
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, TypeAlias

from sequential_adaptor.backends.sqlite.bell import COUNT, Bell
from sequential_adaptor.backends.sqlite.claiming import next_due
from sequential_adaptor.backends.sqlite.connection import Thread
from sequential_adaptor.backends.sqlite.opening import IN_MEMORY
from sequential_adaptor.records import time_from_text

_LOOK_EVERY: Final = 0.015
_ASK_EVERY: Final = 20
"""Looks at the file to one question to SQLite: two writes within one tick of the file system's clock look like one."""
_APART: Final = 0.025
"""Seconds between two returns for the sake of other processes: a busy store announces all the time."""

_Stamp: TypeAlias = tuple[int, int] | None


@dataclass(frozen=True, slots=True)
class News:
    """What there is to know: how many announcements were made, and when something becomes due by itself."""

    announced: int
    seconds_to_next: float | None


class Waiter:
    """Waits for work on one database."""

    def __init__(self, thread: Thread) -> None:
        self.bell = Bell()
        self._thread = thread
        self._file = None if thread.path == IN_MEMORY else f"{thread.path}-wal"
        self._known = 0
        self._not_before = 0.0

    def start(self, connection: sqlite3.Connection) -> None:
        """What was announced before now is no news."""
        self._known = self.bell.count = connection.execute(COUNT).fetchone()[0]

    async def wait(self, timeout: float) -> None:
        """Return when there may be work, or after ``timeout`` seconds."""
        self._thread.check()
        deadline = asyncio.get_running_loop().time() + timeout
        known = self._known
        with self.bell.heard() as rung:
            if self.bell.count <= known:
                known = await self._watch(known, deadline, rung)
        self._known = max(self._known, known, self.bell.count)

    async def _watch(self, known: int, deadline: float, rung: asyncio.Future[None]) -> int:
        """Return when there is a reason to, with the count of announcements that is known then."""
        loop = asyncio.get_running_loop()
        while True:
            before = self._stamp()
            news = await self._thread.read(_look)
            if news.announced > known:
                await asyncio.wait((rung,), timeout=max(0.0, self._not_before - loop.time()))
                self._not_before = loop.time() + _APART
                return news.announced
            until = deadline
            if news.seconds_to_next is not None:
                until = min(until, loop.time() + news.seconds_to_next)
            if not await self._changed(before, until, rung):
                return known

    async def _changed(self, before: _Stamp, until: float, rung: asyncio.Future[None]) -> bool:
        """Whether the file may have been written to; ``False`` when it is time to return whether it was or not."""
        if self._file is None:
            await asyncio.wait((rung,), timeout=max(0.0, until - asyncio.get_running_loop().time()))
            return False
        watch = _Watch(rung, until, lambda: self._stamp() != before)
        try:
            return await watch.changed
        finally:
            watch.stop()

    def _stamp(self) -> _Stamp:
        if self._file is None:
            return None
        try:
            found = os.stat(self._file)
        except OSError:
            return None
        return found.st_mtime_ns, found.st_size


class _Watch:
    """Looks at something again and again, by a bare timer of the event loop: waking a task costs far more."""

    def __init__(self, rung: asyncio.Future[None], until: float, look: Callable[[], bool]) -> None:
        self._loop = asyncio.get_running_loop()
        self.changed: asyncio.Future[bool] = self._loop.create_future()
        self._rung = rung
        self._until = until
        self._look = look
        self._looks = 0
        self._timer = self._loop.call_soon(self._tick)
        rung.add_done_callback(self._end)

    def stop(self) -> None:
        """Look no more."""
        self._timer.cancel()
        self._rung.remove_done_callback(self._end)

    def _end(self, _: object = None) -> None:
        if not self.changed.done():
            self.changed.set_result(False)

    def _tick(self) -> None:
        self._looks += 1
        left = self._until - self._loop.time()
        if self.changed.done():
            return
        if self._look() or self._looks > _ASK_EVERY:
            self.changed.set_result(True)
        elif left <= 0:
            self._end()
        else:
            self._timer = self._loop.call_later(min(left, _LOOK_EVERY), self._tick)


def _look(connection: sqlite3.Connection) -> News:
    count: int = connection.execute(COUNT).fetchone()[0]
    following = next_due(connection)
    seconds = None if following is None else (time_from_text(following) - datetime.now(UTC)).total_seconds()
    return News(count, seconds)
