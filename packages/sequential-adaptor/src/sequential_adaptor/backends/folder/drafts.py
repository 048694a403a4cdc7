"""Drafts: commits, claims and heartbeats checked against the state, and against those ahead of them in the same write.

Nothing here changes the state: a draft makes entries, and they are applied when they are safe in the journal.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, TypeAlias

from sequential_adaptor.backends.folder.entries import Entry, Op, deletion, whole
from sequential_adaptor.backends.folder.rows import Kind, Row, unseal
from sequential_adaptor.backends.folder.state import State
from sequential_adaptor.errors import ClaimLost, RecordExists, RecordNotFound, StorageDamaged
from sequential_adaptor.lifecycles import STACK_RUN
from sequential_adaptor.records import JSON_FIELDS, StackRun, TaskRun
from sequential_adaptor.storage.changes import Claim, Update, Wake
from sequential_adaptor.storage.filling import changed_record, is_repeat
from sequential_adaptor.storage.single_process import check_expectations, holds, is_due

_log = logging.getLogger("sequential_adaptor.folder")


@dataclass(frozen=True, slots=True)
class Put:
    """Store a row (already checked and filled in)."""

    row: Row


@dataclass(frozen=True, slots=True)
class Set:
    """Change a row: ``changes`` have their payloads as text, ``update`` is what was asked for."""

    update: Update
    changes: Mapping[str, Any]


Step: TypeAlias = Put | Set | Wake


class Draft:
    """One write to the journal in the making. Each of its entries is all or nothing by itself."""

    def __init__(self, state: State, now: datetime) -> None:
        self._state = state
        self.now = now
        self._rows: dict[tuple[Kind, str], Row | None] = {}
        self._deleted: set[str] = set()
        self._changes: dict[tuple[Kind, str], Row] = {}
        self._commits: set[str] = set()
        self._entry = Entry()

    def begin(self, commit: str | None = None) -> None:
        """Begin an entry."""
        self._changes, self._entry = {}, Entry(commit)

    def end(self) -> Entry:
        """The entry, which the next one builds on."""
        self._rows.update(self._changes)
        if self._entry.commit is not None:
            self._commits.add(self._entry.commit)
        return self._entry

    def is_done(self, commit: str) -> bool:
        """Whether that commit is written already."""
        return commit in self._state.commits or commit in self._commits

    # ---- the steps of a commit

    def check_claims(self, claims: Sequence[Claim]) -> None:
        """Raise :class:`ClaimLost` for the first claim that is no longer held."""
        for claim in claims:
            found = self._find(StackRun, claim.stack_run.id)
            if not isinstance(found, StackRun) or not holds(claim, found, self.now):
                raise ClaimLost(claim.stack_run.id, claim.token)

    def take(self, step: Step) -> Row:
        """Apply one step, and return the row as it then is."""
        if isinstance(step, Put):
            return self._put(step.row)
        if isinstance(step, Set):
            return self._set(step)
        return self._wake(step.stack_run_id)

    def _put(self, row: Row) -> Row:
        stored = self._find(type(row), row.id)
        if stored is not None:
            left: Any = stored
            right: Any = row
            if is_repeat(left, right):
                return stored
            raise RecordExists(type(row).__name__, row.id)
        if isinstance(row, StackRun) and self._entry.commit is not None:
            row = row.with_fields({"last_commit": self._entry.commit})
        return self._store(row)

    def _set(self, step: Set) -> Row:
        kind, id = step.update.record, step.update.id
        row: Any = self._existing(kind, id)
        expect = step.update.expect
        if expect:
            check_expectations(step.update, unseal(row) if expect.keys() & JSON_FIELDS[kind] else row)
        changes = dict(step.changes)
        if kind is StackRun and self._entry.commit is not None:
            changes["last_commit"] = self._entry.commit
        after: Row = changed_record(row, changes, self.now)
        if isinstance(after, StackRun) and after.task_run_id != getattr(row, "task_run_id", None):
            return self._store(after)
        self._change(after, (*changes, "updated_at"))
        return after

    def _wake(self, id: str) -> Row:
        row = self._existing(StackRun, id)
        if not isinstance(row, StackRun) or row.status in STACK_RUN.ended:
            return row
        after = row.with_fields({"due_at": self.now, "wakes": row.wakes + 1, "updated_at": self.now})
        self._change(after, ("due_at", "wakes", "updated_at"))
        return after

    def delete(self, run_id: str) -> bool:
        """Forget a run and all that belongs to it; say whether there was such a run."""
        found = self._find(TaskRun, run_id) is not None
        rows = {key: None for key, row in self._rows.items() if row is not None and _group(row) == run_id}
        if found or rows or self._state.has(run_id):
            self._rows.update(rows)
            self._deleted.add(run_id)
            self._entry.ops.append(deletion(run_id))
        return found

    # ---- claims

    def claim(self, worker: str, limit: int, lease: float, ids: Collection[str] | None) -> list[StackRun]:
        """Claim what is due, oldest first."""
        found = self._due(limit) if ids is None else self._due_among(ids)[:limit]
        expires_at = self.now + timedelta(seconds=lease)
        return [self._claim(row, worker, expires_at) for row in found]

    def _claim(self, row: StackRun, worker: str, expires_at: datetime) -> StackRun:
        fields = {"worker": worker, "token": row.token + 1, "lease_expires_at": expires_at}
        claimed = row.with_fields(fields)
        self._change(claimed, fields)
        return claimed

    def _due(self, limit: int) -> list[StackRun]:
        found: list[StackRun] = []

        def visit(id: str) -> bool:
            if (row := self._claimable(id)) is not None:
                found.append(row)
            return len(found) >= limit

        if limit > 0:
            self._state.schedule.visit_due(self.now, visit)
        return found

    def _due_among(self, ids: Collection[str]) -> list[StackRun]:
        known = (id for id in set(ids) if id in self._state.schedule)
        found = [row for id in known if (row := self._claimable(id)) is not None]
        return sorted(found, key=lambda row: (row.due_at, row.id))

    def _claimable(self, id: str) -> StackRun | None:
        try:
            row = self._find(StackRun, id)
        except StorageDamaged as error:
            self._state.schedule.set(id, None)
            _log.error("%s cannot be worked on until the store is repaired and opened again: %s", id, error)
            return None
        return row if isinstance(row, StackRun) and is_due(row, self.now) else None

    def heartbeat(self, claims: Sequence[Claim], lease: float) -> list[StackRun | None]:
        """Extend the claims that are still held; ``None`` for each of the others."""
        expires_at = self.now + timedelta(seconds=lease)
        found: list[StackRun | None] = []
        for claim in claims:
            row = self._find(StackRun, claim.stack_run.id)
            held = isinstance(row, StackRun) and holds(claim, row, self.now)
            found.append(self._extend(row, expires_at) if held and isinstance(row, StackRun) else None)
        return found

    def _extend(self, row: StackRun, expires_at: datetime) -> StackRun:
        extended = row.with_fields({"lease_expires_at": expires_at})
        self._change(extended, ("lease_expires_at",))
        return extended

    # ---- rows

    def _find(self, kind: Kind, id: str) -> Row | None:
        key = (kind, id)
        for rows in (self._changes, self._rows):
            if key in rows:
                return rows[key]
        row = self._state.row(kind, id)
        return None if row is None or _group(row) in self._deleted else row

    def _existing(self, kind: Kind, id: str) -> Row:
        row = self._find(kind, id)
        if row is None:
            raise RecordNotFound(kind.__name__, id)
        return row

    def _store(self, row: Row) -> Row:
        self._add(whole(row, _group(row)))
        self._changes[type(row), row.id] = row
        return row

    def _change(self, row: Row, names: Collection[str]) -> None:
        fields = {name: getattr(row, name) for name in names}
        self._add(Op(type(row), _group(row), row.id, fields, False))
        self._changes[type(row), row.id] = row

    def _add(self, op: Op) -> None:
        if op.group not in self._deleted:
            self._state.group(op.group)  # raises where its files are damaged: an entry would have nothing to build on
        self._entry.ops.append(op)


def _group(row: Row) -> str:
    """The run whose files hold a row."""
    return row.task_run_id if isinstance(row, StackRun) else row.id
