"""Waiting for work: word of it comes at once from this adapter, by notification from others, or by looking."""

from __future__ import annotations

import asyncio
import random
from typing import Final

from sequential_adaptor.backends.supabase.announcing import Announcer
from sequential_adaptor.backends.supabase.door import Door
from sequential_adaptor.errors import StorageClosed

_FIRST_PAUSE, _LONGEST_PAUSE, _GROWTH = 0.05, 2.0, 1.5
"""Seconds between two looks: they grow as long as there is nothing new."""

_RETURNS_APART: Final = 0.025
"""Seconds between two returns because of others: a busy store has news all the time."""


class Waiter:
    """Waits for work on one store, and tells others of it.

    It returns when there is *news*, never because there is work: what is due may be nothing for who waits here.
    """

    def __init__(self, door: Door) -> None:
        self._door = door
        self._announcer = Announcer(door)
        self._announced = 0
        self._rung = self._heeded = 0
        self._waiting: set[asyncio.Future[None]] = set()
        self._listens = False
        self._looking: asyncio.Task[None] | None = None
        self._look_at = self._not_before = 0.0
        self._due_at: float | None = None
        self._pause = _FIRST_PAUSE

    async def start(self) -> None:
        """What was announced before now is no news."""
        self._listens = False
        self._announced = (await self._read())[0]

    async def close(self) -> None:
        """Tell what is yet to be told, and look no more."""
        await self._announcer.close()
        if self._looking is not None:
            self._looking.cancel()
            await asyncio.wait((self._looking,))

    def brought_work(self) -> None:
        """This adapter has made something due."""
        self._ring()
        self._announcer.announce(self._told)

    async def wait(self, timeout: float) -> None:
        """Return when there may be work, or after ``timeout`` seconds."""
        if not self._listens:
            self._listens = True
            await self._door.listen(self._heard)
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout
        while self._rung <= self._heeded and (now := loop.time()) < deadline:
            if self._due_at is not None and self._due_at <= now:
                self._due_at = None
                self._look_at = 0.0
                self._ring()
            elif self._look_at <= now:
                await self._look()
            else:
                await self._rest(min(deadline, self._look_at, self._due_at or deadline) - now)
        self._heeded = self._rung

    # ---- what comes in

    def _ring(self) -> None:
        self._rung += 1
        for future in self._waiting:
            if not future.done():
                future.set_result(None)

    def _heard(self, sender: str | None) -> None:
        """Somebody has announced work; ``None`` where that may have been missed."""
        if sender is None:
            self._look_at = 0.0
            self._stir()
        elif sender != self._announcer.name:
            self._ring_for_others()

    def _ring_for_others(self) -> None:
        loop = asyncio.get_running_loop()
        wait = max(0.0, self._not_before - loop.time())
        self._not_before = loop.time() + wait + _RETURNS_APART
        if wait:
            loop.call_later(wait, self._ring)
        else:
            self._ring()

    def _told(self, number: int) -> None:
        """Our own announcement, which is no news here, had this number."""
        if number == self._announced + 1:
            self._announced = number

    def _stir(self) -> None:
        for future in self._waiting:
            if not future.done():
                future.set_result(None)

    # ---- looking and resting

    async def _look(self) -> None:
        """Look for news. It goes on where the caller is cancelled, as happens to most waits of a busy worker."""
        if self._looking is None:
            self._looking = asyncio.create_task(self._look_once())
            self._looking.add_done_callback(_seen)
        looking = self._looking
        await asyncio.wait((looking,))
        if looking.cancelled():  # by `close`: whoever waits was not cancelled himself
            raise StorageClosed(type(self._door).__name__)
        looking.result()

    async def _look_once(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            announced, seconds = await self._read()
        finally:
            pause = _LONGEST_PAUSE if self._door.listens else self._pause
            self._look_at = loop.time() + pause * random.uniform(0.75, 1.0)
            self._pause = min(self._pause * _GROWTH, _LONGEST_PAUSE)
            self._looking = None
        self._due_at = None if seconds is None else loop.time() + seconds
        if announced > self._announced:
            self._announced = announced
            self._pause = _FIRST_PAUSE
            self._ring()

    async def _read(self) -> tuple[int, float | None]:
        [row] = await self._door.call("sequential_look", {})
        return row["announced"], row["seconds_to_next"]

    async def _rest(self, seconds: float) -> None:
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.add(future)
        try:
            await asyncio.wait((future,), timeout=max(0.0, seconds))
        finally:
            self._waiting.discard(future)


def _seen(looking: asyncio.Task[None]) -> None:
    """Its error is told to those who wait for it, and there may be nobody left."""
    if not looking.cancelled():
        looking.exception()
