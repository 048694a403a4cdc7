"""How root frames move from lane to lane: pure functions from frames to changes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from sequential_adaptor.engine.queues.admission import Ticket
from sequential_adaptor.engine.queues.settings import QueueSettings
from sequential_adaptor.engine.rules import lanes
from sequential_adaptor.lifecycles import STACK_RUN
from sequential_adaptor.records import StackRun
from sequential_adaptor.storage.changes import Change, Update

GATE: Final = "gate"
"""Where the ``options`` of a queue's frame have its settings."""
BOUNCED: Final = "bounced"
PER_WORKER: Final = "per_worker"
_APART: Final = timedelta(microseconds=1)


def has_ended(row: StackRun) -> bool:
    """Whether nothing will happen to the frame."""
    return row.status in STACK_RUN.ended


def ticket(row: StackRun) -> Ticket:
    """The run as the laws of admission see it."""
    return Ticket(row.id, priority_of(row), key_of(row), taken_up=is_taken_up(row))


def is_taken_up(row: StackRun) -> bool:
    """Whether a worker has begun with it."""
    return row.status == "in_progress" or row.suspended_at is not None


def key_of(row: StackRun) -> str | None:
    """The key by which it excludes others."""
    found = (lanes.queued(row) or {}).get("key")
    return None if found is None else str(found)


def priority_of(row: StackRun) -> int:
    """How urgent it is."""
    return int((lanes.queued(row) or {}).get("priority") or 0)


def order(row: StackRun) -> tuple[int, datetime | None, str]:
    """Who comes first: the highest priority, then the oldest."""
    return -priority_of(row), row.created_at, row.id


def waiting_lane(row: StackRun) -> str:
    """Where it waits for its turn."""
    return lanes.lane(str(lanes.queue_of(row)), lanes.waiting(priority_of(row)))


def admitted(rows: Sequence[StackRun], settings: QueueSettings, now: datetime) -> list[Change]:
    """They may be taken up, in this order."""
    name = lanes.CALLED if settings.limit is None else lanes.HELD
    changes: list[Change] = []
    for place, row in enumerate(rows):
        fields: dict[str, Any] = {"due_at": now + place * _APART}
        if settings.per_worker is not None:
            fields["options"] = _with(row, {PER_WORKER: settings.per_worker})
        changes.append(_moved(row, lanes.lane(str(lanes.queue_of(row)), name), fields))
    return changes


def parked(rows: Iterable[StackRun]) -> list[Change]:
    """Another of their key is further on: they are not looked at until that has ended."""
    return [
        _moved(row, lanes.lane(str(lanes.queue_of(row)), lanes.parked(str(key_of(row)), priority_of(row))))
        for row in rows
    ]


def unparked(rows: Iterable[StackRun]) -> list[Change]:
    """They wait for their turn again, at their old place."""
    return [_moved(row, waiting_lane(row)) for row in rows]


def released(rows: Iterable[StackRun]) -> list[Change]:
    """They have ended, and their queue has seen it."""
    return [_moved(row, None) for row in rows]


def given_up(rows: Iterable[StackRun]) -> list[Change]:
    """They ended while they waited: others of their key do not wait for them."""
    return [_moved(row, lanes.lane(str(lanes.queue_of(row)), lanes.RELEASED)) for row in rows]


def recalled(rows: Iterable[StackRun], now: datetime) -> list[Change]:
    """They found no worker that had room, and now there may be one."""
    return [
        Update(StackRun, row.id, {"due_at": now}, {"due_at": row.due_at, "token": row.token})
        for row in rows
        if row.due_at is not None and row.due_at > now and BOUNCED in (lanes.queued(row) or {})
    ]


def bounced(row: StackRun, now: datetime) -> Update:
    """The worker has no room for it: it is due again in a moment, each time a longer one, for others before that."""
    times = int((lanes.queued(row) or {}).get(BOUNCED) or 0)
    pause = timedelta(seconds=min(0.05 * 2**times, 2.0))
    fields = {"due_at": now + pause, "options": _with(row, {BOUNCED: min(times + 1, 10)}), "progress_token": row.token}
    return Update(StackRun, row.id, {**fields, "worker": None, "lease_expires_at": None})


def last_of_each(changes: Iterable[Change]) -> list[Change]:
    """One change for each record: a frame that is freed and admitted at once just moves on."""
    last: dict[str, Change] = {}
    for change in changes:
        assert isinstance(change, Update)  # a gate moves frames, and makes none
        last[change.id] = change
    return list(last.values())


def _moved(row: StackRun, to: str | None, fields: dict[str, Any] | None = None) -> Update:
    expect = {"parent_stack_run_id": row.parent_stack_run_id, "status": row.status}
    return Update(StackRun, row.id, {"parent_stack_run_id": to, **(fields or {})}, expect)


def _with(row: StackRun, more: dict[str, Any]) -> dict[str, Any]:
    return {**(row.options or {}), lanes.QUEUED: {**(lanes.queued(row) or {}), **more}}
