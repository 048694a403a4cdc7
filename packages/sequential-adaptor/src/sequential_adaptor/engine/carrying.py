"""Carries one run, and what it starts, through to its end."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import TYPE_CHECKING

from sequential_adaptor import telemetry
from sequential_adaptor.engine.endings import endings_of
from sequential_adaptor.engine.holding.holder import Manner
from sequential_adaptor.engine.holding.workbench import Workbench
from sequential_adaptor.engine.submitting import store_once
from sequential_adaptor.engine.worker import worker_name
from sequential_adaptor.engine.working.dispatching import Dispatcher
from sequential_adaptor.errors import RecordNotFound
from sequential_adaptor.lifecycles import TASK_RUN
from sequential_adaptor.records import TaskRun
from sequential_adaptor.storage.changes import Claim

if TYPE_CHECKING:
    from sequential_adaptor.engine.handle import RunHandle
    from sequential_adaptor.engine.holding.tools import Tools
    from sequential_adaptor.engine.submitting import Submission
    from sequential_adaptor.storage import StorageAdapter

_HANDS = 32
_CARRY_THROUGH = Manner(hand_out="none", linger=1.0)


class Carrying:
    """A worker for one run and its children."""

    def __init__(self, store: StorageAdapter, tools: Tools, handle: RunHandle, lease: float) -> None:
        self._handle = handle
        self._lease = lease
        self._store = store
        self._bench = Workbench(store, tools, hands=_HANDS, scope=[handle.id])
        self._worker = worker_name()
        self._begun: tuple[Claim, TaskRun] | None = None

    async def run(self, submission: Submission, timeout: float | None = None) -> TaskRun:
        """Store a run, and work until it has ended."""
        await self._bench.open()
        await self._submit(submission)
        return await self._through(timeout)

    async def through(self, timeout: float | None = None) -> TaskRun:
        """Work until the run has ended, whoever ends it."""
        await self._bench.open()
        return await self._through(timeout)

    async def _submit(self, submission: Submission) -> None:
        """Store the run, claimed in the same commit where it is due at once, and its first turn with it if it is new.

        If this process dies then, another goes on when the lease has ended, as with every claim.
        """
        if not submission.is_due_at_once:
            await store_once(self._store, submission)
            return
        now = self._bench.clock.now()
        held, claim = submission.held_by(self._worker, now, now + timedelta(seconds=self._lease))
        if not submission.named:
            self._bench.unstored.add(claim, held.changes)
        elif not await store_once(self._store, held):
            return
        self._begun = claim, held.run
        if telemetry.active is not None:
            telemetry.active.claimed([claim], now)

    async def _through(self, timeout: float | None) -> TaskRun:
        if (queue_id := await self._queue_id()) is not None:
            self._bench.watch(queue_id)
        dispatcher = Dispatcher(self._bench, self._worker, concurrency=_HANDS, lease=self._lease, manner=_CARRY_THROUGH)
        if self._begun is not None:
            dispatcher.begin(*self._begun)
        with endings_of(self._store).awaited(self._handle.id) as ending:
            async with asyncio.timeout(timeout):
                await dispatcher.run(until=ending.done, is_over=lambda: self._ended_elsewhere(dispatcher, ending))
            return ending.result()

    async def _queue_id(self) -> str | None:
        return None if self._begun is not None else await self._handle.queue_id()

    async def _ended_elsewhere(self, dispatcher: Dispatcher, ending: asyncio.Future[TaskRun]) -> bool:
        """Whether the run has ended by other hands; the store is not asked for what is held here."""
        if dispatcher.holds(self._handle.id):
            return False
        if self._handle.id in self._bench.unstored and not await self._is_stored_after_all(ending):
            return True
        run = await self._handle.record()
        if run.status in TASK_RUN.ended and not ending.done():
            ending.set_result(run)
        return ending.done()

    async def _is_stored_after_all(self, ending: asyncio.Future[TaskRun]) -> bool:
        """Whether the run is there although storing it has failed; else whoever waits for its end gets the error."""
        error = self._bench.unstored.error(self._handle.id)
        if await self._store.get_task_run(self._handle.id) is not None:
            self._bench.unstored.is_stored(self._handle.id)
            return True
        if not ending.done():
            ending.set_exception(error or RecordNotFound("TaskRun", self._handle.id))
        return False
