"""The changes of a commit, applied to a transaction one after the other."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sequential_adaptor import ids
from sequential_adaptor.backends.template.store import Transaction
from sequential_adaptor.errors import ClaimLost, RecordExists, RecordNotFound
from sequential_adaptor.lifecycles import STACK_RUN
from sequential_adaptor.records import StackRun, TaskRun
from sequential_adaptor.storage import (
    Change,
    Claim,
    Create,
    Update,
    changed_record,
    check_expectations,
    holds,
    is_repeat,
    new_stack_run,
    new_task_run,
)


def check_claims(transaction: Transaction, claims: Sequence[Claim], now: datetime) -> None:
    """Raise :class:`ClaimLost` for the first claim that no longer covers its stack run."""
    for claim in claims:
        found = transaction.get(StackRun, claim.stack_run.id)
        if found is None or not holds(claim, found, now):
            raise ClaimLost(claim.stack_run.id, claim.token)


def apply(transaction: Transaction, change: Change, commit: str, now: datetime) -> None:
    """Put one change into the transaction, or raise what says why it cannot be."""
    if isinstance(change, Create):
        if isinstance(change.record, TaskRun):
            create(transaction, new_task_run(change.record, now))
        else:
            create(transaction, new_stack_run(change.record, now).replace(last_commit=commit))
    elif isinstance(change, Update):
        _update(transaction, change, commit, now)
    else:
        _wake(transaction, change.stack_run_id, now)


def create(transaction: Transaction, record: Any) -> Any:
    """Put a new record, and give back what is stored: an identical one that was there before counts."""
    stored = transaction.get(type(record), record.id)
    if stored is None:
        transaction.put(record)
        return record
    if not is_repeat(stored, record):
        raise RecordExists(type(record).__name__, record.id)
    return stored


def existing(transaction: Transaction, record: type, id: str) -> Any:
    """The record of that id, or :class:`RecordNotFound`."""
    found = transaction.get(record, ids.check_run_id(id) if record is TaskRun else ids.check_stack_run_id(id))
    if found is None:
        raise RecordNotFound(record.__name__, id)
    return found


def _update(transaction: Transaction, change: Update, commit: str, now: datetime) -> None:
    found = existing(transaction, change.record, change.id)
    check_expectations(change, found)
    after = changed_record(found, change.changes, now)
    transaction.put(after.replace(last_commit=commit) if isinstance(after, StackRun) else after)


def _wake(transaction: Transaction, id: str, now: datetime) -> None:
    found = existing(transaction, StackRun, id)
    if found.status not in STACK_RUN.ended:
        transaction.put(changed_record(found, {"due_at": now, "wakes": found.wakes + 1}, now))
