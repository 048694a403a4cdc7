"""What a commit is made of, and the claims that it is made under."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TypeAlias

from sequential_adaptor.records import StackRun, TaskRun


@dataclass(frozen=True, slots=True)
class Claim:
    """One stack run, given to one worker until ``expires_at`` by the store's clock.

    ``token`` grows with each claim of that stack run: it is the fencing token that a commit is checked by.
    ``stack_run`` is the record as it was when the claim was made or last extended.
    """

    stack_run: StackRun
    worker: str
    token: int
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class Create:
    """Store a new record. An identical one that exists is success; a different one of that id is ``RecordExists``."""

    record: TaskRun | StackRun


@dataclass(frozen=True, slots=True)
class Update:
    """Change some fields of a record, if the fields of ``expect`` have the values there (``Conflict`` otherwise)."""

    record: type[TaskRun | StackRun]
    id: str
    changes: Mapping[str, Any]
    expect: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Wake:
    """Make a frame due: ``due_at`` = now and ``wakes`` + 1. Nothing on a frame that has ended."""

    stack_run_id: str


Change: TypeAlias = Create | Update | Wake
