"""The door by a connection string: functions are called over a few connections with asyncpg."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from sequential_adaptor.backends.supabase.connections import Connections, Target
from sequential_adaptor.backends.supabase.door import Door
from sequential_adaptor.backends.supabase.listening import Listener
from sequential_adaptor.backends.supabase.postgres_failures import Failure, read_failure
from sequential_adaptor.errors import StorageClosed

_FIRST_PAUSE, _LONGEST_PAUSE = 0.05, 1.0
PATIENCE: Final = 20.0
"""For how many seconds a call is repeated while the database is away."""


class PostgresDoor(Door):
    """Calls functions straight in Postgres, or through a pooler in transaction mode.

    - ``dsn``: a connection string. Behind a pooler, which is noticed by itself, nothing is kept in a session.
    - ``listen_dsn``: one that leads to Postgres itself, for LISTEN; without it, ``dsn`` is used if no pooler is there.
    - ``connections``: how many are opened at most, one for LISTEN not counted.
    - ``timeout``: seconds after which a statement that was not answered is sent again.
    """

    def __init__(
        self,
        dsn: str,
        *,
        listen_dsn: str | None = None,
        connections: int = 4,
        timeout: float = 20.0,
        patience: float = PATIENCE,
    ) -> None:
        self._target = Target.parse(dsn)
        listening = listen_dsn or self._target.listen_dsn
        self._listening = None if listening is None else Target.parse(listening)
        self._connections = Connections(self._target, connections, timeout)
        self._patience = patience
        self._listener: Listener | None = None
        self._closed = False

    def __repr__(self) -> str:
        return f"PostgresDoor({self.address!r})"

    @property
    def address(self) -> str:
        return self._target.display

    async def open(self) -> None:
        self._closed = False
        await self._patiently(self._connections.open)

    async def close(self) -> None:
        self._closed = True
        listener, self._listener = self._listener, None
        if listener is not None:
            await listener.close()
        await self._connections.close()

    async def call(
        self, function: str, arguments: Mapping[str, Any], *, when_repeated: Mapping[str, Any] | None = None
    ) -> Sequence[Mapping[str, Any]]:
        given = dict(arguments)

        async def once() -> Sequence[Mapping[str, Any]]:
            return await self._connections.run(function, given)

        rows: Sequence[Mapping[str, Any]] = await self._patiently(once, lambda: given.update(when_repeated or {}))
        return rows

    async def listen(self, heard: Callable[[str | None], None]) -> None:
        target = self._listening or (None if self._connections.pooled else self._target)
        if target is not None and self._listener is None and not self._closed:
            self._listener = Listener(target, heard)

    @property
    def listens(self) -> bool:
        return self._listener is not None and self._listener.connected

    async def _patiently(self, action: Callable[[], Any], before_again: Callable[[], None] = lambda: None) -> Any:
        """What the action gives, as soon as it does not fail in a way that passes."""
        ends: float | None = None
        pause = _FIRST_PAUSE
        while True:
            try:
                return await action()
            except Exception as error:
                failure = read_failure(error, self.address)
                if failure is None:
                    raise
                ends = ends or time.monotonic() + self._patience
                if not failure.passes or time.monotonic() >= ends or self._closed:
                    raise self._final(failure) from error
            await asyncio.sleep(pause * random.uniform(0.5, 1.0))
            pause = min(pause * 2, _LONGEST_PAUSE)
            before_again()

    def _final(self, failure: Failure) -> Exception:
        return StorageClosed("PostgresDoor") if self._closed else failure.error
