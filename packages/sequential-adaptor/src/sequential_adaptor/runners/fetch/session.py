"""The session of the fetch runner: a frame, moved in threads."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from functools import partial
from types import FrameType

from sequential_adaptor.records import StackRun
from sequential_adaptor.runners.base import Assignment, Ending, Session, Turn
from sequential_adaptor.runners.fetch import failures
from sequential_adaptor.runners.fetch.happenings import in_order, is_call
from sequential_adaptor.runners.fetch.hosting import TaskFrame
from sequential_adaptor.runners.fetch.lines import line_of
from sequential_adaptor.runners.fetch.program import Program, acquire, release
from sequential_adaptor.runners.fetch.rules import Rules
from sequential_adaptor.runners.fetch.teardown import take_down
from sequential_adaptor.runners.fetch.turn_threads import TurnThreads


class FetchSession(Session):
    """One frame of plain async Python; :class:`~sequential_adaptor.runners.base.Session` is what it promises."""

    frame_type: type[TaskFrame] = TaskFrame

    def __init__(self, assignment: Assignment, rules: Rules, threads: TurnThreads) -> None:
        self._assignment = assignment
        self._rules = rules
        self._threads = threads
        self._program: Program | None = None
        self._frame: TaskFrame | None = None
        self._raised: BaseException | None = None
        self._is_counted = False
        self._is_closed = False
        # A turn whose awaiting was cancelled goes on in its thread; the next one has to wait for it.
        self._turn = threading.Lock()

    @property
    def raised(self) -> BaseException | None:
        """What the task's code raised, if it failed."""
        return self._raised

    async def start(self, history: Sequence[StackRun]) -> Turn:
        """Compile the code, and run it through its history."""
        self._threads.users += 1
        self._is_counted = True
        return await self._threads.run(partial(self._start, history), self._line)

    async def take(self, happening: StackRun) -> Turn:
        """Run on with one thing that has happened."""
        return await self._threads.run(partial(self._take, happening), self._line)

    async def close(self) -> None:
        """Take the frame down; in a thread as well where the task has not ended: its ``finally`` blocks run there."""
        was_started, self._is_counted = self._is_counted, False
        self._threads.users -= was_started
        if self._frame is not None and self._frame.is_over and self._turn.acquire(blocking=False):
            self._turn.release()
            self._close()
        elif was_started:
            await self._threads.run(self._close, self._line)

    def _start(self, history: Sequence[StackRun]) -> Turn:
        with self._turn:
            if self._is_closed:  # by who asked for this turn and awaits it no more
                return Turn()
            try:
                self._program = acquire(self._assignment.function)
            except Exception as error:  # no Python, or more than the compiler can take
                self._raised = error
                return Turn(ending=Ending("failed", error=failures.stored(error, (), "sequential_task")))
            recorded = {one.sequence: one for one in history if one.sequence is not None and is_call(one)}
            self._frame = self.frame_type(self._assignment, self._program, self._rules, recorded)
            return self._frame.start(in_order(history))

    def _take(self, happening: StackRun) -> Turn:
        with self._turn:
            if self._frame is None or self._frame.closed:
                raise RuntimeError(f"the session of {self._assignment.frame_id} is not open")
            return self._frame.take(happening)

    def _close(self) -> None:
        with self._turn:
            self._is_closed = True
            frame, self._frame = self._frame, None
            self._raised = self._raised if frame is None else frame.raised
            program, self._program = self._program, None
            if frame is not None:
                take_down(frame)
            if program is not None:
                release(program)

    def _line(self, stack: FrameType | None) -> str | None:
        return None if self._program is None else line_of(stack, self._program.files)
