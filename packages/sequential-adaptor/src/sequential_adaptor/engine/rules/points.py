"""Points in a run's history to which it can be taken back: pure questions to its rows.

A point lies just before the outcome of a call was taken. What was taken before it is replayed. Of the calls that had
been made by then, those whose outcome came later may keep it; everything else has not happened yet.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from sequential_adaptor.engine.rules.operations import EVENT, SLEEP, WAIT
from sequential_adaptor.lifecycles import STACK_RUN
from sequential_adaptor.records import StackRun


@dataclass(frozen=True, slots=True)
class Point:
    """``cut`` is the first position that lies behind the point, ``None`` where none does.

    Calls up to the number ``made`` had been made. That is a lower bound: a call that may have been made, and may not,
    counts as not made, and is made anew.
    """

    cut: int | None
    made: int

    def is_history(self, row: StackRun) -> bool:
        """Whether the row had been taken."""
        return row.position is not None and (self.cut is None or row.position < self.cut)


def point_before(calls: Sequence[StackRun], rows: Sequence[StackRun]) -> Point:
    """The point before the first of the calls' outcomes was taken."""
    history = sorted((row for row in rows if row.position is not None), key=_position)
    cut = min((cut for call in calls if (cut := _cut(call, history)) is not None), default=None)
    made = [row for row in history if row.sequence is not None and (cut is None or _position(row) < cut)]
    made += [*calls, *_given_up_at(cut, history)]
    turns = {row.created_at for row in made if not _ended_as_it_was_made(row)}
    return Point(cut, max((row.sequence or 0 for row in rows if row.created_at in turns), default=0))


def ended_by_the_task(call: StackRun) -> bool:
    """Whether the task itself brought the call to an end: it waited in it, slept in it, or gave it up."""
    return call.status == "cancelled" or call.operation == SLEEP or call.operation.startswith(WAIT)


def event_of(wait: StackRun, rows: Iterable[StackRun]) -> StackRun | None:
    """The event that a wait got: what was taken just before, or else, as events are kept in order, the n-th for it."""
    if wait.position is None or wait.status != "completed":
        return None
    before = sorted((row for row in rows if row.position is not None and row.position < wait.position), key=_position)
    events = [row for row in before if row.operation == EVENT + wait.operation.removeprefix(WAIT)]
    last = next((row for row in reversed(before) if not _follows(row)), None)
    if last is not None and last in events:
        return last
    waits = [row for row in before if row.operation == wait.operation and row.status == "completed"]
    return events[len(waits)] if len(waits) < len(events) else None


def _cut(call: StackRun, history: Sequence[StackRun]) -> int | None:
    """The position of what led to the call's outcome: its own, or that of what the task took when it ended the call."""
    if call.position is None or not ended_by_the_task(call) or _ended_as_it_was_made(call):
        return call.position
    return max((_position(row) for row in history if _position(row) < call.position and not _follows(row)), default=0)


def _given_up_at(cut: int | None, history: Sequence[StackRun]) -> list[StackRun]:
    """The calls that the task ended because of what it took at the cut."""
    found: list[StackRun] = []
    for row in history if cut is not None else ():
        if _position(row) > (cut or 0) and not _follows(row):
            break
        if _position(row) >= (cut or 0) and _follows(row):
            found.append(row)
    return found


def _ended_as_it_was_made(call: StackRun) -> bool:
    """Whether the call was over in the turn in which it was made. (Whatever a turn does has one time, its own.)"""
    return call.status in STACK_RUN.ended and ended_by_the_task(call) and call.created_at == call.ended_at


def _follows(row: StackRun) -> bool:
    """Whether it is history only because of what was taken before it."""
    return row.sequence is not None and ended_by_the_task(row)


def _position(row: StackRun) -> int:
    return row.position or 0
