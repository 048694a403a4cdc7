"""Whose turn it is to write: a queue of the processes that share a file, fairer than SQLite's own lock.

SQLite's lock says only yes or no, and its waiters sleep: who has just written, and wants to again, always comes first.
Here one lock is the turn and another one the place of who is next, so that nobody has two turns while somebody waits.
Both are locks on the ``-wal`` file, on which SQLite has none of its own, and which stays the same file while a
connection is open. Safety rests on SQLite's lock as ever; where there are no such locks, waiting is merely less fair.

Writing and checkpointing in turns also keeps our processes out of SQLite's "WAL-reset" corruption bug (before 3.51.3),
which needs a checkpoint and a write at one and the same time.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from sequential_adaptor.backends.sqlite.locks import AVAILABLE, PLACES, try_lock, unlock
from sequential_adaptor.backends.sqlite.waiting import Patience

_TURN: Final = 0
_NEXT: Final = 1
_LONGEST_AT_TURN, _LONGEST_IN_QUEUE = 0.0003, 0.002


class Turns:
    """One adapter's place in the queue of a file. Used by the thread of its connection only."""

    def __init__(self, path: str, seconds: float) -> None:
        self._path = path
        self._seconds = seconds
        self._file: int | None = None

    def open(self) -> None:
        """Join the queue; a connection that uses the ``-wal`` file has to be open."""
        if AVAILABLE:
            self._file = os.open(f"{self._path}-wal", os.O_RDWR | os.O_CLOEXEC)

    def close(self) -> None:
        """Leave it."""
        file, self._file = self._file, None
        if file is not None:
            os.close(file)

    @contextmanager
    def taken(self) -> Iterator[None]:
        """Wait for the turn, and keep it until the block ends."""
        file = self._file
        if file is None:
            yield
            return
        self._take(file)
        try:
            yield
        finally:
            unlock(file, _TURN)

    def _take(self, file: int) -> None:
        if PLACES == 1:
            self._wait_for(file, _TURN, _LONGEST_IN_QUEUE)
            return
        self._wait_for(file, _NEXT, _LONGEST_IN_QUEUE)
        try:
            self._wait_for(file, _TURN, _LONGEST_AT_TURN)
        finally:
            unlock(file, _NEXT)

    def _wait_for(self, file: int, place: int, longest: float) -> None:
        if try_lock(file, place):
            return
        patience = Patience(self._path, self._seconds, longest)
        while not try_lock(file, place):
            patience.wait()
