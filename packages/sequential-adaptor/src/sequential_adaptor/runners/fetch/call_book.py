"""The calls of one frame: their numbers, what was recorded of them, and what has yet to be reported."""

from __future__ import annotations

import logging
from asyncio import Future
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from sequential_adaptor.errors import NonDeterminismError, TaskError
from sequential_adaptor.records import StackRun
from sequential_adaptor.runners.base import Call, Ending
from sequential_adaptor.runners.fetch import identity
from sequential_adaptor.runners.fetch.copies import fresh
from sequential_adaptor.runners.fetch.failures import Revive
from sequential_adaptor.runners.fetch.rules import Limits

_log = logging.getLogger("sequential_adaptor.fetch")


@dataclass(slots=True)
class Pending:
    """A call that the code awaits; ``given_up`` cleans up when it does so no more."""

    call: Call
    future: Future[Any]
    revive: Revive
    given_up: Callable[[], None] | None = field(default=None)


class CallBook:
    """Numbers calls from 1 in the order in which they are made, and compares each with what was recorded so.

    ``changed`` says, for the message of a call that differs, what else has changed since the recording.
    """

    def __init__(
        self,
        name: str,
        recorded: Mapping[int, StackRun],
        limits: Limits,
        where: Callable[[], str],
        changed: Callable[[], str],
    ) -> None:
        self.count = 0
        self.outstanding: dict[int, Pending] = {}
        self._name = name
        self._recorded = recorded
        self._limits = limits
        self._where = where
        self._changed = changed
        self._made: dict[int, Call] = {}
        self._settled: dict[int, Ending] = {}

    def begin(self, call: Call, future: Future[Any], revive: Revive) -> Pending:
        """The code makes a call, whose sequence is ``count + 1``."""
        self._check_limits()
        recorded = self._recorded.get(call.sequence)
        if recorded is not None and not identity.same(call.operation, call.input, recorded.operation, recorded.input):
            raise self._differs(call, recorded)
        self.count = call.sequence
        self._made[call.sequence] = call
        pending = self.outstanding[call.sequence] = Pending(call, future, revive)
        return pending

    def end(self, outcome: StackRun) -> bool:
        """Give an outcome to the code that awaits it; ``False`` where nobody does any more."""
        assert outcome.sequence is not None  # only calls come here
        if outcome.sequence > self.count:
            raise self._not_made(outcome)
        pending = self.outstanding.pop(outcome.sequence, None)
        if pending is None:
            return False
        self._made.pop(outcome.sequence, None)
        if pending.future.done():
            return False
        if outcome.status == "completed":
            pending.future.set_result(fresh(outcome.result))
        else:
            pending.future.set_exception(pending.revive(pending.call.operation, _error_of(outcome)))
        return True

    def settle(self, sequence: int, ending: Ending) -> None:
        """A call ends without an outcome from outside."""
        if self.outstanding.pop(sequence, None) is not None:
            self._settled[sequence] = ending

    def check_complete(self) -> None:
        """Raise for a recorded call that the code has not made again."""
        missing = min((sequence for sequence in self._recorded if sequence > self.count), default=None)
        if missing is not None:
            raise self._not_made(self._recorded[missing])

    def forget_stored(self) -> None:
        """Leave out of the next report what is stored already, now that the history is replayed."""
        for sequence in [n for n in self._settled if _is_history(self._recorded.get(n))]:
            del self._settled[sequence]
            del self._made[sequence]
        self._recorded = {}

    def report(self) -> tuple[tuple[Call, ...], dict[int, Ending]]:
        """The calls made and the calls settled since the last report."""
        made, settled = tuple(self._made.values()), self._settled
        self._made.clear()
        self._settled = {}
        return made, settled

    def _check_limits(self) -> None:
        if self.count >= self._limits.max_calls:
            raise TaskError(
                f"{self._where()}: the task has made {self.count} calls, and no more are allowed (max_calls). "
                "Let child tasks do parts of the work: run_task(...)"
            )
        if self.count == self._limits.warn_calls:
            _log.warning(
                "%s has made %d calls: each resume replays them all. Child tasks keep histories short",
                self._name,
                self.count,
            )

    def _differs(self, call: Call, recorded: StackRun) -> NonDeterminismError:
        return NonDeterminismError(
            f"{self._where()}: call {call.sequence} is now `{identity.described(call.operation, call.input)}`, and was "
            f"`{identity.described(recorded.operation, recorded.input)}` when it was recorded. {self._changed()}"
        )

    def _not_made(self, recorded: StackRun) -> NonDeterminismError:
        return NonDeterminismError(
            f"call {recorded.sequence}, `{identity.described(recorded.operation, recorded.input)}`, was recorded, "
            f"and is not made now: after {self.count} calls the task stands at {self._where()}. {self._changed()}"
        )


def _error_of(outcome: StackRun) -> Mapping[str, Any]:
    if isinstance(outcome.error, dict):
        return outcome.error
    return {"type": "CancelledError", "message": f"{outcome.operation} was {outcome.status}"}


def _is_history(recorded: StackRun | None) -> bool:
    return recorded is not None and recorded.position is not None
