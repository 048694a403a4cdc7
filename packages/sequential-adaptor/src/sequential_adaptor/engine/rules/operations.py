"""What stack runs are for, by their ``operation``."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from sequential_adaptor.records import StackRun

TIMER: Final = "timer"
CANCEL: Final = "cancel"
EVENT: Final = "event:"
WAIT: Final = "wait:"
SLEEP: Final = "sleep"
STEP: Final = "step:"
CHILD: Final = "task:"
FORKED: Final = "forked"
RETRIED: Final = "retried"


def is_child(record: StackRun) -> bool:
    """Whether the call is a run of its own."""
    return record.operation.startswith(CHILD)


def is_performed(operation: str) -> bool:
    """Whether a worker performs it (and not a child run, or the task's own clock and inbox)."""
    return operation != SLEEP and not operation.startswith((WAIT, CHILD))


def is_performed_by_holder(record: StackRun) -> bool:
    """Whether it is covered by the frame's claim: its holder performs it, also when it finds it after a crash."""
    return record.status == "in_progress" and record.due_at is None and is_performed(record.operation)


def when(happening: StackRun) -> tuple[datetime, str]:
    """The order in which things that have happened are taken."""
    assert happening.ended_at is not None  # whatever has ended has a time
    return happening.ended_at, happening.id
