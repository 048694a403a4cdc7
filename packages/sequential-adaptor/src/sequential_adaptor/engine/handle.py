"""A run, as those see it who wait for it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from sequential_adaptor import ids, values
from sequential_adaptor.engine import rules
from sequential_adaptor.engine.cancelling import ask_to_end, cancel_at_once
from sequential_adaptor.engine.endings import endings_of
from sequential_adaptor.engine.executor import ended
from sequential_adaptor.engine.rules import lanes
from sequential_adaptor.errors import RecordNotFound
from sequential_adaptor.lifecycles import TASK_RUN
from sequential_adaptor.records import StackRun, TaskRun
from sequential_adaptor.values import JSON

if TYPE_CHECKING:
    from sequential_adaptor.storage import Change, StorageAdapter

_FIRST_LOOK, _LONGEST_LOOK = 0.005, 0.5
_UNKNOWN = ""


class RunHandle:
    """A run in storage, whoever works on it."""

    def __init__(self, store: StorageAdapter, id: str, *, queue_id: str | None = _UNKNOWN) -> None:
        self._store = store
        self._queue_id = queue_id
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
        calls = (row for row in found if not row.is_frame and not rules.is_undone(row))
        return sorted(calls, key=lambda row: (row.created_at, row.sequence or 0, row.id))

    async def queue_id(self) -> str | None:
        """The run that is the queue which this one goes through; ``None`` where it goes through none."""
        if self._queue_id == _UNKNOWN:
            frame = await self._store.get_stack_run(self.id)
            self._queue_id = None if frame is None else lanes.queue_of(frame)
        return self._queue_id

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
            await cancel_at_once(self._store, self.id)
        elif (await self.record()).status not in TASK_RUN.ended:
            await ask_to_end(self._store, self._commit, self.id, await self._store.now())

    async def send(self, event: str, data: JSON = None) -> None:
        """Give the run an event; it is kept until the task waits for it, first in, first out."""
        ids.check_identifier(event)
        values.check(data)
        run = await self.record()
        await self._commit(rules.event_sent(run, event, data, ids.new_id(), await self._store.now()))

    async def fork(
        self,
        at: int | str,
        changes: Mapping[str, Any] | None = None,
        *,
        id: str | None = None,
        latest: bool = False,
    ) -> RunHandle:
        """A new run with the history of this one up to the call ``at`` (its number or id), going on from there.

        - The call is made again; or ``changes`` give it an outcome, ``{"result": value}`` or ``{"error": message}``
          (``{"error": {"type", "message"}}``). For a wait the result is the event's data; for an HTTP request it is an
          answer as stored, or the body of one.
        - Calls that were on their way beside it keep their outcomes. What was taken later has not happened.
        - The fork has the original's input, chance and clock, and needs nothing else of it; the original stays as it
          is. No time passes for the fork between the call and the moment at which it goes on.
        - The same ``id`` with the same request is the same fork. ``latest`` goes on with the current version of the
          code, which must make the same calls up to there.

        Raises :class:`CallNotFound`, which lists the calls there are, where there is no such call, and
        :class:`CannotGoBack` where nothing can go on from there.
        """
        from sequential_adaptor.engine.history.forking import fork  # not needed to wait for a run

        return RunHandle(self._store, await fork(self._store, self.id, at=at, changes=changes, id=id, latest=latest))

    async def retry(self, at: int | str | None = None, *, latest: bool = False) -> list[str]:
        """Go on with a run that has failed, at the call that it failed by; the ids of the calls that are made again.

        Those keep their keys, and begin with no failed attempt. Where no call is to blame, the run goes on where it
        stopped; ``at`` names another call to go back to. Children that failed go on in the same way. ``latest`` goes on
        with the current version of the code. Only failed runs go on; others can be forked.
        """
        from sequential_adaptor.engine.history.reviving import retry  # not needed to wait for a run

        return await retry(self._store, self.id, at=at, latest=latest)

    async def settle(self) -> TaskRun:
        """Wait until the run has ended, however it did: one that ends in this process says so, others are looked at."""
        began = time.monotonic()
        with endings_of(self._store).awaited(self.id) as ending:
            while (run := await self.record()).status not in TASK_RUN.ended:
                pause = min(max((time.monotonic() - began) / 10, _FIRST_LOOK), _LONGEST_LOOK)
                await asyncio.wait((ending,), timeout=pause)
                if ending.done():
                    return ending.result()
        return run

    async def _commit(self, changes: tuple[Change, ...]) -> None:
        await self._store.commit(changes, id=ids.new_id())
