"""Word of runs that end in this process, for those who wait for them here and need not ask the store then."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from sequential_adaptor import values
from sequential_adaptor.records import TaskRun

if TYPE_CHECKING:
    from sequential_adaptor.storage import StorageAdapter


class Endings:
    """Who waits for which run, on whatever event loop. It says nothing of runs that other processes end."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: dict[str, list[asyncio.Future[TaskRun]]] = {}

    @contextlib.contextmanager
    def awaited(self, run_id: str) -> Iterator[asyncio.Future[TaskRun]]:
        """A future that gets the run if it ends here."""
        future: asyncio.Future[TaskRun] = asyncio.get_running_loop().create_future()
        with self._lock:
            self._waiting.setdefault(run_id, []).append(future)
        try:
            yield future
        finally:
            self._forget(run_id, future)
            future.cancel()

    def announce(self, run: TaskRun) -> None:
        """The run has ended, and that is stored."""
        with self._lock:
            waiting = tuple(self._waiting.get(run.id, ()))
        for future in waiting:
            _tell(future, run.replace(result=values.copy(run.result), error=values.copy(run.error)))

    def _forget(self, run_id: str, future: asyncio.Future[TaskRun]) -> None:
        with self._lock:
            waiting = self._waiting[run_id]
            waiting.remove(future)
            if not waiting:
                del self._waiting[run_id]


_lock = threading.Lock()
_endings: WeakKeyDictionary[StorageAdapter, Endings] = WeakKeyDictionary()


def endings_of(store: StorageAdapter) -> Endings:
    """Those of all who work on the adapter, or wait for its runs."""
    with _lock:
        found = _endings.get(store)
        if found is None:
            found = _endings[store] = Endings()
        return found


def _tell(future: asyncio.Future[TaskRun], run: TaskRun) -> None:
    def end() -> None:
        if not future.done():
            future.set_result(run)

    loop = future.get_loop()
    if loop is asyncio.get_running_loop():
        end()
    else:
        with contextlib.suppress(RuntimeError):  # that loop is closed, and so is whoever waited on it
            loop.call_soon_threadsafe(end)
