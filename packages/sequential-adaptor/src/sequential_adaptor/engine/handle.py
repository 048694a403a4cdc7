"""A run, as those see it who wait for it."""

from __future__ import annotations

import asyncio
import contextlib
import time
from typing import TYPE_CHECKING

from sequential_adaptor import ids, values
from sequential_adaptor.engine import rules
from sequential_adaptor.engine.executor import ended
from sequential_adaptor.errors import Conflict, RecordExists, RecordNotFound
from sequential_adaptor.lifecycles import STACK_RUN, TASK_RUN
from sequential_adaptor.records import StackRun, TaskRun
from sequential_adaptor.values import JSON

if TYPE_CHECKING:
    from sequential_adaptor.storage import Change, StorageAdapter

_FIRST_LOOK, _LONGEST_LOOK = 0.005, 0.5


class RunHandle:
    """A run in storage, whoever works on it."""

    def __init__(self, store: StorageAdapter, id: str) -> None:
        self._store = store
        self.id = id

    def __repr__(self) -> str:
        return f"RunHandle({self.id!r})"

    async def record(self) -> TaskRun:
        """The run as it is now."""
        run = await self._store.get_task_run(self.id)
        if run is None:
            raise RecordNotFound("TaskRun", self.id)
        return run

    async def calls(self) -> list[StackRun]:
        """What the run has done and what has happened to it, in the order in which it began; without its frames."""
        found = await self._store.query_stack_runs({"task_run_id": self.id})
        calls = (row for row in found if not row.is_frame)
        return sorted(calls, key=lambda row: (row.created_at, row.sequence or 0, row.id))

    async def result(self, timeout: float | None = None) -> JSON:
        """Wait until the run has ended, for ``timeout`` seconds at most, and give its result.

        Raises :class:`TaskFailed` with the task's own error, :class:`TaskCancelled`, or :class:`TimeoutError`; a run
        that is waited for in vain goes on.
        """
        async with asyncio.timeout(timeout):
            return ended(await self.settle()).result

    async def cancel(self, force: bool = False) -> None:
        """Ask the run to end: its task gets ``CancelledError`` where it awaits. ``force=True`` ends it at once, in
        storage.

        A run that has ended stays as it is.
        """
        if force:
            await self._cancel_at_once()
        elif (await self.record()).status not in TASK_RUN.ended:
            try:
                await self._commit(rules.cancel_asked(self.id, await self._store.now()))
            except RecordExists:
                return  # it has been asked already

    async def send(self, event: str, data: JSON = None) -> None:
        """Give the run an event; it is kept until the task waits for it, first in, first out."""
        ids.check_identifier(event)
        values.check(data)
        run = await self.record()
        await self._commit(rules.event_sent(run, event, data, ids.new_id(), await self._store.now()))

    async def settle(self, stirred: asyncio.Event | None = None) -> TaskRun:
        """Wait until the run has ended, however it did: looked at whenever ``stirred`` is set, and now and then."""
        stirred = stirred or asyncio.Event()
        began = time.monotonic()
        while (run := await self.record()).status not in TASK_RUN.ended:
            pause = min(max((time.monotonic() - began) / 10, _FIRST_LOOK), _LONGEST_LOOK)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await stirred.wait()
            stirred.clear()
        return run

    async def _cancel_at_once(self) -> None:
        while (run := await self.record()).status not in TASK_RUN.ended:
            rows = await self._store.query_stack_runs({"task_run_id": self.id})
            open_rows = [row for row in rows if row.status not in STACK_RUN.ended]
            frame = next(row for row in open_rows if row.id == self.id)
            calls = [row for row in open_rows if row.id != self.id]
            try:
                await self._commit(rules.cancelled_at_once(run, frame, calls, await self._store.now()))
            except (Conflict, RecordExists):
                continue  # it has moved meanwhile
            for call in filter(rules.is_child, calls):
                await RunHandle(self._store, rules.child_id(call)).cancel(force=True)

    async def _commit(self, changes: tuple[Change, ...]) -> None:
        await self._store.commit(changes, id=ids.new_id())
