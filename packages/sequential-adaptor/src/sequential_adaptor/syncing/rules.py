"""How records leave one store and arrive in another: pure functions from records to changes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, Final

from sequential_adaptor import values
from sequential_adaptor.engine.rules import lanes
from sequential_adaptor.lifecycles import STACK_RUN, TASK_RUN
from sequential_adaptor.records import JSON_FIELDS, StackRun, TaskRun, field_names
from sequential_adaptor.storage.changes import Change, Create, Update
from sequential_adaptor.syncing.queues import entering, waiting_outside

FOR_EVER: Final = datetime(9999, 1, 1, tzinfo=UTC)
_MARK: Final = "sequential sync "
_NOT_COPIED: Final = frozenset({"id", "created_at", "last_commit"})


def has_ended(row: TaskRun | StackRun) -> bool:
    """Whether nothing will ever happen to it."""
    return row.status in (TASK_RUN if isinstance(row, TaskRun) else STACK_RUN).ended


def is_held(row: StackRun, now: datetime) -> bool:
    """Whether a worker holds it."""
    return row.is_held(now) and move_of_parked(row) is None


def travelling(row: StackRun, move: str) -> StackRun:
    """The stack run as it arrives: nobody's, and parked where it has not ended."""
    if has_ended(row):
        return row.replace(worker=None, lease_expires_at=None)
    return waiting_outside(row).replace(worker=f"{_MARK}{move}", lease_expires_at=FOR_EVER)


def move_of_parked(row: StackRun) -> str | None:
    """The move by which a stack run was parked; ``None`` for one that is not."""
    if row.worker is None or not row.worker.startswith(_MARK) or row.lease_expires_at != FOR_EVER:
        return None
    return row.worker.removeprefix(_MARK)


def move_of_left(run: TaskRun) -> str | None:
    """The move by which a run has left its store; ``None`` for one that has not."""
    if run.status != "cancelled" or not isinstance(run.error, dict) or run.error.get("type") != "Moved":
        return None
    move = run.error.get("move")
    return move if isinstance(move, str) else None


def arriving(rows: Iterable[TaskRun | StackRun], present: Mapping[tuple[type, str], Any]) -> list[Change]:
    """The changes after which the target has the rows; a ``Conflict`` where it has something else by then."""
    changes: list[Change] = []
    for row in rows:
        kind = type(row)
        found = present.get((kind, row.id))
        if found is None:
            changes.append(Create(row))
        elif not is_same(found, row):
            fields = {name: getattr(row, name) for name in field_names(kind) if name not in _NOT_COPIED}
            seen = ("status",) if kind is TaskRun else ("status", "token", "worker")
            changes.append(Update(kind, row.id, fields, {name: getattr(found, name) for name in seen}))
    return changes


def is_same(left: TaskRun | StackRun, right: TaskRun | StackRun) -> bool:
    """Whether the two are one record as far as it travels."""
    kind = type(left)
    payloads = JSON_FIELDS[kind]
    for name in field_names(kind):
        one, other = getattr(left, name), getattr(right, name)
        if name not in _NOT_COPIED and (not values.identical(one, other) if name in payloads else one != other):
            return False
    return True


def leaving(run: TaskRun, rows: Iterable[StackRun], move: str, where: str, now: datetime) -> list[Change]:
    """A run ends at the source because it goes on elsewhere; a ``Conflict`` where anything happened to it meanwhile.

    Whatever may happen to a run while nobody holds it is an outcome of an open call, or wakes the frame.
    """
    error = {"type": "Moved", "message": f"moved to {where}, where it goes on", "to": where, "move": move}
    ended: dict[str, Any] = {"status": "cancelled", "error": error, "ended_at": now}
    changes: list[Change] = [Update(TaskRun, run.id, ended, {"status": run.status})]
    for row in rows:
        if not has_ended(row):
            gone = {**ended, "due_at": None, "worker": None, "lease_expires_at": None, "token": row.token + 1}
            gone |= lanes.left(row)
            expect = {"token": row.token, "status": row.status, "wakes": row.wakes}
            changes.append(Update(StackRun, row.id, gone, expect))
    return changes


def released(rows: Iterable[StackRun]) -> list[Change]:
    """Parked stack runs are free to be taken up, as if nothing had happened to them on the way."""
    changes: list[Change] = []
    for row in rows:
        if move_of_parked(row) is not None:
            place, news = entering(row)
            free = {"worker": None, "lease_expires_at": None, "updated_at": row.updated_at, **place}
            changes += [Update(StackRun, row.id, free, {"worker": row.worker}), *news]
    return changes
