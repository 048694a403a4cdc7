"""A few threads in which tasks take their turns, so that the worker's own loop stays free."""

from __future__ import annotations

import asyncio
import logging
import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import Any, TypeVar

T = TypeVar("T")

_IDLE_SECONDS = 5.0
_PATIENCE_SECONDS = 1.0
_log = logging.getLogger("sequential_adaptor.fetch")


class TurnThreads:
    """At most ``limit`` threads, started when there is need for them, gone when they have been idle for a while."""

    def __init__(self, limit: int = 8) -> None:
        self._limit = limit
        self._lock = threading.Lock()
        self._count = 0
        self._idle: list[SimpleQueue[_Turn | None]] = []
        self._backlog: deque[_Turn] = deque()

    async def run(self, function: Callable[[], T], line: Callable[[Any], str | None]) -> T:
        """Run a function in one of the threads. ``line`` finds the task's line on a stack, should it take long."""
        turn = _Turn(function, line, asyncio.get_running_loop())
        self._submit(turn)
        turn.watch()
        try:
            return await turn.future  # type: ignore[no-any-return]  # what `function` gives
        finally:
            turn.unwatch()

    def close(self) -> None:
        """Let the idle threads go; the others go when they have been idle for a while."""
        with self._lock:
            idle, self._idle = self._idle, []
            self._count -= len(idle)
        for queue in idle:
            queue.put(None)

    def _submit(self, turn: _Turn) -> None:
        with self._lock:
            if self._idle:
                self._idle.pop().put(turn)
            elif self._count < self._limit:
                self._count += 1
                threading.Thread(target=self._serve, args=(turn,), name="sequential-task", daemon=True).start()
            else:
                self._backlog.append(turn)

    def _serve(self, turn: _Turn | None) -> None:
        queue: SimpleQueue[_Turn | None] = SimpleQueue()
        while turn is not None:
            turn.run()
            turn = None  # it holds the task's values
            with self._lock:
                if self._backlog:
                    turn = self._backlog.popleft()
                else:
                    self._idle.append(queue)
            turn = turn or self._next(queue)

    def _next(self, queue: SimpleQueue[_Turn | None]) -> _Turn | None:
        """The next turn, ``None`` when this thread is to end."""
        try:
            return queue.get(timeout=_IDLE_SECONDS)
        except Empty:
            with self._lock:
                if queue in self._idle:
                    self._idle.remove(queue)
                    self._count -= 1
                    return None
            return queue.get()  # it was picked at the last moment


class _Turn:
    """One function to run, and the future of another loop that gets what becomes of it."""

    __slots__ = ("_error", "_function", "_line", "_loop", "_patience", "_result", "_started", "_thread", "future")

    def __init__(
        self, function: Callable[[], Any], line: Callable[[Any], str | None], loop: asyncio.AbstractEventLoop
    ) -> None:
        self._function, self._line, self._loop = function, line, loop
        self.future: asyncio.Future[Any] = loop.create_future()
        self._result: Any = None
        self._error: BaseException | None = None
        self._thread = 0
        self._started = 0.0

    def run(self) -> None:
        """In the thread: run the function, and tell the loop that waits."""
        self._started = time.monotonic()
        self._thread = threading.get_ident()
        try:
            self._result = self._function()
        except BaseException as error:  # it is raised where the turn is awaited
            self._error = error
        self._thread = 0
        with suppress(RuntimeError):  # that loop is closed; nobody waits any more
            self._loop.call_soon_threadsafe(self._hand_over)

    def watch(self) -> None:
        """Warn when the function takes long."""
        self._patience = self._loop.call_later(_PATIENCE_SECONDS, self._look)

    def unwatch(self) -> None:
        """It has ended."""
        self._patience.cancel()

    def _hand_over(self) -> None:
        if self.future.done():
            return
        if self._error is not None:
            self.future.set_exception(self._error)
        else:
            self.future.set_result(self._result)

    def _look(self) -> None:
        if not self._thread or time.monotonic() - self._started < _PATIENCE_SECONDS:
            return self.watch()  # it has waited for a thread
        stack = sys._current_frames().get(self._thread)
        _log.warning(
            "a task blocks its thread for over %g s at %s. Put long work into step(...), and wait by "
            "`await asyncio.sleep(...)`",
            _PATIENCE_SECONDS,
            self._line(stack) or "a line of a library",
        )
        return None
