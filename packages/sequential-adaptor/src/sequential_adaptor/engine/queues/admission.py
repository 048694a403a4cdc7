"""Who is admitted: a pure function of what a queue allows, who is in it, and the time.

The laws:

- Never more than ``limit`` on their way, never two of one key, never more than ``rate.count`` admissions in any
  stretch of time as long as ``rate.period``.
- The highest priority first, among equals the first that was submitted. Somebody is passed over only while another of
  his key is on its way.
- Whoever could be admitted is: nobody waits while there is room for him.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Self

from sequential_adaptor.engine.queues.settings import QueueSettings, Rate
from sequential_adaptor.records import time_from_text, time_to_text
from sequential_adaptor.values import JSON

WINDOW: Final = 64
"""So many runs of a queue may be admitted and not yet taken up: more would only keep the runs of others from theirs."""
PROBES: Final = 8
"""The same where each worker has a limit: those that find no room are handed back, so there must not be many."""
_SHORTEST_LOOK, _LONGEST_LOOK = timedelta(milliseconds=50), timedelta(seconds=1)
_SLOTS_A_PERIOD: Final = 256
_START: Final = datetime(2000, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Ticket:
    """A run of the queue, as far as it matters here."""

    id: str
    priority: int
    key: str | None = None
    taken_up: bool = False


@dataclass(frozen=True, slots=True)
class Memory:
    """What a queue has to remember: admissions of its last period, and how long it looks away when nothing moves.

    ``admitted`` holds pairs of a time and a count, oldest first. Where there are many, those within a 256th of the
    period are counted at the latest of their times: so a rate is never exceeded, and at times reached that much later.
    """

    admitted: tuple[tuple[datetime, int], ...] = ()
    wakes: int = 0
    patience: timedelta = timedelta(0)

    def to_json(self) -> JSON:
        """The memory as the state of the queue's frame."""
        times = [[time_to_text(time), count] for time, count in self.admitted]
        return {"admitted": times, "wakes": self.wakes, "patience": self.patience // timedelta(microseconds=1)}

    @classmethod
    def from_json(cls, stored: Any) -> Self:
        """The memory that :meth:`to_json` wrote; an empty one from ``None``."""
        if stored is None:
            return cls()
        times = tuple((time_from_text(time), count) for time, count in stored["admitted"])
        return cls(times, stored["wakes"], timedelta(microseconds=stored["patience"]))

    def remembering(self, rate: Rate | None, count: int, now: datetime) -> Self:
        """The memory after so many admissions. Those of a time to come were now: the clock was put back since."""
        if rate is None:
            return self if not self.admitted else replace(self, admitted=())
        kept = [(min(time, now), many) for time, many in self.admitted if time > now - rate.period]
        if count:
            kept.append((now, count))
        if len(kept) > _SLOTS_A_PERIOD:
            kept = _merged(kept, rate.period / _SLOTS_A_PERIOD)
        return replace(self, admitted=tuple(kept))

    def allowance(self, rate: Rate, now: datetime) -> int:
        """How many the rate allows now."""
        return rate.count - sum(count for time, count in self.admitted if time > now - rate.period)

    def allows_again(self, rate: Rate, now: datetime) -> datetime:
        """When the rate allows the next, where it allows none now."""
        left = self.allowance(rate, now)
        for time, count in self.admitted:
            if time > now - rate.period:
                left += count
                if left > 0:
                    return time + rate.period
        return now


@dataclass(frozen=True, slots=True)
class Decision:
    """What is to be done.

    ``admitted`` in the order in which they are to start, ``parked`` those whose key is taken. ``next_look`` is when
    the queue has to look again by itself; ``None``: something will wake it.
    """

    admitted: tuple[Ticket, ...]
    parked: tuple[Ticket, ...]
    memory: Memory
    next_look: datetime | None


def room(settings: QueueSettings, memory: Memory, inside: Collection[Ticket], now: datetime) -> int:
    """How many more may be admitted now; ``inside`` are those that hold a slot or were called."""
    if settings.paused:
        return 0
    bounds = [_window(settings) - sum(not ticket.taken_up for ticket in inside)]
    if settings.limit is not None:
        bounds.append(settings.limit - len(inside))
    if settings.rate is not None:
        bounds.append(memory.allowance(settings.rate, now))
    return max(0, min(bounds))


def decide(
    settings: QueueSettings,
    memory: Memory,
    inside: Collection[Ticket],
    keys: Collection[str],
    waiting: Iterable[Ticket],
    now: datetime,
) -> Decision:
    """Who is admitted of those that wait, in their order; ``keys`` are taken."""
    left = room(settings, memory, inside, now)
    taken = {*keys, *(ticket.key for ticket in inside if ticket.key is not None)}
    admitted: list[Ticket] = []
    parked: list[Ticket] = []
    left_over = False
    for ticket in waiting:
        if ticket.key is not None and ticket.key in taken:
            parked.append(ticket)
        elif len(admitted) < left:
            admitted.append(ticket)
            if ticket.key is not None:
                taken.add(ticket.key)
        else:
            left_over = True
            break
    after = memory.remembering(settings.rate, len(admitted), now)
    next_look, patience = _next_look(settings, after, [*inside, *admitted], now) if left_over else (None, timedelta(0))
    return Decision(tuple(admitted), tuple(parked), replace(after, patience=patience), next_look)


def _next_look(
    settings: QueueSettings, memory: Memory, inside: Collection[Ticket], now: datetime
) -> tuple[datetime | None, timedelta]:
    """When to look again because somebody waits; nothing, where the end of one inside, or a change, will say so."""
    if settings.paused or (settings.limit is not None and len(inside) >= settings.limit):
        return None, timedelta(0)
    if settings.rate is not None and memory.allowance(settings.rate, now) <= 0:
        return memory.allows_again(settings.rate, now), timedelta(0)
    patience = min(max(memory.patience * 2, _SHORTEST_LOOK), _LONGEST_LOOK)
    return now + patience, patience


def _window(settings: QueueSettings) -> int:
    return WINDOW if settings.per_worker is None else PROBES


def _merged(times: Sequence[tuple[datetime, int]], slot: timedelta) -> list[tuple[datetime, int]]:
    """Those of a slot of time as one, at the latest of their times."""
    merged: list[tuple[datetime, int]] = []
    number = None
    for time, count in times:
        belongs_to = (time - _START) // slot
        if belongs_to == number:
            merged[-1] = (time, merged[-1][1] + count)
        else:
            merged.append((time, count))
        number = belongs_to
    return merged
