"""The writer: one thread through which every commit of a process goes, so that those made side by side share one
sync.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from sequential_adaptor.backends.folder.drafts import Draft
from sequential_adaptor.backends.folder.entries import Entry
from sequential_adaptor.backends.folder.requests import Request
from sequential_adaptor.backends.folder.store import Store
from sequential_adaptor.errors import StorageClosed, StorageError

_GROUP = 256
_log = logging.getLogger("sequential_adaptor.folder")


class _Job:
    """A request, and where its answer goes."""

    __slots__ = ("answer", "error", "future", "loop", "request")

    def __init__(self, request: Request) -> None:
        self.request = request
        self.loop = asyncio.get_running_loop()
        self.future: asyncio.Future[Any] = self.loop.create_future()
        self.answer: object = None
        self.error: Exception | None = None

    def resolve(self) -> None:
        """Hand over the answer, in the thread of its loop."""
        if self.future.done():  # cancelled meanwhile
            return
        if self.error is not None:
            self.future.set_exception(self.error)
        else:
            self.future.set_result(self.answer)


class Writer:
    """Takes requests from any event loop, and answers each when it is as durable as it should be.

    Whatever has come in while the last group was being synced is the next group: one lock, one look at the journal, one
    write, one sync. Each request of a group succeeds or fails by itself.
    """

    def __init__(self, store: Store, on_written: Callable[[], None]) -> None:
        self._store, self._on_written = store, on_written
        self._jobs: deque[_Job] = deque()
        self._wake = threading.Condition(threading.Lock())
        self._closing = False
        self._thread = threading.Thread(target=self._run, name="sequential-folder-writer", daemon=True)
        self._thread.start()

    async def perform(self, request: Request) -> Any:
        """The answer to a request."""
        job = _Job(request)
        with self._wake:
            if self._closing:
                raise StorageClosed("FolderAdapter")
            self._jobs.append(job)
            self._wake.notify()
        return await job.future

    def close(self) -> None:
        """Finish what has been asked for, and end the thread."""
        with self._wake:
            self._closing = True
            self._wake.notify()
        self._thread.join()

    def _run(self) -> None:
        while self._serve(self._next_group()):
            pass

    def _serve(self, jobs: Sequence[_Job]) -> bool:
        try:
            self._store.write(partial(_plan, jobs))
            self._on_written()
        except Exception as error:  # it belongs to those who wait for an answer
            _fail(jobs, error)
        _resolve(jobs)
        return bool(jobs)

    def _next_group(self) -> list[_Job]:
        with self._wake:
            while not self._jobs and not self._closing:
                self._wake.wait()
            return [self._jobs.popleft() for _ in range(min(_GROUP, len(self._jobs)))]


def _plan(jobs: Sequence[_Job], draft: Draft) -> tuple[list[Entry], bool]:
    entries: list[Entry] = []
    durable = False
    for job in jobs:
        try:
            plan = job.request.plan(draft)
        except Exception as error:  # it is the answer to this request, and to no other
            job.error = error
            continue
        job.answer = plan.answer
        durable |= plan.durable
        if plan.entry is not None:
            entries.append(plan.entry)
    return entries, durable


def _fail(jobs: Sequence[_Job], error: Exception) -> None:
    for job in jobs:
        if job.error is None:
            job.error = error if isinstance(error, StorageError) else StorageError(f"nothing was written: {error!r}")
            job.error.__cause__ = error if job.error is not error else error.__cause__


def _resolve(jobs: Sequence[_Job]) -> None:
    by_loop: dict[asyncio.AbstractEventLoop, list[_Job]] = {}
    for job in jobs:
        by_loop.setdefault(job.loop, []).append(job)
    for loop, found in by_loop.items():
        try:
            loop.call_soon_threadsafe(_resolve_all, found)
        except RuntimeError:
            _log.debug("an event loop was closed before its commits were answered")


def _resolve_all(jobs: Sequence[_Job]) -> None:
    for job in jobs:
        job.resolve()
