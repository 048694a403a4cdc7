"""Any adapter, on a clock that is skipped."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

from sequential_adaptor.lifecycles import STACK_RUN
from sequential_adaptor.records import StackRun, TaskFunction, TaskRun, as_record
from sequential_adaptor.storage import (
    Change,
    Claim,
    Page,
    StorageAdapter,
    is_due,
    new_stack_run,
    new_task_function,
    new_task_run,
)
from sequential_adaptor.testing.skipping.clock import SkippedTime
from sequential_adaptor.values import JSON

_PAGE = 1_000


def skipped_time(adapter: StorageAdapter, *, start: datetime | None = None) -> SkippingAdapter:
    """The adapter, on a clock that begins at ``start`` (an aware datetime; now, if it is left out) and is skipped."""
    return SkippingAdapter(adapter, SkippedTime(start))


class SkippingAdapter(StorageAdapter):
    """Records in another adapter, by a clock of its own: what workers need is what the base class makes of the 16
    documented methods, so any adapter will do, and all that uses the store has to be in one process.
    """

    def __init__(self, adapter: StorageAdapter, time: SkippedTime) -> None:
        self._adapter = adapter
        self.time = time
        self.skip: Callable[[], Awaitable[bool]] | None = None
        """Set by who carries runs on: makes time go on if nothing else can; says whether something is due."""

    async def now(self) -> datetime:
        return self.time.now()

    # ---- what the clock has to know

    async def claim_stack_runs(
        self, worker: str, *, limit: int = 1, lease: float = 30.0, ids: Collection[str] | None = None
    ) -> list[Claim]:
        claims = await super().claim_stack_runs(worker, limit=limit, lease=lease, ids=ids)
        if claims:
            self.time.stir()
        return claims

    async def commit(self, changes: Sequence[Change], *, claims: Sequence[Claim] = (), id: str) -> None:
        await super().commit(changes, claims=claims, id=id)
        self.time.stir()

    async def wait_for_work(self, timeout: float) -> None:
        stirred = asyncio.Event()
        with self.time.watched(stirred.set):
            while self.skip is None or not await self.skip():
                try:
                    async with asyncio.timeout(timeout):
                        await stirred.wait()
                except TimeoutError:
                    return
                stirred.clear()

    async def waiting(self) -> list[StackRun]:
        """The stack runs that have not ended and have a time at which they are due, in no order."""
        filter, cursor, found = {"status": STACK_RUN.open}, None, []
        while True:  # those without a time come last
            page = await self._adapter.query_stack_runs(
                filter, limit=_PAGE, order_by="due_at", newest_first=True, cursor=cursor
            )
            found += [row for row in page if row.due_at is not None]
            cursor = page.cursor
            if cursor is None or page[-1].due_at is None:
                return found

    # ---- the 16 documented methods, and housekeeping: the other adapter's, with the times of this clock

    async def init(self) -> None:
        await self._adapter.init()

    async def close(self) -> None:
        await self._adapter.close()

    async def create_task_run(self, task_run: TaskRun | Mapping[str, Any]) -> TaskRun:
        return await self._adapter.create_task_run(new_task_run(as_record(TaskRun, task_run), self.time.now()))

    async def get_task_run(self, id: str) -> TaskRun | None:
        return await self._adapter.get_task_run(id)

    async def update_task_run(self, id: str, changes: Mapping[str, Any] | None = None, /, **fields: Any) -> TaskRun:
        return await self._adapter.update_task_run(id, self._changes(changes, fields))

    async def query_task_runs(self, filter: Mapping[str, Any] | None = None, **options: Any) -> Page[TaskRun]:
        return await self._adapter.query_task_runs(filter, **options)

    async def create_stack_run(self, stack_run: StackRun | Mapping[str, Any]) -> StackRun:
        return await self._adapter.create_stack_run(new_stack_run(as_record(StackRun, stack_run), self.time.now()))

    async def get_stack_run(self, id: str) -> StackRun | None:
        return await self._adapter.get_stack_run(id)

    async def update_stack_run(self, id: str, changes: Mapping[str, Any] | None = None, /, **fields: Any) -> StackRun:
        return await self._adapter.update_stack_run(id, self._changes(changes, fields))

    async def query_stack_runs(self, filter: Mapping[str, Any] | None = None, **options: Any) -> Page[StackRun]:
        return await self._adapter.query_stack_runs(filter, **options)

    async def get_pending_stack_runs(self) -> list[StackRun]:
        now = self.time.now()
        due = [row for row in await self.waiting() if is_due(row, now) and row.status == "pending"]
        calls = [(row.due_at, row.id, row) for row in due if not row.is_frame]
        return [row for *_, row in sorted(calls, key=lambda call: call[:2])]

    async def store_task_function(
        self,
        identifier: str | TaskFunction | Mapping[str, Any],
        code: str | None = None,
        runner: str = "fetch",
        metadata: JSON = None,
    ) -> TaskFunction:
        function = new_task_function(identifier, code, runner, metadata, self.time.now())
        return await self._adapter.store_task_function(function)

    async def get_task_function(self, identifier: str, version: str | None = None) -> TaskFunction | None:
        return await self._adapter.get_task_function(identifier, version)

    async def set_keystore(self, key: str, value: JSON) -> None:
        await self._adapter.set_keystore(key, value)

    async def get_keystore(self, key: str) -> JSON:
        return await self._adapter.get_keystore(key)

    async def delete_keystore(self, key: str) -> bool:
        return await self._adapter.delete_keystore(key)

    async def list_task_functions(self) -> list[str]:
        return await self._adapter.list_task_functions()

    async def list_keystore(self) -> list[str]:
        return await self._adapter.list_keystore()

    async def diagnose(self, *, thorough: bool = False) -> list[str]:
        return await self._adapter.diagnose(thorough=thorough)

    async def delete_task_run(self, id: str) -> bool:
        return await self._adapter.delete_task_run(id)

    def _changes(self, changes: Mapping[str, Any] | None, fields: Mapping[str, Any]) -> dict[str, Any]:
        return {"updated_at": self.time.now(), **(changes or {}), **fields}
