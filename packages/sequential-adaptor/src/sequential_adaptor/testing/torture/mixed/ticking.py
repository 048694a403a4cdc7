"""A schedule that fires each second, as long as a torture lasts, and whose runs are forgotten when they have
completed."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Final

from sequential_adaptor.engine import Engine
from sequential_adaptor.engine.retention.tombstones import check_id_is_free
from sequential_adaptor.engine.schedules.settings import run_id
from sequential_adaptor.errors import RunPruned
from sequential_adaptor.lifecycles import TASK_RUN
from sequential_adaptor.testing.torture.mixed.workload import PRUNED

_SECOND: Final = timedelta(seconds=1)
_LOOK = 0.1
_CODE = "async def main():\n    await sleep(0.1)\n"


class Ticking:
    """The schedule ``name``, and the ``task`` that it starts; ``begin`` makes it, and ``end`` stops it."""

    def __init__(self, engine: Engine, name: str) -> None:
        self._engine, self._name = engine, name
        self.task = f"{name}-tick"

    async def begin(self) -> None:
        """Fire each second from now on; what nobody was there for is made up."""
        await self._engine.publish(self.task, _CODE)
        made = await self._engine.schedule(self._name, self.task, every=_SECOND, missed="all")
        assert made.next is not None  # it is not paused
        self._first = made.next

    async def end(self, patience: float) -> dict[str, str | None]:
        """Stop when all times up to now have fired and their runs have ended, or when that takes longer than
        ``patience`` seconds; what has become of the run of each time, by its id."""
        last = await self._engine.adapter.now()

        async def is_owed() -> bool:
            next = (await self._engine.find_schedule(self._name)).next
            return next is not None and next <= last

        async def is_on_its_way() -> bool:
            wanted = {"task_identifier": self.task, "status": TASK_RUN.open}
            return bool(await self._engine.adapter.query_task_runs(wanted))

        await _while(is_owed, patience)
        await self._engine.delete_schedule(self._name)
        await _while(is_on_its_way, patience)
        times = [self._first + n * _SECOND for n in range(1 + (last - self._first) // _SECOND)]
        return {run_id(self._name, time): await self._status(time) for time in times}

    async def _status(self, time: datetime) -> str | None:
        id = run_id(self._name, time)
        run = await self._engine.adapter.get_task_run(id)
        if run is not None:
            return run.status
        try:
            await check_id_is_free(self._engine.adapter, id)
        except RunPruned:
            return PRUNED
        return None


async def _while(holds: Callable[[], Awaitable[bool]], patience: float) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(patience):
            while await holds():  # noqa: ASYNC110 - it is other processes that it waits for
                await asyncio.sleep(_LOOK)
