"""The schedule: what is due, and when the rest will be, at a cost that does not grow with what is stored."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from datetime import datetime
from typing import NamedTuple

from sequential_adaptor.lifecycles import STACK_RUN
from sequential_adaptor.records import StackRun, time_from_text, time_to_text


class Slot(NamedTuple):
    """When one stack run may be claimed: from ``due_at`` on, and not before its lease has ended."""

    id: str
    due_at: datetime
    free_at: datetime
    is_pending_call: bool

    @classmethod
    def of(cls, row: StackRun) -> Slot | None:
        """The slot of a row, ``None`` where nobody will ever claim it as it is."""
        if row.due_at is None or row.status in STACK_RUN.ended:
            return None
        free_at = row.due_at if row.lease_expires_at is None else max(row.due_at, row.lease_expires_at)
        return cls(row.id, row.due_at, free_at, row.status == "pending" and not row.is_frame)

    def to_json(self) -> list[str | bool]:
        """The slot as a list for the index."""
        return [self.id, time_to_text(self.due_at), time_to_text(self.free_at), self.is_pending_call]

    @classmethod
    def from_json(cls, found: list[str]) -> Slot:
        """The slot that :meth:`to_json` wrote."""
        return cls(found[0], time_from_text(found[1]), time_from_text(found[2]), bool(found[3]))


class Schedule:
    """All slots, those that wait apart from those that are due. What is outdated in a heap is dropped when it comes
    up.
    """

    def __init__(self) -> None:
        self._slots: dict[str, Slot] = {}
        self._calls: dict[str, Slot] = {}
        self._waiting: list[tuple[datetime, str]] = []
        self._due: list[tuple[datetime, str]] = []

    def set(self, id: str, slot: Slot | None) -> None:
        """Put the slot of a stack run in the place of the one before."""
        if self._slots.get(id) == slot:
            return
        self._slots.pop(id, None)
        self._calls.pop(id, None)
        if slot is None:
            return
        self._slots[id] = slot
        if slot.is_pending_call:
            self._calls[id] = slot
        heapq.heappush(self._waiting, (slot.free_at, id))
        if len(self._waiting) > 2 * len(self._slots) + 1000:
            self._tidy()

    def _tidy(self) -> None:
        """Drop what is outdated; what is due comes up again in ``_waiting``."""
        self._waiting = [(slot.free_at, id) for id, slot in self._slots.items()]
        heapq.heapify(self._waiting)
        self._due = []

    def advance(self, now: datetime) -> bool:
        """Move what has become due; say whether there was any."""
        moved = False
        while self._waiting and self._waiting[0][0] <= now:
            free_at, id = heapq.heappop(self._waiting)
            slot = self._slots.get(id)
            if slot is not None and slot.free_at == free_at:
                heapq.heappush(self._due, (slot.due_at, id))
                moved = True
        return moved

    def has_due(self, now: datetime) -> bool:
        """Whether a claim would find something."""
        self.advance(now)
        while self._due:
            due_at, id = self._due[0]
            if self._is_current(due_at, id, now):
                return True
            heapq.heappop(self._due)
        return False

    def visit_due(self, now: datetime, visit: Callable[[str], bool]) -> None:
        """Show what is due, oldest ``due_at`` first, until ``visit`` says that it has seen enough."""
        self.advance(now)
        seen: list[tuple[datetime, str]] = []
        try:
            while self._due:
                item = heapq.heappop(self._due)
                if seen and item == seen[-1]:
                    continue  # it became due more than once, and is to be claimed once
                if self._is_current(*item, now):
                    seen.append(item)
                    if visit(item[1]):
                        break
        finally:  # what was claimed changes its slot, and is dropped here when it comes up again
            for item in seen:
                heapq.heappush(self._due, item)

    def _is_current(self, due_at: datetime, id: str, now: datetime) -> bool:
        slot = self._slots.get(id)
        if slot is None or slot.due_at != due_at:
            return False
        if slot.free_at > now:  # claimed since; or the clock went back
            heapq.heappush(self._waiting, (slot.free_at, id))
            return False
        return True

    def pending_calls(self, now: datetime) -> list[str]:
        """The ids of calls that are pending and due, oldest ``due_at`` first."""
        found = [(slot.due_at, id) for id, slot in self._calls.items() if slot.free_at <= now]
        return [id for _, id in sorted(found)]

    def next_time(self) -> datetime | None:
        """When the next of those that wait becomes due, or sooner."""
        return self._waiting[0][0] if self._waiting else None

    def __contains__(self, id: str) -> bool:
        return id in self._slots

    def __len__(self) -> int:
        return len(self._slots)
