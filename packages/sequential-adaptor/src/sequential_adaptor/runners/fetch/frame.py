"""One frame of a task in memory: its loop, its clock, its calls, and what happens to it."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable, Mapping
from contextlib import suppress
from contextvars import Context
from types import ModuleType
from typing import Any

from sequential_adaptor.errors import NonDeterminismError, NotDurable, TaskError
from sequential_adaptor.outcomes import message_of
from sequential_adaptor.records import StackRun
from sequential_adaptor.runners.base import Assignment, Call, Ending, Turn
from sequential_adaptor.runners.fetch import failures
from sequential_adaptor.runners.fetch.call_book import CallBook, Pending
from sequential_adaptor.runners.fetch.chance import Chance, ChanceRandom
from sequential_adaptor.runners.fetch.clock import Clock
from sequential_adaptor.runners.fetch.copies import checked, fresh
from sequential_adaptor.runners.fetch.deadlock import deadlock
from sequential_adaptor.runners.fetch.entry import run_program
from sequential_adaptor.runners.fetch.frame_state import FrameState
from sequential_adaptor.runners.fetch.happenings import CANCEL, EVENT, PAUSES, TIMER, is_call
from sequential_adaptor.runners.fetch.importing import OwnModules
from sequential_adaptor.runners.fetch.inbox import Inbox
from sequential_adaptor.runners.fetch.lines import awaited_line, running_line
from sequential_adaptor.runners.fetch.loop import TaskLoop
from sequential_adaptor.runners.fetch.program import Program
from sequential_adaptor.runners.fetch.rules import Rules
from sequential_adaptor.runners.fetch.run_log import RunLog
from sequential_adaptor.task._host import current


class FrameClosed(BaseException):
    """Code that runs on while its frame is taken down tries to have an effect. No ``except Exception`` swallows it."""


class Frame:
    """Moves from one standstill to the next, each time in a thread that runs nothing else meanwhile.

    The task's code sees it as ``current.host``, which :class:`~.hosting.TaskFrame` completes.
    """

    def __init__(
        self, assignment: Assignment, program: Program, rules: Rules, recorded: Mapping[int, StackRun]
    ) -> None:
        self.assignment = assignment
        self.program = program
        self.rules = rules
        self.state = FrameState(assignment.state)
        self.clock = Clock(assignment.started_at)
        self.chance = Chance(self.state.seed)
        self.random: Any = ChanceRandom(self.chance.take)
        self.log_lines = RunLog(lambda: current.host is self)
        self.log_lines.muted = assignment.state is not None
        self.loop = TaskLoop(self, self.clock, self._feed)
        self.inbox = Inbox()
        self.modules = OwnModules(program, self.log_lines.write)
        self.calls = CallBook(assignment.frame_id, recorded, rules.limits, self.own_line, self.state.what_changed)
        self.closed = False
        self.raised: BaseException | None = None
        self._context = Context()
        self._happenings: deque[StackRun] = deque()
        self._fired: list[int] | None = None
        self._doom: BaseException | None = None
        self._cancelled = False
        self._main: asyncio.Task[Ending] | None = None

    @property
    def own_modules(self) -> Mapping[str, ModuleType]:
        """The task's modules by their full names."""
        return self.modules.loaded

    @property
    def is_over(self) -> bool:
        """Whether none of the task's code is left to run."""
        return self._main is not None and all(task.done() for task in self.loop.tasks.values())

    # ---- turns

    def start(self, history: Iterable[StackRun]) -> Turn:
        """Run from the beginning through all that has happened."""
        self._happenings.extend(history)
        self._run(first=True)
        if self._doom is None:
            self._guarded(self.calls.check_complete)
        self.calls.forget_stored()
        self._fired = None
        return self._turn()

    def take(self, happening: StackRun) -> Turn:
        """Run on with one thing that has happened."""
        self.log_lines.muted = False
        self._fired = None
        self._happenings.append(happening)
        self._run()
        return self._turn()

    def _run(self, *, first: bool = False) -> None:
        current.host = self
        try:
            if first:
                self._main = self.loop.create_task(self._whole(), name="main", context=self._context)
            self.loop.run_forever()
        except BaseException as error:  # SystemExit and the like leave the loop at once
            self.doom(error)
        finally:
            current.host = None

    def _turn(self) -> Turn:
        ending = self._ending()
        calls, settled = self.calls.report()
        earliest = None if ending else self.loop.timers.earliest()
        return Turn(
            calls=calls,
            settled=settled,
            deadline=None if earliest is None else self.clock.at(earliest),
            log=self.log_lines.take(all=ending is not None),
            state=self.state.news(self.modules.imported),
            fired=self._fired,
            ending=ending,
        )

    def _ending(self) -> Ending | None:
        if self._doom is None and self._main is not None and self._main.done():
            return self._end_of(self._main)
        if self._doom is None and not self._can_go_on():
            self.doom(self._deadlock())
        return None if self._doom is None else self._failed(self._doom)

    def _end_of(self, main: asyncio.Task[Ending]) -> Ending:
        try:
            return main.result()
        except BaseException as error:  # a GeneratorExit that is none of ours
            return self._failed(error)

    def _can_go_on(self) -> bool:
        return bool(self.calls.outstanding or self.loop.timers)

    def _deadlock(self) -> TaskError:
        return deadlock(self.loop.tasks.values(), self.program.files)

    # ---- the task's code

    async def _whole(self) -> Ending:
        """The task and, as ``asyncio.run`` does it, the end of whatever it leaves behind."""
        try:
            metadata = self.assignment.function.metadata
            name = metadata.get("entry") if isinstance(metadata, dict) else None
            result = await self._execute(name)
            ending = Ending("completed", result=checked(result, "the result of a task"))
        except (GeneratorExit, FrameClosed):
            raise
        except asyncio.CancelledError as error:
            ending = Ending(
                "cancelled", error={"type": "CancelledError", "message": message_of(error) or "the task was cancelled"}
            )
        except BaseException as error:  # SystemExit too is but how a task ends
            ending = self._failed(error)
        await self._wind_up()
        return ending

    async def _execute(self, name: str | None) -> Any:
        return await run_program(self.program, self.modules, fresh(self.assignment.input), name)

    async def _wind_up(self) -> None:
        others = [task for task in self.loop.tasks.values() if task is not self._main and not task.done()]
        for task in others:
            task.cancel()
        if others:
            await _to_its_end(asyncio.gather(*others, return_exceptions=True))
        if self.loop.has_async_generators:
            await _to_its_end(self.loop.create_task(self.loop.shutdown_asyncgens()))

    def _failed(self, error: BaseException) -> Ending:
        self.raised = error
        return Ending("failed", error=failures.stored(error, self.program.files, self.program.module_name))

    # ---- what happens to it

    def _feed(self) -> bool:
        """Apply the next happening that has an effect; ``False`` where none is left, or the task has ended."""
        while self._happenings and self._doom is None and not (self._main is not None and self._main.done()):
            happening = self._happenings.popleft()
            if self._guarded(self._apply, happening):
                return True
        self._happenings.clear()
        return False

    def _apply(self, happening: StackRun) -> bool:
        operation = happening.operation
        if is_call(happening):
            sequence = happening.sequence
            if sequence in self.calls.outstanding:  # else the task has settled it, and it moves nothing
                self._move_clock(happening)
            return self.calls.end(happening)
        if operation in PAUSES:
            self.clock.pause(happening.ended_at or self.clock.now)
            return True
        self._move_clock(happening)
        if operation == TIMER:
            numbers = happening.result if isinstance(happening.result, list) else None
            self._fired = self.loop.fire(numbers)
        elif operation == CANCEL:
            self._cancel()
        else:
            self._deliver(operation.removeprefix(EVENT), happening)
        return True

    def _cancel(self) -> None:
        """The task is told once; what it does about it is its own affair."""
        if not self._cancelled and self._main is not None:
            self._cancelled = True
            self._main.cancel()

    def _move_clock(self, happening: StackRun) -> None:
        if happening.ended_at is not None:
            self.clock.move(happening.ended_at)

    def _deliver(self, name: str, event: StackRun) -> None:
        pending = self.inbox.put(name, event.result)
        if pending is not None:
            self.calls.settle(pending.call.sequence, Ending("completed", result=event.result))
            pending.future.set_result(fresh(event.result))

    # ---- what the task's code does to it

    def begin(self, call: Call, revive: failures.Revive) -> Pending:
        """The code makes a call; raises what stops the task for good where that must not be."""
        if self.closed or self._doom is not None:
            raise FrameClosed
        if asyncio._get_running_loop() is not self.loop:
            raise NotDurable(f"{self.own_line()}: {call.operation} is called on another loop than that of its task")
        try:
            return self.calls.begin(call, self.loop.create_future(), revive)
        except (NonDeterminismError, TaskError) as error:
            self.doom(error)
            raise

    async def outcome(self, pending: Pending) -> Any:
        """What became of a call; one whose awaiting is cancelled is given up."""
        try:
            return await pending.future
        except asyncio.CancelledError:
            if pending.given_up is not None:
                pending.given_up()
            self.calls.settle(pending.call.sequence, Ending("cancelled"))
            raise

    def doom(self, error: BaseException) -> None:
        """The task fails with this error, whatever its code makes of it, and stops."""
        if self._doom is None:
            self._doom = error
        self.loop.halt()

    def own_line(self) -> str:
        """``name.py, line 12``: where the task's own code is."""
        files = self.program.files
        # A function that the task runs by `to_thread` has none of the task's lines on its own stack, but the loop has.
        return running_line(files) or self.loop.line(files) or awaited_line(self._main, files) or "the task"

    def note_lost_error(self, context: Mapping[str, Any]) -> None:
        """An error in a part of the task for which nobody waits."""
        if current.host is self and not self.closed:  # else the collector found it, at no time of the task's
            error = context.get("exception")
            what = f": {type(error).__name__}: {message_of(error)}" if error is not None else ""
            self.log_lines.write(f"{context.get('message', 'an error was lost')}{what}\n")

    def _guarded(self, function: Any, *args: Any) -> Any:
        try:
            return function(*args)
        except NonDeterminismError as error:
            self.doom(error)
            return False


async def _to_its_end(future: asyncio.Future[Any]) -> None:
    """Wait for it. A cancel comes too late: the task has ended, and whatever it leaves behind was told already."""
    while not future.done():
        with suppress(asyncio.CancelledError):
            await asyncio.shield(future)
