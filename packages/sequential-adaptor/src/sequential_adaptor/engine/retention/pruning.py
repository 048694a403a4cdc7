"""Forgetting runs that have ended long ago, in small bites."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from sequential_adaptor import ids
from sequential_adaptor.engine.retention.policy import Retention, condemned, why_needed
from sequential_adaptor.engine.retention.tombstones import KEPT, tombstone_id
from sequential_adaptor.errors import Conflict, NotOffered, RecordExists, RecordNotFound
from sequential_adaptor.records import StackRun, TaskRun
from sequential_adaptor.storage.adapter import StorageAdapter
from sequential_adaptor.storage.changes import Create, Update

if TYPE_CHECKING:
    from sequential_adaptor.storage import Change

BITE: Final = 100
"""How many runs are looked at in one go, and forgotten at most."""
_AT_ONCE: Final = 10


@dataclass(slots=True)
class Pruned:
    """The ids of the ``runs`` that were forgotten (in a dry run: would be), and of those ``kept``, with the reasons."""

    runs: list[str] = field(default_factory=list)
    kept: dict[str, str] = field(default_factory=dict)


class Pruner:
    """Forgets what a retention says, one bite after the other; ``found`` is what has become of it so far.

    Runs are forgotten whole: killed at any moment, it leaves runs that are all there, and runs that are all gone.
    """

    def __init__(self, store: StorageAdapter, policy: Retention, *, dry_run: bool = False) -> None:
        if type(store).delete_task_run is StorageAdapter.delete_task_run:
            raise NotOffered(type(store).__name__, "delete runs, so that none can be pruned")
        self._store = store
        self._policy = policy
        self._dry_run = dry_run
        self.found = Pruned()

    async def bites(self) -> AsyncIterator[Pruned]:
        """Forget, and give ``found`` after each bite."""
        before = _earlier(await self._store.now(), self._policy.keep)
        for status in self._policy.statuses:
            async for page in self._pages(status, before):
                await self._bite([run for run in page if _ended(run) <= before])
                yield self.found

    async def _pages(self, status: str, before: datetime) -> AsyncIterator[list[TaskRun]]:
        """By the time at which they were submitted: what was submitted too late has ended too late as well."""
        filter: dict[str, Any] = {"status": status}
        if self._policy.task is not None:
            filter["task_identifier"] = self._policy.task
        cursor = None
        while True:
            page = await self._store.query_task_runs(filter, limit=BITE, cursor=cursor)
            yield page
            cursor = page.cursor
            if cursor is None or (page[-1].created_at or before) > before:
                return

    async def _bite(self, runs: list[TaskRun]) -> None:
        gone: dict[str, list[Change]] = {}
        now = await self._store.now()
        for run in runs:
            frame = await self._store.get_stack_run(run.id)
            reason = why_needed(run, frame, await self._parent_of(run))
            if reason is None:
                gone[run.id] = condemned(run, frame, now)
            else:
                self.found.kept[run.id] = reason
        if not self._dry_run:
            await self._condemn(gone)
            await self._delete([*gone])
        self.found.runs += gone

    async def _delete(self, run_ids: list[str]) -> None:
        """A few at a time: what workers commit meanwhile waits for those, and not for the whole bite."""
        for start in range(0, len(run_ids), _AT_ONCE):
            await asyncio.gather(*map(self._store.delete_task_run, run_ids[start : start + _AT_ONCE]))

    async def _condemn(self, gone: dict[str, list[Change]]) -> None:
        """Write down in one commit what has to be known of them; a run that somebody goes on with stays."""
        while changes := [change for each in gone.values() for change in each]:
            try:
                await self._store.commit(changes, id=ids.new_id())
                return
            except Conflict as conflict:
                self.found.kept[conflict.id] = "somebody goes on with it"
                del gone[conflict.id]
            except RecordNotFound as missing:  # somebody else has forgotten it
                del gone[missing.id]
            except RecordExists:
                await self._use_old_tombstones(gone)

    async def _use_old_tombstones(self, gone: dict[str, list[Change]]) -> None:
        """A prune that was killed has left them, or the ids were used again."""
        for id, changes in gone.items():
            if await self._store.get_stack_run(tombstone_id(id)) is not None:
                old = Update(StackRun, tombstone_id(id), {"operation": KEPT})
                gone[id] = [*(change for change in changes if not isinstance(change, Create)), old]

    async def _parent_of(self, run: TaskRun) -> TaskRun | None:
        if run.parent_stack_run_id is None:
            return None
        call = await self._store.get_stack_run(run.parent_stack_run_id)
        return None if call is None else await self._store.get_task_run(call.task_run_id)


def _ended(run: TaskRun) -> datetime:
    ended = run.ended_at or run.updated_at or run.created_at
    assert ended is not None  # every stored run has a time
    return ended


def _earlier(now: datetime, time: timedelta) -> datetime:
    """So long ago; the beginning of the calendar where it does not reach so far."""
    try:
        return now - time
    except OverflowError:
        return datetime.min.replace(tzinfo=UTC)
