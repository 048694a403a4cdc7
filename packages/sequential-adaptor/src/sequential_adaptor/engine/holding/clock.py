"""The store's clock, read without asking the store each time."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable
from datetime import datetime, timedelta

_PUT_BACK = timedelta(seconds=1)
"""Nobody's clocks run so differently between two readings."""


class StoreClock:
    """The store's time, carried on by this machine's monotonic clock since it was last read there.

    Leases and timers follow the store's clock only, whatever this machine's wall clock says; ``set`` is called with
    every reading that comes by (with each claim and heartbeat), so that a drift does not add up.
    """

    def __init__(self, now: datetime, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._read = now
        self._at = monotonic()

    def now(self) -> datetime:
        """The store's time now."""
        return self._read + timedelta(seconds=self._monotonic() - self._at)

    @property
    def age(self) -> float:
        """Seconds since it was last read in the store."""
        return self._monotonic() - self._at

    def asked(self) -> float:
        """The moment at which a reading is asked for; for :meth:`set`."""
        return self._monotonic()

    def set(self, now: datetime, asked: float) -> None:
        """Take a fresh reading, which may be as old as ``asked`` is.

        This clock is behind the store's by no more than the time that a reading takes to come, and goes back only where
        the store's was put back.
        """
        latest = now + timedelta(seconds=self._monotonic() - asked)
        mine = self.now()
        self._read = latest if mine - latest > _PUT_BACK else max(now, mine)
        self._at = self._monotonic()

    async def sleep(self, seconds: float) -> None:
        """Let so many seconds of the store's time pass."""
        await asyncio.sleep(seconds)

    async def wait(self, event: asyncio.Event, until: datetime | None) -> None:
        """Wait for an event, until that time at most."""
        if until is None:
            await event.wait()
            return
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout((until - self.now()).total_seconds()):
                await event.wait()
