"""Announcements of work: after the commit that brings it, in a transaction of their own, and not too many."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable
from typing import Final

from sequential_adaptor.backends.supabase.door import Door
from sequential_adaptor.errors import StorageError

_APART: Final = 0.025
"""Seconds between two of them: what comes in between is announced together."""


class Announcer:
    """Announces for one adapter, whose ``name`` tells it which announcements are its own."""

    def __init__(self, door: Door) -> None:
        self.name = secrets.token_hex(6)
        self._door = door
        self._wanted = False
        self._task: asyncio.Task[None] | None = None

    def announce(self, told: Callable[[int], None]) -> None:
        """Announce soon; ``told`` gets the number of the announcement. Nothing is announced that is taken by then."""
        self._wanted = True
        if self._task is None:
            self._task = asyncio.create_task(self._announce_all(told))

    async def close(self) -> None:
        """Announce what is wanted, and no more."""
        task = self._task  # which forgets itself when it ends
        if task is not None:
            await asyncio.wait((task,), timeout=2.0)
            task.cancel()
            await asyncio.wait((task,))

    async def _announce_all(self, told: Callable[[int], None]) -> None:
        try:
            while self._wanted:
                self._wanted = False
                [row] = await self._door.call("sequential_announce", {"sender": self.name})
                if row["announced"] is not None:
                    told(row["announced"])
                await asyncio.sleep(_APART)
        except StorageError:
            pass  # whoever waits looks by himself; the work is stored
        finally:
            self._task = None
