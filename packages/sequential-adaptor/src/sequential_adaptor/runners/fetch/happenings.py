"""What happens to a frame, apart from its own code: outcomes of calls, timers, events, a cancellation."""

from __future__ import annotations

from collections.abc import Sequence

from sequential_adaptor.records import StackRun

TIMER, CANCEL, EVENT = "timer", "cancel", "event:"
PAUSES = frozenset({"forked", "retried"})
"""Where somebody took the task back to: it went on at another time."""


def is_call(record: StackRun) -> bool:
    """Whether a stack run below a frame is a call of its code, and not something that happened to it."""
    operation = record.operation
    if operation in PAUSES:
        return False
    return operation != TIMER and operation != CANCEL and not operation.startswith(EVENT)


def in_order(history: Sequence[StackRun]) -> list[StackRun]:
    """What has happened, in the order in which it was taken."""
    taken = [record for record in history if record.position is not None]
    return sorted(taken, key=lambda record: record.position or 0)
