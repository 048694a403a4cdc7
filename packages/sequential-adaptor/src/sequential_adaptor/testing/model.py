"""The model in memory: the storage interface said again, as plainly as it can be, to hold a backend against.

It is no adapter: nothing is checked, nothing waits, and the time is told to it. Written for obvious correctness,
without the parts that backends share, so that it does not share their faults.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from sequential_adaptor import values
from sequential_adaptor.errors import ClaimLost, Conflict, RecordExists, RecordNotFound
from sequential_adaptor.records import JSON_FIELDS, StackRun, TaskFunction, TaskRun, field_names, version_of
from sequential_adaptor.storage import Change, Claim, Create, Update

ENDED = ("completed", "failed", "cancelled")


class Model:
    """What a store holds, and what each method of the interface makes of it. ``now`` is set before each use."""

    def __init__(self, now: datetime) -> None:
        self.now = now
        self.records: dict[tuple[type, str], Any] = {}
        self.functions: dict[str, dict[str, TaskFunction]] = {}
        self.current: dict[str, str] = {}
        self.keystore: dict[str, Any] = {}
        self.commits: set[str] = set()

    # ---- records

    def create(self, given: Any) -> Any:
        """Store a record, unless an identical one is there."""
        record = self._filled_in(given)
        stored = self.records.get((type(record), record.id))
        if stored is None:
            self.records[type(record), record.id] = record
            return record
        if not _same(stored, record):
            raise RecordExists(type(record).__name__, record.id)
        return stored

    def _filled_in(self, given: Any) -> Any:
        created_at = given.created_at or self.now
        record = replace(given, created_at=created_at, updated_at=given.updated_at or created_at)
        if isinstance(record, StackRun) and record.status == "pending" and record.due_at is None:
            return replace(record, due_at=min(created_at, self.now))
        return record

    def get(self, kind: type, id: str) -> Any:
        """The record, or ``None``."""
        return self.records.get((kind, id))

    def update(self, kind: type, id: str, changes: Mapping[str, Any]) -> Any:
        """Change fields of a record."""
        if (kind, id) not in self.records:
            raise RecordNotFound(kind.__name__, id)
        changed = replace(self.records[kind, id], **{"updated_at": self.now, **changes})
        self.records[kind, id] = changed
        return changed

    def query(self, kind: type, filter: Mapping[str, Any], order_by: str, newest_first: bool) -> list[Any]:
        """All records that the filter finds, in order."""
        found = [record for (its, _), record in self.records.items() if its is kind and _meets(record, filter)]
        found.sort(key=lambda record: record.id)
        found.sort(key=lambda record: _rank(getattr(record, order_by)))
        return found[::-1] if newest_first else found

    def delete(self, run_id: str) -> bool:
        """Forget a run with all its stack runs."""
        there = (TaskRun, run_id) in self.records
        self.records = {
            (kind, id): record
            for (kind, id), record in self.records.items()
            if (record.task_run_id if kind is StackRun else id) != run_id
        }
        return there

    # ---- what is due

    def due(self) -> list[StackRun]:
        """The stack runs that may be claimed, the longest due first."""
        found = [record for (kind, _), record in self.records.items() if kind is StackRun and self._is_due(record)]
        return sorted(found, key=lambda record: (record.due_at, record.id))

    def _is_due(self, record: StackRun) -> bool:
        is_free = record.lease_expires_at is None or record.lease_expires_at <= self.now
        return record.status not in ENDED and record.due_at is not None and record.due_at <= self.now and is_free

    def pending(self) -> list[StackRun]:
        """The calls that are due and were not begun."""
        return [record for record in self.due() if record.status == "pending" and record.operation != "task_init"]

    def claim(self, worker: str, limit: int, lease: float, ids: Collection[str] | None) -> list[Claim]:
        """Give what is due to a worker."""
        wanted = [record for record in self.due() if ids is None or record.id in ids]
        return [self._hold(record, worker, record.token + 1, lease) for record in wanted[:limit]]

    def heartbeat(self, claims: Sequence[Claim], lease: float) -> list[Claim]:
        """Extend what is still held."""
        kept = [claim for claim in claims if self._is_held(claim)]
        return [self._hold(self.records[StackRun, c.stack_run.id], c.worker, c.token, lease) for c in kept]

    def _hold(self, record: StackRun, worker: str, token: int, lease: float) -> Claim:
        expires_at = self.now + timedelta(seconds=lease)
        held = replace(record, worker=worker, token=token, lease_expires_at=expires_at)
        self.records[StackRun, record.id] = held
        return Claim(held, worker, token, expires_at)

    def _is_held(self, claim: Claim) -> bool:
        stored = self.records.get((StackRun, claim.stack_run.id))
        if stored is None or stored.worker != claim.worker or stored.token != claim.token:
            return False
        return stored.lease_expires_at is not None and stored.lease_expires_at > self.now

    # ---- commits

    def commit(self, changes: Sequence[Change], claims: Sequence[Claim], id: str) -> None:
        """Write all the changes or none."""
        if id in self.commits:
            return
        for claim in claims:
            if not self._is_held(claim):
                raise ClaimLost(claim.stack_run.id, claim.token)
        before = dict(self.records)
        try:
            for change in changes:
                self._apply(change, id)
        except Exception:
            self.records = before
            raise
        self.commits.add(id)

    def _apply(self, change: Change, commit: str) -> None:
        if isinstance(change, Create):
            new = (type(change.record), change.record.id) not in self.records
            self.create(change.record)
            written: tuple[type, str] | None = (type(change.record), change.record.id) if new else None
        elif isinstance(change, Update):
            self._expect(change)
            self.update(change.record, change.id, change.changes)
            written = (change.record, change.id)
        else:
            self._wake(change.stack_run_id)
            written = None
        if written is not None and written[0] is StackRun:
            self.records[written] = replace(self.records[written], last_commit=commit)

    def _expect(self, change: Update) -> None:
        stored = self.records.get((change.record, change.id))
        if stored is None:
            raise RecordNotFound(change.record.__name__, change.id)
        for name, expected in change.expect.items():
            found = getattr(stored, name)
            if values.encode(_plain(found)) != values.encode(_plain(expected)):
                raise Conflict(change.record.__name__, change.id, name, expected, found)

    def _wake(self, id: str) -> None:
        stored = self.records.get((StackRun, id))
        if stored is None:
            raise RecordNotFound("StackRun", id)
        if stored.status not in ENDED:
            self.update(StackRun, id, {"due_at": self.now, "wakes": stored.wakes + 1})

    # ---- functions and keystore

    def store_function(self, identifier: str, code: str) -> TaskFunction:
        """Keep a version, and make it the current one."""
        function = TaskFunction(identifier=identifier, code=code, version=version_of(code), created_at=self.now)
        self.functions.setdefault(identifier, {})[function.version] = function
        self.current[identifier] = function.version
        return function

    def get_function(self, identifier: str, version: str | None) -> TaskFunction | None:
        """A version, or the current one."""
        wanted = self.current.get(identifier, "") if version is None else version
        return self.functions.get(identifier, {}).get(wanted)

    def delete_key(self, key: str) -> bool:
        """Forget a key; say whether there was one."""
        there = key in self.keystore
        self.keystore.pop(key, None)
        return there


def _plain(value: Any) -> Any:
    return value.isoformat() if isinstance(value, datetime) else value


def _rank(value: Any) -> tuple[int, Any]:
    return (0, 0) if value is None else (1, value)


def _meets(record: Any, filter: Mapping[str, Any]) -> bool:
    for name, wanted in filter.items():
        choices = wanted if isinstance(wanted, list) else [wanted]
        found = values.encode(_plain(getattr(record, name)))
        if found not in [values.encode(_plain(choice)) for choice in choices]:
            return False
    return True


def _same(stored: Any, record: Any) -> bool:
    """Whether the two are one record, whenever they were created."""
    for name in field_names(type(stored)):
        if name in ("created_at", "updated_at", "last_commit"):
            continue
        left, right = getattr(stored, name), getattr(record, name)
        if name == "due_at" and left == stored.created_at and right == record.created_at:
            continue
        if name in JSON_FIELDS[type(stored)] and values.encode(left) != values.encode(right):
            return False
        if left != right:
            return False
    return True
