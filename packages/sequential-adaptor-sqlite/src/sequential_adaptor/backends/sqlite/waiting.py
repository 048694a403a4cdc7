"""How long to wait for somebody else, and how to go on waiting."""

from __future__ import annotations

import random
import sqlite3
import time
from collections.abc import Callable
from typing import TypeVar

from sequential_adaptor.backends.sqlite.failures import DatabaseBusy, is_busy

T = TypeVar("T")

_FIRST_PAUSE, _LONGEST_PAUSE = 0.0003, 0.02


class Patience:
    """One wait, to the end of its deadline: pauses grow, and are drawn at random so that no two keep in step."""

    def __init__(self, path: str, seconds: float, longest: float = _LONGEST_PAUSE) -> None:
        self._path = path
        self._started = time.monotonic()
        self._seconds = seconds
        self._longest = longest
        self._pause = _FIRST_PAUSE

    def wait(self) -> None:
        """Sleep a moment, or raise :class:`DatabaseBusy` where it has been long enough."""
        if time.monotonic() - self._started > self._seconds:
            raise DatabaseBusy(self._path, self._seconds)
        time.sleep(self._pause * random.uniform(0.5, 1.0))
        self._pause = min(self._pause * 1.5, self._longest)

    def until_free(self, action: Callable[[], T]) -> T:
        """What ``action`` gives, as soon as SQLite does not say that it is busy."""
        while True:
            try:
                return action()
            except sqlite3.OperationalError as error:
                if not is_busy(error):
                    raise
            self.wait()
