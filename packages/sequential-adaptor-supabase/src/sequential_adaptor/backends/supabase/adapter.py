"""The adapter: every method of the storage interface, as calls of the database's functions through a door."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any, ClassVar, TypeVar

from sequential_adaptor import ids as names
from sequential_adaptor import values
from sequential_adaptor.backends.supabase import claiming, keeping, schema
from sequential_adaptor.backends.supabase.checking import BY_THE_STORE, check_text
from sequential_adaptor.backends.supabase.commits import Commit, is_work
from sequential_adaptor.backends.supabase.door import Door
from sequential_adaptor.backends.supabase.doors import make_door
from sequential_adaptor.backends.supabase.grouping import Writer
from sequential_adaptor.backends.supabase.migrating import migrate
from sequential_adaptor.backends.supabase.rows import TABLES, TASK_FUNCTIONS, read_time, to_text
from sequential_adaptor.backends.supabase.selecting import select
from sequential_adaptor.backends.supabase.storing import raw_update, store
from sequential_adaptor.backends.supabase.waiting import Waiter
from sequential_adaptor.errors import StorageClosed, StorageError
from sequential_adaptor.records import StackRun, TaskFunction, TaskRun
from sequential_adaptor.storage import (
    Change,
    Claim,
    Page,
    Query,
    StorageAdapter,
    new_stack_run,
    new_task_function,
    new_task_run,
)
from sequential_adaptor.values import JSON

Run = TypeVar("Run", TaskRun, StackRun)


class SupabaseAdapter(StorageAdapter):
    """Records in a Postgres database that any number of machines share; the same records in both of two ways.

    - ``dsn="postgresql://..."``: straight to Postgres, or through a pooler in transaction mode (which is noticed);
      ``listen_dsn`` is then a way to Postgres itself, for LISTEN, without which new work is found by polling.
    - ``url=..., service_key=...``: by REST. Without either, ``SUPABASE_URL`` and ``SUPABASE_SERVICE_KEY`` are used.
    - ``connections``: how many connections, or requests at a time, at most; ``timeout``: seconds after which what was
      not answered is sent again.

    The schema has to be there: ``sequential migrate --storage postgresql://...`` applies it. An adapter is used from
    the event loop that opened it, and not across a fork. Commits that are asked for side by side share a transaction.
    """

    atomic: ClassVar[bool] = True
    migrate = staticmethod(migrate)

    def __init__(
        self,
        dsn: str | None = None,
        *,
        url: str | None = None,
        service_key: str | None = None,
        listen_dsn: str | None = None,
        **options: Any,
    ) -> None:
        self._door: Door = make_door(dsn, url=url, service_key=service_key, listen_dsn=listen_dsn, **options)
        self._waiter = Waiter(self._door)
        self._writer = Writer(self._door, self._waiter.brought_work)
        self._opening = asyncio.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._door.address!r})"

    # ---- opening and closing

    async def init(self) -> None:
        async with self._opening:
            if self._loop is not None:
                return
            await self._door.open()
            try:
                await schema.check(self._door)
                await self._waiter.start()
            except BaseException:
                await self._door.close()
                raise
            self._loop = asyncio.get_running_loop()

    async def close(self) -> None:
        async with self._opening:
            if self._loop is None:
                return
            self._loop = None
            await self._writer.close()
            await self._waiter.close()
            await self._door.close()

    # ---- runs

    async def create_task_run(self, task_run: TaskRun | Mapping[str, Any]) -> TaskRun:
        return await store(self._open, new_task_run(task_run, BY_THE_STORE))

    async def get_task_run(self, id: str) -> TaskRun | None:
        return await self._get(TaskRun, names.check_run_id(id))

    async def update_task_run(self, id: str, changes: Mapping[str, Any] | None = None, /, **fields: Any) -> TaskRun:
        return await raw_update(self._open, TaskRun, id, {**(changes or {}), **fields})

    async def query_task_runs(
        self,
        filter: Mapping[str, Any] | None = None,
        *,
        limit: int | None = None,
        order_by: str = "created_at",
        newest_first: bool = False,
        cursor: str | None = None,
    ) -> Page[TaskRun]:
        return await select(
            self._open,
            Query.make(TaskRun, filter, limit=limit, order_by=order_by, newest_first=newest_first, cursor=cursor),
        )

    # ---- frames and calls

    async def create_stack_run(self, stack_run: StackRun | Mapping[str, Any]) -> StackRun:
        made = await store(self._open, new_stack_run(stack_run, BY_THE_STORE))
        if is_work(made):
            self._waiter.brought_work()
        return made

    async def get_stack_run(self, id: str) -> StackRun | None:
        return await self._get(StackRun, names.check_stack_run_id(id))

    async def update_stack_run(self, id: str, changes: Mapping[str, Any] | None = None, /, **fields: Any) -> StackRun:
        changed = await raw_update(self._open, StackRun, id, {**(changes or {}), **fields})
        if is_work(changed):
            self._waiter.brought_work()
        return changed

    async def query_stack_runs(
        self,
        filter: Mapping[str, Any] | None = None,
        *,
        limit: int | None = None,
        order_by: str = "created_at",
        newest_first: bool = False,
        cursor: str | None = None,
    ) -> Page[StackRun]:
        return await select(
            self._open,
            Query.make(StackRun, filter, limit=limit, order_by=order_by, newest_first=newest_first, cursor=cursor),
        )

    async def get_pending_stack_runs(self) -> list[StackRun]:
        return await claiming.pending(self._open)

    # ---- task functions

    async def store_task_function(
        self,
        identifier: str | TaskFunction | Mapping[str, Any],
        code: str | None = None,
        runner: str = "fetch",
        metadata: JSON = None,
    ) -> TaskFunction:
        function = new_task_function(identifier, code, runner, metadata, BY_THE_STORE)
        fields = TASK_FUNCTIONS.write_record(function)
        if function.created_at is BY_THE_STORE:
            del fields["created_at"]
        [row] = await self._open.call("sequential_store_task_function", {"record": to_text(fields)})
        return TASK_FUNCTIONS.read(row)

    async def get_task_function(self, identifier: str, version: str | None = None) -> TaskFunction | None:
        return await keeping.get_function(self._open, names.check_identifier(identifier), version)

    # ---- keystore

    async def set_keystore(self, key: str, value: JSON) -> None:
        names.check_key(key)
        await self._open.call("sequential_set_keystore", {"key": key, "value": values.encode(value)})

    async def get_keystore(self, key: str) -> JSON:
        rows = await self._open.call("sequential_get_keystore", {"key": names.check_key(key)})
        return values.decode(rows[0]["value"]) if rows else None

    async def delete_keystore(self, key: str) -> bool:
        return await self._delete("sequential_delete_keystore", {"key": names.check_key(key)})

    # ---- for workers

    async def claim_stack_runs(
        self, worker: str, *, limit: int = 1, lease: float = 30.0, ids: Collection[str] | None = None
    ) -> list[Claim]:
        return await claiming.claim(self._open, check_text("worker", worker), limit, lease, ids)

    async def commit(self, changes: Sequence[Change], *, claims: Sequence[Claim] = (), id: str) -> None:
        commit = Commit(changes, claims, id)
        self._check()
        await self._writer.write(commit)

    async def heartbeat(self, claims: Sequence[Claim], *, lease: float = 30.0) -> list[Claim]:
        return await claiming.heartbeat(self._open, claims, lease)

    async def now(self) -> datetime:
        """The clock of the database."""
        [row] = await self._open.call("sequential_now", {})
        return read_time(row["now"])

    async def wait_for_work(self, timeout: float) -> None:
        self._check()
        await self._waiter.wait(timeout)

    # ---- for people

    async def list_task_functions(self) -> list[str]:
        return await keeping.list_names(self._open, "sequential_list_task_functions")

    async def list_keystore(self) -> list[str]:
        return await keeping.list_names(self._open, "sequential_list_keystore")

    async def delete_task_run(self, id: str) -> bool:
        return await self._delete("sequential_delete_task_run", {"id": names.check_run_id(id)})

    async def diagnose(self, *, thorough: bool = False) -> list[str]:
        """What is wrong with the database as a store, a sentence each. Damage is what Postgres itself looks for."""
        return [row["line"] for row in await self._open.call("sequential_diagnose", {})]

    # ---- the door

    async def _get(self, record: type[Run], id: str) -> Run | None:
        table = TABLES[record]
        rows = await self._open.call(f"sequential_get_{table.name}", {"id": id})
        return table.read(rows[0]) if rows else None

    async def _delete(self, function: str, arguments: Mapping[str, Any]) -> bool:
        [row] = await self._open.call(function, {**arguments, "request": names.new_id()})
        return bool(row["deleted"])

    @property
    def _open(self) -> Door:
        self._check()
        return self._door

    def _check(self) -> None:
        if self._loop is None:
            raise StorageClosed(type(self).__name__)
        if self._loop is not asyncio.get_running_loop():
            raise StorageError(f"this {type(self).__name__} was opened in another event loop; open one in each")
