"""The event loop's side of work that blocks: a thread for it, and a way to stop it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from sequential_adaptor.runners.container.supervising import Line, OnLine, Stop

T = TypeVar("T")

_THREADS = 8
_WAITING_LINES = 1_000


class Threads:
    """Threads of one runner."""

    def __init__(self) -> None:
        self._executor: ThreadPoolExecutor | None = None
        self._stops: set[Stop] = set()
        self._turn = asyncio.Lock()

    async def call(self, function: Callable[[], T]) -> T:
        """Call a function in a thread. A cancellation waits for its end: nothing is left behind half done."""
        work = asyncio.get_running_loop().run_in_executor(self._pool(), function)
        return await _to_its_end(work, lambda: None)

    async def perform(self, function: Callable[[Stop, OnLine | None], T], on_line: OnLine | None) -> T:
        """Call a function that runs commands.

        ``on_line`` is called on the event loop, and for the last time before this returns; when it raises, the command
        is stopped and the error is raised here. A cancellation stops the command, and waits until it is undone.
        """
        loop, stop = asyncio.get_running_loop(), Stop()
        listener = None if on_line is None else _Listener(on_line, stop)
        deliver = None if listener is None else listener.on(loop)
        self._stops.add(stop)
        try:
            async with self._turn:  # those that wait for their turn take up no thread
                return await _to_its_end(loop.run_in_executor(self._pool(), function, stop, deliver), stop.ask)
        finally:
            self._stops.discard(stop)
            stop.close()
            if listener is not None:
                listener.raise_error()

    async def close(self) -> None:
        """Stop what is under way, and wait for it."""
        for stop in self._stops:
            stop.ask()
        executor, self._executor = self._executor, None
        if executor is not None:
            await asyncio.to_thread(executor.shutdown)

    def _pool(self) -> ThreadPoolExecutor:
        if self._executor is None:
            self._executor = ThreadPoolExecutor(_THREADS, thread_name_prefix="sequential-container")
        return self._executor


class _Listener:
    """Passes lines on until one of them is refused."""

    def __init__(self, on_line: OnLine, stop: Stop) -> None:
        self._on_line, self._stop = on_line, stop
        self._room = threading.Semaphore(_WAITING_LINES)
        self.error: Exception | None = None

    def __call__(self, line: Line) -> None:
        self._room.release()
        if self.error is None:
            try:
                self._on_line(line)
            except Exception as error:  # whatever it is, it is the caller's to see
                self.error = error
                self._stop.ask()

    def on(self, loop: asyncio.AbstractEventLoop) -> OnLine:
        """The same, from another thread, which waits where the lines come faster than they are taken."""

        def deliver(line: Line) -> None:
            self._room.acquire()
            loop.call_soon_threadsafe(self, line)

        return deliver

    def raise_error(self) -> None:
        """What it was refused with."""
        if self.error is not None:
            raise self.error


async def _to_its_end(work: asyncio.Future[T], stop: Callable[[], None]) -> T:
    cancelled: asyncio.CancelledError | None = None
    while not work.done():
        try:
            await asyncio.wait((work,))
        except asyncio.CancelledError as error:
            cancelled = error
            stop()
    if cancelled is None:
        return work.result()
    if not work.cancelled():
        work.exception()  # it was looked at: nobody is told that it was not
    raise cancelled
