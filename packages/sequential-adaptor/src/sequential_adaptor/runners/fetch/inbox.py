"""Events sent to a run: first in, first out for each name; one that comes early is kept."""

from __future__ import annotations

from collections import deque

from sequential_adaptor.runners.fetch.call_book import Pending
from sequential_adaptor.values import JSON


class Inbox:
    """``put`` gives the wait that gets the event; ``take`` the event that came before the wait."""

    __slots__ = ("_events", "_waits")

    def __init__(self) -> None:
        self._events: dict[str, deque[JSON]] = {}
        self._waits: dict[str, deque[Pending]] = {}

    def put(self, name: str, data: JSON) -> Pending | None:
        """The wait that has stood longest, now removed; ``None`` where there is none and the event is kept."""
        if waits := self._waits.get(name):
            return waits.popleft()
        self._events.setdefault(name, deque()).append(data)
        return None

    def awaits(self, name: str) -> bool:
        """Whether somebody waits for an event of that name."""
        return bool(self._waits.get(name))

    def take(self, name: str) -> tuple[JSON] | None:
        """The data of the oldest kept event, in a tuple."""
        events = self._events.get(name)
        return (events.popleft(),) if events else None

    def wait(self, name: str, pending: Pending) -> None:
        """Let the next event of that name go to ``pending``."""
        self._waits.setdefault(name, deque()).append(pending)

    def give_up(self, name: str, pending: Pending) -> None:
        """Nobody waits there any more."""
        waits = self._waits.get(name)
        if waits is not None and pending in waits:
            waits.remove(pending)
