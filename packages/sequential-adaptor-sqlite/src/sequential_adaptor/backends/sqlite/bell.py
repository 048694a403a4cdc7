"""Announcements of work, counted in the database: who makes something due adds one in the same transaction."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

COUNT: Final = "SELECT number FROM announcements"
ANNOUNCE: Final = "UPDATE announcements SET number = number + 1 RETURNING number"


class Bell:
    """Wakes those who wait in this process, whatever thread their event loops run in."""

    def __init__(self) -> None:
        self.count = 0
        self._lock = threading.Lock()
        self._waiting: set[asyncio.Future[None]] = set()

    def ring(self, count: int) -> None:
        """There may be work; ``count`` is how many announcements there are now."""
        with self._lock:
            self.count = count
            waiting, self._waiting = self._waiting, set()
        for future in waiting:
            _wake(future)

    @contextmanager
    def heard(self) -> Iterator[asyncio.Future[None]]:
        """A future that ends at the next ring."""
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        with self._lock:
            self._waiting.add(future)
        try:
            yield future
        finally:
            with self._lock:
                self._waiting.discard(future)
            future.cancel()


def _wake(future: asyncio.Future[None]) -> None:
    loop = future.get_loop()
    if not loop.is_closed():
        loop.call_soon_threadsafe(lambda: None if future.done() else future.set_result(None))
