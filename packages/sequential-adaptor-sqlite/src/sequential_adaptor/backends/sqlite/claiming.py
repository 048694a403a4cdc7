"""Claims and leases: who works on what is due."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from sequential_adaptor import ids as names
from sequential_adaptor import values
from sequential_adaptor.backends.sqlite.rows import STACK_RUNS, Bound
from sequential_adaptor.backends.sqlite.schema import UNENDED
from sequential_adaptor.backends.sqlite.transactions import Transaction, Write
from sequential_adaptor.records import ROOT_OPERATION, time_to_text
from sequential_adaptor.storage import Claim

_UNENDED_DUE: Final = f"due_at IS NOT NULL AND {UNENDED}"
_FREE: Final = "(lease_expires_at IS NULL OR lease_expires_at <= ?)"
_DUE: Final = f"{_UNENDED_DUE} AND due_at <= ? AND {_FREE}"
_DUE_AMONG: Final = f"{_DUE} AND id IN (SELECT value FROM json_each(?))"

_ANY: Final = "SELECT 1 FROM stack_runs WHERE {due} LIMIT 1"
_CLAIM: Final = (
    "UPDATE stack_runs SET worker = ?, token = token + 1, lease_expires_at = ? "
    "WHERE id IN (SELECT id FROM stack_runs WHERE {due} ORDER BY due_at, id LIMIT ?) "
    f"RETURNING {STACK_RUNS.columns}"
)
_EXTEND: Final = (
    "UPDATE stack_runs SET lease_expires_at = ? WHERE id = ? AND token = ? AND worker = ? AND lease_expires_at > ? "
    f"RETURNING {STACK_RUNS.columns}"
)
_PENDING: Final = (
    f"SELECT {STACK_RUNS.columns} FROM stack_runs "
    f"WHERE {_DUE} AND status = 'pending' AND operation <> '{ROOT_OPERATION}' ORDER BY due_at, id"
)
_NEXT_DUE: Final = f"SELECT min(due_at) FROM stack_runs WHERE {_UNENDED_DUE} AND due_at > ?"
# What is held was claimed oldest first, so that it is found among the first; however much more is due, this ends there.
_OLDEST: Final = (
    f"SELECT lease_expires_at AS ends FROM stack_runs WHERE {_UNENDED_DUE} AND due_at <= ? ORDER BY due_at, id"
)
_NEXT_FREE: Final = f"SELECT min(ends) FROM ({_OLDEST} LIMIT 1000) WHERE ends > ?"


def claim(worker: str, limit: int, lease: float, ids: Collection[str] | None) -> Write[list[Claim]]:
    """Give due stack runs to a worker, oldest first. No lock is taken where nothing is due."""
    values.check(worker, "$.worker")
    due, among = _among(ids)
    limit = max(limit, 0)

    def worthwhile(connection: sqlite3.Connection) -> bool:
        now = time_to_text(datetime.now(UTC))
        return limit > 0 and connection.execute(_ANY.format(due=due), (now, now, *among)).fetchone() is not None

    def apply(transaction: Transaction) -> list[Claim]:
        now = transaction.now_text
        expires_at = transaction.now + timedelta(seconds=lease)
        bound = (worker, time_to_text(expires_at), now, now, *among, limit)
        found = STACK_RUNS.load_all(transaction.execute(_CLAIM.format(due=due), bound).fetchall())
        found.sort(key=lambda one: (one.due_at, one.id))
        return [Claim(one, worker, one.token, expires_at) for one in found]

    return Write(apply, worthwhile=worthwhile, otherwise=[])


def _among(ids: Collection[str] | None) -> tuple[str, tuple[Bound, ...]]:
    if ids is None:
        return _DUE, ()
    return _DUE_AMONG, (values.encode([names.check_stack_run_id(id) for id in ids]),)


def heartbeat(claims: Sequence[Claim], lease: float) -> Write[list[Claim]]:
    """Extend the leases of those claims that are still held."""

    def apply(transaction: Transaction) -> list[Claim]:
        expires_at = transaction.now + timedelta(seconds=lease)
        kept = (_extended(transaction, claim, expires_at) for claim in claims)
        return [claim for claim in kept if claim is not None]

    return Write(apply)


def _extended(transaction: Transaction, claim: Claim, expires_at: datetime) -> Claim | None:
    bound = (time_to_text(expires_at), claim.stack_run.id, claim.token, claim.worker, transaction.now_text)
    row = transaction.execute(_EXTEND, bound).fetchone()
    return None if row is None else Claim(STACK_RUNS.load(row), claim.worker, claim.token, expires_at)


def pending(connection: sqlite3.Connection) -> list[Any]:
    """The rows of the calls that are pending and due."""
    now = time_to_text(datetime.now(UTC))
    return connection.execute(_PENDING, (now, now)).fetchall()


def next_due(connection: sqlite3.Connection) -> str | None:
    """When something becomes due that is not due yet: its time comes, or the lease of its holder ends."""
    now = time_to_text(datetime.now(UTC))
    [due] = connection.execute(_NEXT_DUE, (now,)).fetchone()
    [free] = connection.execute(_NEXT_FREE, (now, now)).fetchone()
    return min((time for time in (due, free) if time is not None), default=None)
