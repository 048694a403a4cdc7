"""A session over the documented methods of a runner, for those that have none of their own."""

from __future__ import annotations

from collections.abc import Awaitable, Sequence
from dataclasses import replace

from sequential_adaptor.outcomes import error_as_json
from sequential_adaptor.records import StackRun
from sequential_adaptor.runners.base import (
    Assignment,
    Call,
    CallResults,
    Completed,
    Ending,
    Runner,
    Session,
    Suspended,
    Turn,
)
from sequential_adaptor.values import JSON

_CANCELLED = Ending("cancelled", error={"type": "CancelledError", "message": "cancelled"})


def standing_calls(state: JSON) -> set[int] | None:
    """The numbers of the calls that a :class:`PlainSession` stood at when it left this state of a frame.

    ``None`` where another session left it, which replays its history from the beginning.
    """
    if not isinstance(state, dict) or state.keys() != {"runner", "made", "calls"}:
        return None
    return {call["sequence"] for call in state["calls"]}


class PlainSession(Session):
    """Runs, and resumes when every outstanding call has its outcome.

    The frame's state holds the runner's own and the calls that are outstanding. A runner numbers the calls of one
    standstill as it likes; below the frame they are counted on. A cancel ends the task; events are not for such
    runners.
    """

    def __init__(self, runner: Runner, assignment: Assignment) -> None:
        self._runner = runner
        self._assignment = assignment
        self._state: JSON = None
        self._made = 0
        self._calls: dict[int, Call] = {}
        self._numbers: dict[int, int] = {}
        self._outcomes: dict[int, StackRun] = {}

    async def start(self, history: Sequence[StackRun]) -> Turn:
        saved = self._assignment.state
        if saved is None:
            code, input = self._assignment.function.code, self._assignment.input
            return await self._advance(self._runner.run(code, input))
        self._state, self._made = saved["runner"], saved["made"]
        for call in saved["calls"]:
            self._numbers[call["sequence"]] = call["number"]
            self._calls[call["sequence"]] = Call(call["sequence"], call["operation"], call["input"], call["options"])
        for row in history:
            if row.position is not None and row.sequence in self._calls:
                self._outcomes[row.sequence] = row
        return Turn(calls=tuple(call for sequence, call in self._calls.items() if sequence not in self._outcomes))

    async def take(self, happening: StackRun) -> Turn:
        if happening.operation == "cancel":
            return Turn(ending=_CANCELLED)
        if happening.sequence in self._calls:
            self._outcomes[happening.sequence] = happening
        if not self._calls or len(self._outcomes) < len(self._calls):
            return Turn()
        return await self._advance(self._runner.resume(self._state, self._response()))

    async def close(self) -> None:
        self._calls.clear()

    def _response(self) -> JSON | CallResults:
        """The value of the one call, or all of them by the numbers that the runner gave them."""
        rows = {number: self._outcomes[sequence] for sequence, number in self._numbers.items()}
        results = {number: row.result for number, row in rows.items() if row.status == "completed"}
        errors = {number: row.error for number, row in rows.items() if row.status != "completed"}
        return next(iter(results.values())) if len(rows) == 1 and not errors else CallResults(results, errors)

    async def _advance(self, moving: Awaitable[Completed | Suspended]) -> Turn:
        try:
            found = await moving
        except Exception as error:  # whatever the code raises is how its run ends
            return Turn(ending=Ending("failed", error=error_as_json(error, with_traceback=True)))
        if isinstance(found, Completed):
            return Turn(ending=Ending("completed", result=found.result))
        self._outcomes.clear()
        self._state = found.state
        self._numbers = {self._made + index: call.sequence for index, call in enumerate(found.calls, 1)}
        self._calls = {
            sequence: replace(call, sequence=sequence)
            for sequence, call in zip(self._numbers, found.calls, strict=True)
        }
        self._made += len(self._calls)
        return Turn(calls=tuple(self._calls.values()), state=self._saved())

    def _saved(self) -> JSON:
        calls = [
            {
                "sequence": call.sequence,
                "number": self._numbers[call.sequence],
                "operation": call.operation,
                "input": call.input,
                "options": call.options,
            }
            for call in self._calls.values()
        ]
        return {"runner": self._state, "made": self._made, "calls": calls}
