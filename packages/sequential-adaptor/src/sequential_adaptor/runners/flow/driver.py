"""Drives one machine on a task's loop: what it invokes, what is sent to it, and what becomes due, one at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from random import Random

from sequential_adaptor import task
from sequential_adaptor.errors import InvalidValue, TaskError
from sequential_adaptor.flow import ActionFailed, EventError, Step
from sequential_adaptor.outcomes import error_as_json
from sequential_adaptor.runners.fetch.copies import checked
from sequential_adaptor.runners.flow.invoking import Work, carried_out, child_task, function_work
from sequential_adaptor.runners.flow.module import CHILD_TASK, FlowModule
from sequential_adaptor.values import JSON

Message = Callable[[float], Step]


class FlowFailed(TaskError):
    """The flow has come to an error that nothing in its graph takes."""


class Driver:
    """Its clock is the task's: seconds since the epoch, moved only by what has happened, the same on every replay.

    ``show`` is told after each step where the flow stands, as JSON: ``{"snapshot", "tags", "descriptions", "visits"}``.
    """

    def __init__(
        self,
        module: FlowModule,
        loop: asyncio.AbstractEventLoop,
        chance: Random,
        started: float,
        show: Callable[[JSON], None],
    ) -> None:
        self._module, self._machine = module, module.machine
        self._loop, self._chance, self._started = loop, chance, started
        self._show = show
        self._step: Step | None = None
        self._messages: asyncio.Queue[Message] = asyncio.Queue()
        self._running: dict[int, asyncio.Task[None]] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._visits: dict[str, dict[str, JSON]] = {}
        self._errors: list[tuple[JSON, BaseException]] = []

    @property
    def is_waiting(self) -> bool:
        """Whether an event from outside could move the flow."""
        return self._step is not None and bool(self._machine.events(self._step.snapshot))

    @property
    def leaves(self) -> list[str]:
        """Where the flow stands."""
        return self._step.leaves if self._step is not None else []

    async def run(self, input: JSON) -> JSON:
        """From the start of the machine to its end; its output, or the error that it came to."""
        try:
            self._take(self._machine.start(input, at=self._now()))
            while self._step is not None and self._step.status == "active":
                message = await self._messages.get()
                self._take(message(self._now()))
        finally:
            self._stop_all()
        assert self._step is not None  # the loop above began with one
        if self._step.status == "error":
            raise self._error(self._step)
        return self._step.snapshot["output"]

    def post(self, name: str, data: JSON) -> None:
        """An event from outside: the fields of ``data`` are its own, anything else is its ``data``."""
        fields = data if isinstance(data, dict) else {} if data is None else {"data": data}
        event = {**fields, "type": name}
        self._messages.put_nowait(lambda at: self._send(event, at))

    # ---- steps

    def _take(self, step: Step) -> None:
        self._step = step
        self._note(step)
        for stopped in step.stopped:
            running = self._running.pop(stopped["token"], None)
            if running is not None:
                running.cancel()
        for invoke in step.invokes:
            self._running[invoke["token"]] = self._loop.create_task(self._invoke(invoke, step), name=invoke["id"])
        self._set_timer(step)

    def _send(self, event: dict[str, JSON], at: float) -> Step:
        assert self._step is not None  # events come after the start
        try:
            return self._machine.send(self._step.snapshot, event, at)
        except EventError as error:
            task.log(f"event refused: {error}")
            return self._machine.look(self._step.snapshot)

    def _set_timer(self, step: Step) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        deadline = self._machine.next_deadline(step.snapshot)
        if deadline is not None:
            due = max(self._loop.time(), round(deadline - self._started, 6))
            self._timer = self._loop.call_at(due, self._messages.put_nowait, self._at_deadline(step, deadline))

    def _at_deadline(self, step: Step, deadline: float) -> Message:
        # Messages before this one may have moved the flow on: then the deadline is a past one, and this does nothing.
        return lambda at: self._machine.advance((self._step or step).snapshot, max(at, deadline))

    def _now(self) -> float:
        return round(self._started + self._loop.time(), 6)

    # ---- invocations

    async def _invoke(self, invoke: dict[str, JSON], step: Step) -> None:
        id, token = invoke["id"], invoke["token"]
        policy = self._module.policies[step.snapshot["invocations"][id]["state"], id]
        try:
            work = self._work(invoke["src"], step.snapshot["context"])
            output = await carried_out(work, invoke["input"], policy, self._chance)
            output = checked(output, f"the result of {invoke['src']}")
        except (Exception, BaseExceptionGroup, asyncio.CancelledError) as error:
            if token not in self._running:  # it was stopped, and nobody asks any more
                raise
            self._end(token, self._rejection(id, token, error))
        else:
            self._end(token, self._resolution(id, token, output))

    def _work(self, src: str, context: JSON) -> Work:
        if src.startswith(CHILD_TASK):
            return child_task(src.removeprefix(CHILD_TASK))
        child = self._module.child(src)
        if child is None:
            return function_work(self._module.function(src), context)
        found = child
        return lambda input: Driver(found, self._loop, self._chance, self._started, _nobody).run(input)

    def _end(self, token: int, message: Message) -> None:
        if self._running.pop(token, None) is not None:
            self._messages.put_nowait(message)

    def _resolution(self, id: str, token: int, output: JSON) -> Message:
        def resolved(at: float) -> Step:
            assert self._step is not None  # invocations come after the start
            return self._machine.resolve(self._step.snapshot, id, output, at, token=token)

        return resolved

    def _rejection(self, id: str, token: int, error: BaseException) -> Message:
        stored = error_as_json(error)
        self._errors.append((stored, error))

        def rejected(at: float) -> Step:
            assert self._step is not None  # invocations come after the start
            return self._machine.reject(self._step.snapshot, id, stored, at, token=token)

        return rejected

    def _stop_all(self) -> None:
        for running in self._running.values():
            running.cancel()
        self._running.clear()
        if self._timer is not None:
            self._timer.cancel()

    # ---- what is told of it

    def _note(self, step: Step) -> None:
        time = datetime.fromtimestamp(self._now(), UTC).isoformat(timespec="milliseconds")
        for path in step.entered:
            visit = self._visits.setdefault(path, {"count": 0, "first": time, "last": time})
            visit |= {"count": visit["count"] + 1, "last": time}
        found = {"tags": step.tags, "descriptions": step.descriptions, "visits": self._visits}
        self._show({"snapshot": step.snapshot, **found})

    def _error(self, step: Step) -> BaseException:
        """What the flow failed with, as the exception that it was, so that its own lines show."""
        found = step.snapshot["error"]
        for stored, error in reversed(self._errors):
            if stored == found:
                return error
        raised = step.cause.__cause__ if isinstance(step.cause, ActionFailed) else None
        if raised is not None and not isinstance(raised, InvalidValue):  # which does not say whose value it is
            return raised
        return step.cause or FlowFailed(f"{found['type']}: {found['message']}")


def _nobody(flow: JSON) -> None:
    """A child flow is part of its parent, and is not shown by itself."""
