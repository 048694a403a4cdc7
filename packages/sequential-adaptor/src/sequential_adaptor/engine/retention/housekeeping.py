"""The retention that workers carry out beside their work: one of them at a time, in bites with longer rests between."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

from sequential_adaptor import ids
from sequential_adaptor.engine.retention.policy import Retention
from sequential_adaptor.engine.retention.pruning import Pruner
from sequential_adaptor.engine.retention.tombstones import HOUSE, HOUSE_RUN
from sequential_adaptor.errors import Conflict, RecordExists, StorageError
from sequential_adaptor.records import StackRun
from sequential_adaptor.storage.changes import Create, Update

if TYPE_CHECKING:
    from sequential_adaptor.storage import StorageAdapter

logger = logging.getLogger("sequential_adaptor")

TURN: Final = timedelta(seconds=60)
"""For how long one worker has the house to itself: should it die, another takes over after that."""
_LONGEST_PAUSE: Final = timedelta(hours=1)
_SHORTEST_PAUSE: Final = timedelta(seconds=1)
_LONGEST_REST: Final = 60.0
_REST: Final = 9.0
"""How many times as long as a bite the rest after it is, so that nine tenths of the time are the work's."""
_SHORTEST_REST: Final = 0.05


class Housekeeper:
    """Forgets what a retention says, a round from time to time, until :meth:`stop`.

    All workers on a store share one record: ``suspended_at`` says until when nobody else need look, and whoever moves
    it on first has the turn.
    """

    def __init__(self, store: StorageAdapter, policy: Retention) -> None:
        Pruner(store, policy)  # a store that deletes nothing is refused at once
        self._store = store
        self._policy = policy
        self._mine: int | None = None
        self._stopping = asyncio.Event()

    def stop(self) -> None:
        """End after the bite that is on its way."""
        self._stopping.set()

    @contextlib.asynccontextmanager
    async def at_work(self) -> AsyncIterator[None]:
        """Keep house for as long as the context lasts."""
        keeping = asyncio.create_task(self.run(), name="sequential housekeeping")
        try:
            yield
        finally:
            self.stop()
            await keeping

    async def run(self) -> None:
        """Keep house."""
        while not self._stopping.is_set():
            try:
                left = await self._turn(TURN)
                if left == 0 and await self._round():
                    left = self._pause().total_seconds()
                    await self._turn(self._pause())
            except StorageError as error:
                left = _LONGEST_REST
                logger.warning("nothing is pruned for a while: %s", error)
            self._mine = None
            await self._rest(min(max(left, _SHORTEST_REST), _LONGEST_REST))

    async def _round(self) -> bool:
        """Forget what there is to be forgotten; whether this worker had the turn to the end."""
        pruner, began = Pruner(self._store, self._policy), time.monotonic()
        async for _ in pruner.bites():
            await self._rest(max((time.monotonic() - began) * _REST, _SHORTEST_REST))
            if self._stopping.is_set() or await self._turn(TURN) > 0:
                return False
            began = time.monotonic()
        if pruner.found.runs:
            logger.info("pruned %d runs that ended more than %s ago", len(pruner.found.runs), self._policy.keep)
        return True

    async def _turn(self, length: timedelta) -> float:
        """Have the turn for so long, or keep it; 0, or the seconds for which it is somebody else's."""
        now, row = await self._store.now(), await self._store.get_stack_run(HOUSE)
        if row is not None and row.wakes != self._mine and row.suspended_at is not None and row.suspended_at > now:
            return (row.suspended_at - now).total_seconds()
        mine, until = 1 if row is None else row.wakes + 1, now + length
        try:
            if row is None:
                change: Create | Update = Create(_record(mine, until))
            else:
                change = Update(StackRun, HOUSE, {"wakes": mine, "suspended_at": until}, {"wakes": row.wakes})
            await self._store.commit([change], id=ids.new_id())
        except (Conflict, RecordExists):  # somebody else was quicker
            return length.total_seconds()
        self._mine = mine
        return 0.0

    def _pause(self) -> timedelta:
        """A round is made a hundred times while a run is kept, but no more often than people can see."""
        return min(max(self._policy.keep / 100, _SHORTEST_PAUSE), _LONGEST_PAUSE)

    async def _rest(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._stopping.wait()


def _record(turns: int, until: datetime) -> StackRun:
    return StackRun(
        id=HOUSE,
        task_run_id=HOUSE_RUN,
        operation="housekeeping",
        status="completed",
        wakes=turns,
        suspended_at=until,
    )
