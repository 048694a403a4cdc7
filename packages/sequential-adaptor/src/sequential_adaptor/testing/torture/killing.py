"""Who is killed, and when: at random moments, when a request has come in or was answered, and at storage boundaries."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable

from sequential_adaptor.testing.torture.service import Request

_FUSE = 60


class Killer:
    """Spreads ``kills`` over the requests that are expected; as its seed says, but for what the machine makes of it."""

    def __init__(self, seed: int, kills: int, expected: int, kill: Callable[[str | None], None]) -> None:
        self._chance = random.Random(f"kills:{seed}")
        self._moments = sorted(self._chance.uniform(0, expected * 0.9) for _ in range(kills))
        self._kill = kill
        self._wanted = kills
        self._seen = 0
        self._lurking: list[str] = []
        self._lock = threading.Lock()
        self.killed = 0

    def died(self) -> None:
        """A worker was killed, however it came."""
        self.killed += 1

    def fuse(self) -> int | None:
        """After how many storage boundaries the next worker kills itself, if it shall."""
        if self.killed >= self._wanted or self._chance.random() < 0.6:
            return None
        return self._chance.randint(1, _FUSE)

    def on_request(self, request: Request) -> bool:
        """A request has come in, or was answered: perhaps its performer is killed at this very moment, and it is so."""
        with self._lock:
            arrived = request.ended is None
            if arrived:
                self._seen += 1
                self._advance()
            place = "arrival" if arrived else "answer"
            if place not in self._lurking or request.performer is None:
                return False
            self._lurking.remove(place)
            self._kill(request.performer)
            return True

    def _advance(self) -> None:
        while self._moments and self._moments[0] <= self._seen and self.killed < self._wanted:
            self._moments.pop(0)
            manner = self._chance.choice(("any", "arrival", "answer"))
            if manner == "any":
                self._kill(None)
            else:
                self._lurking.append(manner)
        if not self._moments and self.killed < self._wanted:  # some were killed twice over
            self._moments.append(self._seen + self._chance.uniform(1, 10))
