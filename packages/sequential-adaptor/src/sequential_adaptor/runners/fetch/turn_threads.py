"""A few threads in which tasks take their turns, so that a task that blocks its thread keeps nobody else waiting.

Nearly every turn takes less time than it takes to wake up an event loop. So the turns that are asked for at one time go
to one thread together, and the loop's own thread waits for them, for a moment. Those that have not ended by then get
threads of their own, and the loop goes on with other things.
"""

from __future__ import annotations

import asyncio
import logging
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import Any, TypeVar

T = TypeVar("T")

_IDLE_SECONDS = 5.0
_MOMENT, _LONGEST_MOMENT = 0.001, 0.005
_PATIENCE_SECONDS = 1.0
_log = logging.getLogger("sequential_adaptor.fetch")


class TurnThreads:
    """At most ``limit`` threads, started when there is need for them, gone when they have been idle for a while."""

    def __init__(self, limit: int = 8) -> None:
        self._limit = limit
        self._lock = threading.Lock()
        self._count = 0
        self._idle: list[SimpleQueue[bool]] = []
        self._waiting: deque[_Turn] = deque()
        self._asked: dict[asyncio.AbstractEventLoop, list[_Turn]] = {}
        self.users = 0
        """How many tasks take their turns here; a single one's are not collected."""

    async def run(self, function: Callable[[], T], line: Callable[[Any], str | None]) -> T:
        """Run a function in one of the threads. ``line`` finds the task's line on a stack, should it take long."""
        loop = asyncio.get_running_loop()
        turn = _Turn(function, line, loop.create_future())
        if (asked := self._asked.get(loop)) is not None:
            asked.append(turn)
        else:
            self._asked[loop] = [turn]
            if self.users > 1:
                loop.call_soon(self._take_turns, loop)
            else:
                self._take_turns(loop)
        return await turn.future  # type: ignore[no-any-return]  # what `function` gives

    def close(self) -> None:
        """Let the idle threads go; the others go when they have been idle for a while."""
        with self._lock:
            idle, self._idle = self._idle, []
            self._count -= len(idle)
        for mailbox in idle:
            mailbox.put(False)

    def _take_turns(self, loop: asyncio.AbstractEventLoop) -> None:
        turns = self._asked.pop(loop)
        batch = _Batch(turns)
        with self._lock:
            self._waiting.extend(turns)
            is_taken = self._wake(1)
        if is_taken:
            batch.wait()
        late = [turn for turn in turns if not turn.hand_over()]
        if late:
            for turn in late:
                turn.watch(loop)
            with self._lock:
                self._wake(len(self._waiting))

    def _wake(self, count: int) -> bool:
        """Have so many more threads look for turns, as far as there may be; whether any does. The lock is held."""
        woken = 0
        while woken < count and self._idle:
            self._idle.pop().put(True)
            woken += 1
        while woken < count and self._count < self._limit:
            self._count += 1
            threading.Thread(target=self._serve, name="sequential-task", daemon=True).start()
            woken += 1
        return woken > 0

    def _serve(self) -> None:
        mailbox: SimpleQueue[bool] = SimpleQueue()
        while (turn := self._next(mailbox)) is not None:
            turn.run()
            with self._lock:
                turn.batch.left -= 1
                has_ended = turn.batch.left == 0
            if has_ended:
                turn.batch.ended.release()
            turn.tell()
            turn = None  # it holds the task's values

    def _next(self, mailbox: SimpleQueue[bool]) -> _Turn | None:
        """The next turn, ``None`` when this thread is to end."""
        while True:
            with self._lock:
                if self._waiting:
                    return self._waiting.popleft()
                self._idle.append(mailbox)
            if not self._is_called(mailbox):
                return None

    def _is_called(self, mailbox: SimpleQueue[bool]) -> bool:
        try:
            return mailbox.get(timeout=_IDLE_SECONDS)
        except Empty:
            with self._lock:
                if mailbox in self._idle:
                    self._idle.remove(mailbox)
                    self._count -= 1
                    return False
            return mailbox.get()  # it was picked at the last moment


class _Batch:
    """Turns that were asked for at one time; ``ended`` is released when none of them is ``left``."""

    __slots__ = ("ended", "left")

    def __init__(self, turns: Sequence[_Turn]) -> None:
        self.left = len(turns)
        self.ended = threading.Lock()
        self.ended.acquire()
        for turn in turns:
            turn.batch = self

    def wait(self) -> None:
        """Wait for them, on the spot, as long as it may be a matter of a moment."""
        self.ended.acquire(timeout=min(_MOMENT * self.left, _LONGEST_MOMENT))


class _Turn:
    """One function to run, and the future of another thread's loop that gets what becomes of it."""

    batch: _Batch

    def __init__(
        self, function: Callable[[], Any], line: Callable[[Any], str | None], future: asyncio.Future[Any]
    ) -> None:
        self._function, self._line = function, line
        self.future = future
        self.has_ended = False
        self._to_tell = False
        self._patience: asyncio.TimerHandle | None = None
        self._result: Any = None
        self._error: BaseException | None = None
        self._thread = 0
        self._started = 0.0

    def run(self) -> None:
        """In a thread: run the function."""
        self._started = time.monotonic()
        self._thread = threading.get_ident()
        try:
            self._result = self._function()
        except BaseException as error:  # it is raised where the turn is awaited
            self._error = error
        self._thread = 0
        self.has_ended = True

    def tell(self) -> None:
        """In the thread: wake the loop, if that did not wait for it."""
        if self._to_tell:
            with suppress(RuntimeError):  # that loop is closed; nobody waits any more
                self.future.get_loop().call_soon_threadsafe(self.hand_over)

    def hand_over(self) -> bool:
        """On the loop: give what has become of it to who awaits it; ``False`` where it has not ended."""
        self._to_tell = True  # before it is asked whether it has ended, so that one of the two threads sees the other
        if not self.has_ended:
            return False
        if self._patience is not None:
            self._patience.cancel()
        if not self.future.done():
            if self._error is not None:
                self.future.set_exception(self._error)
            else:
                self.future.set_result(self._result)
        return True

    def watch(self, loop: asyncio.AbstractEventLoop) -> None:
        """Warn when it takes long."""
        self._patience = loop.call_later(_PATIENCE_SECONDS, self._look, loop)

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        if not self._thread or time.monotonic() - self._started < _PATIENCE_SECONDS:
            return None if self.has_ended else self.watch(loop)  # it has waited for a thread
        stack = sys._current_frames().get(self._thread)
        _log.warning(
            "a task blocks its thread for over %g s at %s. Put long work into step(...), and wait by "
            "`await asyncio.sleep(...)`",
            _PATIENCE_SECONDS,
            self._line(stack) or "a line of a library",
        )
        return None
