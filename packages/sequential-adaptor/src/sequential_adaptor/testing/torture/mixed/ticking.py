"""A schedule that fires each second, as long as a torture lasts."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import datetime, timedelta

from sequential_adaptor.engine import Engine
from sequential_adaptor.lifecycles import TASK_RUN
from sequential_adaptor.testing.torture.mixed.workload import FIRED

_SECOND = timedelta(seconds=1)
_LOOK = 0.1


class Ticking:
    """The schedule ``name`` of runs of a task; ``begin`` makes it, and ``end`` stops it once nothing is owed."""

    def __init__(self, engine: Engine, name: str, task: str) -> None:
        self._engine, self._name, self._task = engine, name, task

    async def begin(self) -> None:
        """Fire each second from now on; what nobody was there for is made up."""
        made = await self._engine.schedule(self._name, self._task, FIRED, every=_SECOND, missed="all")
        assert made.next is not None  # it is not paused
        self._first = made.next

    async def end(self, patience: float) -> list[datetime]:
        """Stop, and give the times up to now: all of them have fired, and their runs ended, if that took no longer than
        ``patience`` seconds."""
        last = await self._engine.adapter.now()

        async def is_owed() -> bool:
            next = (await self._engine.find_schedule(self._name)).next
            return next is not None and next <= last

        async def is_on_its_way() -> bool:
            wanted = {"task_identifier": self._task, "status": TASK_RUN.open}
            return bool(await self._engine.adapter.query_task_runs(wanted))

        await _while(is_owed, patience)
        await self._engine.delete_schedule(self._name)
        await _while(is_on_its_way, patience)
        return [self._first + n * _SECOND for n in range(1 + (last - self._first) // _SECOND)]


async def _while(holds: Callable[[], Awaitable[bool]], patience: float) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(patience):
            while await holds():  # noqa: ASYNC110 - it is other processes that it waits for
                await asyncio.sleep(_LOOK)
