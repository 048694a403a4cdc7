"""Hears of work from the store, and of what happens in the worker itself."""

from __future__ import annotations

import asyncio
import contextlib
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sequential_adaptor.storage import StorageAdapter

_QUIET = 0.1
_MOMENT = 0.02
_DEBOUNCE, _LONGEST_DEBOUNCE = 0.005, 0.05


class Listener:
    """Waits for the store's news, one wait after another, each of ``longest`` seconds at most.

    ``stirred`` is set by whatever else there is to hear of. News after a quiet while is heard at once. A store that has
    news again and again which bring nothing is listened to more rarely: in a busy store most of what happens makes
    nothing due.
    """

    def __init__(self, store: StorageAdapter, longest: float) -> None:
        self.stirred = asyncio.Event()
        self._store = store
        self._longest = longest
        self._word: asyncio.Task[None] | None = None
        self._heard_at = 0.0
        self._debounce = 0.0

    async def heard(self, seconds: float) -> bool:
        """Wait until there is news, or ``stirred`` is set, or so many seconds have passed; whether there is news."""
        if self._word is None:
            self._word = asyncio.create_task(self._listen(self._pause()))
            self._word.add_done_callback(lambda _: self.stirred.set())
        if not self._word.done():
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await self.stirred.wait()
        if not self._word.done():
            return False
        word, self._word = self._word, None
        self._heard_at = time.monotonic()
        word.result()
        return True

    def wait_a_moment(self) -> None:
        """Nothing is expected of the store just now: most of what is begun here ends before the next listening."""
        self._debounce, self._heard_at = _MOMENT, time.monotonic()

    def is_worthwhile(self) -> None:
        """What was heard last brought work."""
        self._debounce = 0.0

    async def close(self) -> None:
        """Listen no more."""
        word, self._word = self._word, None
        if word is not None:
            word.cancel()
            await asyncio.wait((word,))

    def _pause(self) -> float:
        if time.monotonic() - self._heard_at > _QUIET:
            self._debounce = 0.0
        pause, self._debounce = self._debounce, min(max(self._debounce * 2, _DEBOUNCE), _LONGEST_DEBOUNCE)
        return pause

    async def _listen(self, pause: float) -> None:
        if pause:
            await asyncio.sleep(pause)
        await self._store.wait_for_work(self._longest)
