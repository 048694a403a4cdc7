"""A commit as JSON for the database, and what its refusal means."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from sequential_adaptor import ids
from sequential_adaptor.backends.supabase.checking import (
    BY_THE_STORE,
    check_id,
    check_text,
    checked_changes,
    expectations,
    new_fields,
)
from sequential_adaptor.backends.supabase.plain import Target, kind_of, plain_rows
from sequential_adaptor.backends.supabase.rows import TABLES, to_text
from sequential_adaptor.errors import ClaimLost, RecordExists, RecordNotFound
from sequential_adaptor.records import StackRun, TaskRun, check_changes
from sequential_adaptor.storage import (
    Change,
    Claim,
    Create,
    Update,
    Wake,
    changed_record,
    check_expectations,
    new_stack_run,
    new_task_run,
)

_NAMES: Final[Mapping[type, str]] = {TaskRun: "task run", StackRun: "stack run"}
_SOON: Final = timedelta(seconds=1)


class Commit:
    """Changes under claims: ``rows`` is what a plain commit comes to (:func:`plain_rows`), ``brings_work`` whether
    somebody may find work after it."""

    def __init__(self, changes: Sequence[Change], claims: Sequence[Claim], id: str) -> None:
        self.id = check_text("id", id)
        self._changes, self._claims = tuple(changes), tuple(claims)
        self.held = [_held(claim) for claim in self._claims]
        self._written = [write_change(change) for change in self._changes]
        self.rows = plain_rows(id, self._written)
        self.brings_work = any(_brings_work(change) for change in self._changes)

    @property
    def size(self) -> int:
        """About how many characters it takes: payloads are what is large."""
        fields = [change[2] for change in self._written if len(change) > 2]
        return sum(len(value) for given in fields for value in given.values() if isinstance(value, str))

    @property
    def touches(self) -> set[Target]:
        """The records that it is about."""
        written = {(kind_of(change[0]), change[1]) for change in self._written}
        return written | {("stack run", held[0]) for held in self.held}

    @property
    def meets(self) -> set[str]:
        """The stack runs at which other commits may be at work at this moment."""
        woken = {change.stack_run_id for change in self._changes if isinstance(change, Wake)}
        return woken | {held[0] for held in self.held}

    @property
    def text(self) -> str:
        """The commit as ``sequential_apply`` takes it."""
        return to_text({"id": self.id, "claims": self.held, "changes": self._written})

    def refusal(self, detail: str) -> Exception:
        """The error that says why the database has refused it."""
        told = json.loads(detail)
        if told["kind"] == "claim":
            claim = self._claims[told["place"]]
            return ClaimLost(claim.stack_run.id, claim.token)
        change = self._changes[told["place"]]
        if isinstance(change, Create):
            return RecordExists(type(change.record).__name__, change.record.id)
        if isinstance(change, Wake):
            return RecordNotFound(StackRun.__name__, change.stack_run_id)
        return update_refusal(change, told["found"])


def _held(claim: Claim) -> tuple[str, str, int]:
    """A claim, checked: whoever made it up himself is told so, and those beside him in the group are not."""
    check_changes(StackRun, {"worker": claim.worker, "token": claim.token})
    return ids.check_stack_run_id(claim.stack_run.id), claim.worker, claim.token


def write_change(change: Change) -> list[Any]:
    """A change, checked, as ``sequential_apply`` takes it."""
    if isinstance(change, Wake):
        return ["wake", ids.check_stack_run_id(change.stack_run_id)]
    if isinstance(change, Update):
        id = check_id(change.record, change.id)
        fields, fixed = checked_changes(change.record, id, change.changes)
        return [f"update {_NAMES[change.record]}", id, fields, {**fixed, **expectations(change.record, change.expect)}]
    made = _made(change.record)
    return [f"create {_NAMES[type(made)]}", made.id, new_fields(made)]


def update_refusal(change: Update, found: Mapping[str, Any] | None) -> Exception:
    """Why an update was not possible on the row that was found; the first reason there is."""
    if found is None:
        return RecordNotFound(change.record.__name__, change.id)
    table = TABLES[change.record]
    stored = table.read({name: found[name] for name in table.fields})  # jsonb has an order of its own
    try:
        check_expectations(change, stored)
        changed_record(stored, change.changes, BY_THE_STORE)
    except Exception as error:
        return error
    return AssertionError(f"Postgres and Python compare {change.expect!r} in different ways")


def is_work(record: StackRun) -> bool:
    """Whether somebody may soon find it due: not where it is held, as the frame is of a run that begins here."""
    if record.lease_expires_at is not None and not _is_soon(record.lease_expires_at):
        return False
    return record.status == "pending" if record.due_at is None else _is_soon(record.due_at)


def _made(given: TaskRun | StackRun) -> TaskRun | StackRun:
    return new_task_run(given, BY_THE_STORE) if isinstance(given, TaskRun) else new_stack_run(given, BY_THE_STORE)


def _brings_work(change: Change) -> bool:
    if isinstance(change, Wake):
        return True
    if isinstance(change, Create):
        record = change.record
        return isinstance(record, StackRun) and is_work(record)
    if change.record is not StackRun:
        return False
    if "due_at" in change.changes:
        return _is_soon(change.changes["due_at"])
    return "lease_expires_at" in change.changes


def _is_soon(due_at: datetime | None) -> bool:
    """By the clock of this machine, which may be wrong: then whoever waits learns of it by polling."""
    return due_at is not None and due_at <= datetime.now(UTC) + _SOON
