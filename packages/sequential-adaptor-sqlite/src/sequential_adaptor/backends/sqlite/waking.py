"""Waiting for work: word of it comes at once from this process, in milliseconds from others, or by the clock."""

from __future__ import annotations

import asyncio
import sqlite3
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from sequential_adaptor.backends.sqlite.bell import COUNT, Bell
from sequential_adaptor.backends.sqlite.claiming import next_due
from sequential_adaptor.backends.sqlite.connection import Thread
from sequential_adaptor.backends.sqlite.opening import IN_MEMORY
from sequential_adaptor.backends.sqlite.watching import Watches, touch
from sequential_adaptor.records import time_from_text

_LOOKS_APART: Final = 0.01
_RETURNS_APART: Final = 0.025
"""Seconds between two looks, and two returns, for the sake of others: a busy store is written to all the time."""


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
        self._watches = None if self._file is None else Watches(self._file)
        self._known = 0
        self._not_before = 0.0

    def start(self, connection: sqlite3.Connection) -> None:
        """What was announced before now is no news."""
        self._known = self.bell.count = connection.execute(COUNT).fetchone()[0]

    def announce(self, count: int) -> None:
        """There may be work, for whoever waits for it in whatever process; ``count`` announcements were made by now."""
        self.bell.ring(count)
        if self._file is not None:
            touch(self._file)

    async def wait(self, timeout: float) -> None:
        """Return when there may be work, or after ``timeout`` seconds."""
        self._thread.check()
        deadline = asyncio.get_running_loop().time() + timeout
        known = self._known
        with self.bell.heard() as rung:
            if self.bell.count <= known:
                known = await self._watch(known, deadline, rung)
        self._known = max(self._known, known, self.bell.count)

    def let_go(self) -> None:
        """End every wait."""
        self.bell.ring(self.bell.count)

    def close(self) -> None:
        """Give back what was needed for waiting."""
        if self._watches is not None:
            self._watches.close()

    async def _watch(self, known: int, deadline: float, rung: asyncio.Future[None]) -> int:
        """Return when there is a reason to, with the count of announcements that is known then."""
        loop = asyncio.get_running_loop()
        watch = None if self._watches is None else self._watches.here()
        while True:
            before = 0 if watch is None else watch.mark()
            news = await self._thread.read(_look)
            looked = loop.time()
            if news.announced > known:
                await asyncio.wait((rung,), timeout=max(0.0, self._not_before - looked))
                self._not_before = loop.time() + _RETURNS_APART
                return news.announced
            until = deadline if news.seconds_to_next is None else min(deadline, looked + news.seconds_to_next)
            if watch is None:
                await asyncio.wait((rung,), timeout=max(0.0, until - looked))
                return known
            if not await watch.changed(before, until, rung):
                return known
            await asyncio.wait((rung,), timeout=max(0.0, looked + _LOOKS_APART - loop.time()))


def _look(connection: sqlite3.Connection) -> News:
    count: int = connection.execute(COUNT).fetchone()[0]
    following = next_due(connection)
    seconds = None if following is None else (time_from_text(following) - datetime.now(UTC)).total_seconds()
    return News(count, seconds)
