"""The changes of a commit, each checked and made into a statement beforehand, where no lock is held."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from sequential_adaptor import ids
from sequential_adaptor.backends.sqlite.rows import STACK_RUNS, TABLES, Row, Table
from sequential_adaptor.backends.sqlite.schema import UNENDED
from sequential_adaptor.backends.sqlite.transactions import Transaction, Write
from sequential_adaptor.errors import InvalidValue, RecordExists, RecordNotFound
from sequential_adaptor.lifecycles import STACK_RUN, TASK_RUN
from sequential_adaptor.records import StackRun, TaskRun, check_changes, check_fields
from sequential_adaptor.storage import (
    Change,
    Create,
    Update,
    changed_record,
    check_expectations,
    is_repeat,
    new_stack_run,
    new_task_run,
)

_FIXED: Final = frozenset({"id", "created_at"})
_WAKE: Final = f"UPDATE stack_runs SET due_at = ?, wakes = wakes + 1, updated_at = ? WHERE id = ? AND {UNENDED}"


class Step(ABC):
    """One change, ready to be applied."""

    brings_work = False
    """Whether somebody may find work after it."""

    @abstractmethod
    def apply(self, transaction: Transaction) -> None:
        """Do it, or raise what says why it cannot be."""


class Creation(Step):
    """A new record; an identical one that is there is success."""

    def __init__(self, record: TaskRun | StackRun, **also: str) -> None:
        self._table: Table[Any] = TABLES[type(record)]
        self._record: Any = record
        self._row: Row = self._table.row(record, **also)
        self.brings_work = isinstance(record, StackRun) and record.due_at is not None and record.worker is None

    def apply(self, transaction: Transaction) -> None:
        """Store it."""
        if transaction.execute(self._table.insert, self._row).rowcount == 0:
            self._compare(transaction)

    def stored(self, transaction: Transaction) -> Any:
        """Store it, and give back what is stored then."""
        if transaction.execute(self._table.insert, self._row).rowcount == 0:
            return self._compare(transaction)
        return self._table.load(self._row)

    def _compare(self, transaction: Transaction) -> Any:
        stored = existing(transaction, self._table, self._record.id)
        if not is_repeat(stored, self._record):
            raise RecordExists(type(self._record).__name__, self._record.id)
        return stored


class Changing(Step):
    """Other values in some columns, where the expected ones are there."""

    def __init__(self, update: Update, now: datetime, commit: str) -> None:
        self._update = update
        self._table: Table[Any] = TABLES[update.record]
        self._id = check_id(update.record, update.id)
        check_fields(update.record, update.expect)
        changes = {**checked(update.record, update.changes, now)}
        if update.record is StackRun:
            changes["last_commit"] = commit
            self.brings_work = makes_due(update.changes)
        plain = {name: value for name, value in update.expect.items() if self._table.compares(name, value)}
        self._sql = self._table.update(changes, plain)
        self._bound = (*self._table.bind(changes), self._id, *self._table.bind(plain))
        self._careful = len(plain) < len(update.expect) or not _FIXED.isdisjoint(update.changes)

    def apply(self, transaction: Transaction) -> None:
        """Change the row; where there is none that is as expected, say what is wrong with the one there is."""
        if self._careful:
            self._check(transaction)
        if transaction.execute(self._sql, self._bound).rowcount == 0:
            self._check(transaction)
            raise AssertionError(f"SQLite and Python compare {self._update.expect!r} in different ways")

    def _check(self, transaction: Transaction) -> None:
        found = existing(transaction, self._table, self._id)
        check_expectations(self._update, found)
        changed_record(found, self._update.changes, transaction.now)


class Waking(Step):
    """A frame made due, if it has not ended."""

    brings_work = True

    def __init__(self, id: str) -> None:
        self._id = ids.check_stack_run_id(id)

    def apply(self, transaction: Transaction) -> None:
        """Make it due."""
        bound = (transaction.now_text, transaction.now_text, self._id)
        if transaction.execute(_WAKE, bound).rowcount == 0:
            existing(transaction, STACK_RUNS, self._id)


def raw_update(record: type, id: str, changes: Mapping[str, Any], now: datetime) -> Write[Any]:
    """Fields of a record changed whatever its lifecycle says; what is stored then."""
    table, id = TABLES[record], check_id(record, id)
    wanted = checked(record, changes, now)
    sql, bound = table.update(wanted, returning=True), (*table.bind(wanted), id)
    fixed = not _FIXED.isdisjoint(changes)

    def apply(transaction: Transaction) -> Any:
        if fixed:
            changed_record(existing(transaction, table, id), changes, now)
        row = transaction.execute(sql, bound).fetchone()
        if row is None:
            raise RecordNotFound(record.__name__, id)
        return row

    return Write(apply, brings_work=record is StackRun)


def step(change: Change, now: datetime, commit: str) -> Step:
    """A change, checked and made ready."""
    if isinstance(change, Update):
        return Changing(change, now, commit)
    if not isinstance(change, Create):
        return Waking(change.stack_run_id)
    if isinstance(change.record, TaskRun):
        return Creation(new_task_run(change.record, now))
    return Creation(new_stack_run(change.record, now), last_commit=commit)


def existing(transaction: Transaction, table: Table[Any], id: str) -> Any:
    """The record of that id, or :class:`RecordNotFound`."""
    row = transaction.execute(table.get, (id,)).fetchone()
    if row is None:
        raise RecordNotFound(table.record.__name__, id)
    return table.load(row)


def check_id(record: type, id: str) -> str:
    """The id, if it is one that such a record can have."""
    return ids.check_run_id(id) if record is TaskRun else ids.check_stack_run_id(id)


def checked(record: type, changes: Mapping[str, Any], now: datetime) -> Mapping[str, Any]:
    """The changes as they are to be written: checked like those of :func:`changed_record`, but for what is fixed."""
    check_changes(record, changes)
    states = (TASK_RUN if record is TaskRun else STACK_RUN).states
    status = changes.get("status", states[0])
    if status not in states:
        raise InvalidValue("$.status", f"{status!r} is no status (there are: {', '.join(states)})")
    return {"updated_at": now, **changes}


def makes_due(changes: Mapping[str, Any]) -> bool:
    """Whether changes of a stack run may make it due: it gets a time, or is given back."""
    return changes.get("due_at") is not None or ("due_at" not in changes and "lease_expires_at" in changes)
