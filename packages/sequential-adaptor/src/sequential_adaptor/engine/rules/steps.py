"""What the rules are made of."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from sequential_adaptor.lifecycles import STACK_RUN, TASK_RUN
from sequential_adaptor.records import StackRun, TaskRun
from sequential_adaptor.storage.changes import Update

GIVEN_BACK: Final[Mapping[str, Any]] = {"worker": None, "lease_expires_at": None}


def run_to(run: TaskRun, status: str, expect: Mapping[str, Any] | None = None, **fields: Any) -> Update:
    """The run goes to another status, or stays in one that has not ended."""
    TASK_RUN.check(run.id, run.status, status)
    return Update(TaskRun, run.id, {"status": status, **fields}, expect or {})


def stack_to(found: StackRun, status: str, expect: Mapping[str, Any] | None = None, **fields: Any) -> Update:
    """The frame or call goes to another status, or stays in one that has not ended."""
    STACK_RUN.check(found.id, found.status, status)
    return Update(StackRun, found.id, {"status": status, **fields}, expect or {})
