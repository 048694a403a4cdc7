"""Notifications: one connection of its own that listens, and is made anew whenever it is lost."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from typing import Any, Final

import asyncpg

from sequential_adaptor.backends.supabase.connections import Target
from sequential_adaptor.backends.supabase.door import CHANNEL

_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 10.0
_CONNECTING: Final = 10
_CHECK_EVERY: Final = 30.0
"""Seconds after which a silent connection is asked whether it is still there."""


class Listener:
    """Calls ``heard`` with the text of each notification, and with ``None`` each time it listens anew."""

    def __init__(self, target: Target, heard: Callable[[str | None], None]) -> None:
        self._target = target
        self._heard = heard
        self.connected = False
        self._task = asyncio.create_task(self._listen())

    async def close(self) -> None:
        """Listen no more."""
        self._task.cancel()
        await asyncio.wait((self._task,))

    async def _listen(self) -> None:
        pause = _FIRST_PAUSE
        while True:
            try:
                await self._listen_once()
                pause = _FIRST_PAUSE
            except (TimeoutError, OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
                pause = min(pause * 2, _LONGEST_PAUSE)  # there is polling behind it, so that nobody need hear of this
            await asyncio.sleep(pause * random.uniform(0.5, 1.0))

    async def _listen_once(self) -> None:
        """Listen until the connection is lost."""
        connection = await asyncpg.connect(self._target.dsn, statement_cache_size=0, timeout=_CONNECTING)
        try:
            lost = asyncio.Event()
            connection.add_termination_listener(lambda _: lost.set())
            await connection.add_listener(CHANNEL, self._notified)
            self.connected = True
            self._heard(None)
            while not lost.is_set():
                try:
                    await asyncio.wait_for(lost.wait(), _CHECK_EVERY)
                except TimeoutError:
                    await connection.execute("select 1", timeout=_CONNECTING)
        finally:
            self.connected = False
            connection.terminate()

    def _notified(self, connection: Any, process: int, channel: str, text: object) -> None:
        self._heard(str(text))
