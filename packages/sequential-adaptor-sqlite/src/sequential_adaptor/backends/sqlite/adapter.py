"""The adapter: every method of the storage interface over one SQLite file."""

from __future__ import annotations

import asyncio
import os
import sqlite3
from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, ClassVar, Literal, TypeVar

from sequential_adaptor import ids as names
from sequential_adaptor import values
from sequential_adaptor.backends.sqlite import claiming, diagnosis, keeping
from sequential_adaptor.backends.sqlite.commits import commit
from sequential_adaptor.backends.sqlite.connection import Thread
from sequential_adaptor.backends.sqlite.opening import IN_MEMORY, SYNCHRONOUS, connect
from sequential_adaptor.backends.sqlite.rows import STACK_RUNS, TABLES, TASK_FUNCTIONS, TASK_RUNS
from sequential_adaptor.backends.sqlite.selecting import select
from sequential_adaptor.backends.sqlite.steps import Creation, raw_update
from sequential_adaptor.backends.sqlite.transactions import Write, Writer
from sequential_adaptor.backends.sqlite.turns import Turns
from sequential_adaptor.backends.sqlite.waiting import Patience
from sequential_adaptor.backends.sqlite.waking import Waiter
from sequential_adaptor.errors import ConfigurationError
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


class SQLiteAdapter(StorageAdapter):
    """Records in one SQLite file, which any number of processes of one machine may share.

    - ``db_path``: the file, made with mode 0600 where there is none; ``:memory:`` is a store of this adapter alone.
    - ``durability``: ``"power"`` (what was acknowledged survives a power failure; one fsync a commit) or ``"process"``
      (it survives the death of any process; the last commits before a power failure may be lost, never a part of one).

    One connection, on a thread of its own; writes that are asked for side by side share a transaction. It may be used
    from several event loops, and not across a fork: close it before, and open one in each process.
    """

    atomic: ClassVar[bool] = True

    patience: ClassVar[float] = 60.0
    """How many seconds to wait for another program that holds the file, before :class:`DatabaseBusy`."""

    def __init__(
        self,
        db_path: str | os.PathLike[str] = "./tasks.db",
        *,
        durability: Literal["power", "process"] = "power",
    ) -> None:
        if durability not in SYNCHRONOUS:
            raise ConfigurationError(f"durability is {durability!r}; it is one of: {', '.join(SYNCHRONOUS)}")
        path = os.fspath(db_path)
        if not path or "\0" in path:
            raise ConfigurationError(f"db_path is {db_path!r}; it is the path of a file, or {IN_MEMORY}")
        # A relative path is meant now, for the process may change its directory later; and SQLite follows links, so
        # that the log lies beside the file itself.
        self._path = path if path == IN_MEMORY else os.path.realpath(path)
        self._durability = durability
        self._turns = Turns(self._path, self.patience)
        self._thread = Thread(self._path, type(self).__name__, self.patience, self._turns.close)
        self._waiter = Waiter(self._thread)
        self._writer = Writer(self._thread, self._turns, self.patience, self._waiter.announce)
        self._opening = asyncio.Lock()

    # ---- opening and closing

    async def init(self) -> None:
        async with self._opening:
            if not self._thread.is_open:
                await self._thread.open(self._connect, self._disconnect)

    async def close(self) -> None:
        async with self._opening:
            self._waiter.let_go()
            self._writer.hand_over(asyncio.get_running_loop())
            await self._thread.close(self._disconnect)
            self._waiter.close()

    def _connect(self) -> sqlite3.Connection:
        connection = connect(self._path, self._durability, Patience(self._path, self.patience))
        self._writer.memory.forget_all()
        try:
            if self._path != IN_MEMORY:
                self._turns.open()
            self._waiter.start(connection)
        except BaseException:
            connection.close()
            raise
        return connection

    def _disconnect(self, connection: sqlite3.Connection) -> None:
        # The last one to close a file writes its log back and removes it: a checkpoint, so in turn.
        with self._turns.taken():
            connection.close()
        self._turns.close()

    # ---- runs

    async def create_task_run(self, task_run: TaskRun | Mapping[str, Any]) -> TaskRun:
        made = Creation(new_task_run(task_run, await self.now()))
        found: TaskRun = await self._writer.run(Write(made.stored))
        return found

    async def get_task_run(self, id: str) -> TaskRun | None:
        return await self._get(TaskRun, names.check_run_id(id))

    async def update_task_run(self, id: str, changes: Mapping[str, Any] | None = None, /, **fields: Any) -> TaskRun:
        write = raw_update(TaskRun, id, {**(changes or {}), **fields}, await self.now())
        return TASK_RUNS.load(await self._writer.run(write))

    async def query_task_runs(
        self,
        filter: Mapping[str, Any] | None = None,
        *,
        limit: int | None = None,
        order_by: str = "created_at",
        newest_first: bool = False,
        cursor: str | None = None,
    ) -> Page[TaskRun]:
        return await self._page(
            Query.make(TaskRun, filter, limit=limit, order_by=order_by, newest_first=newest_first, cursor=cursor)
        )

    # ---- frames and calls

    async def create_stack_run(self, stack_run: StackRun | Mapping[str, Any]) -> StackRun:
        made = Creation(new_stack_run(stack_run, await self.now()))
        found: StackRun = await self._writer.run(Write(made.stored, brings_work=made.brings_work))
        return found

    async def get_stack_run(self, id: str) -> StackRun | None:
        return await self._get(StackRun, names.check_stack_run_id(id))

    async def update_stack_run(self, id: str, changes: Mapping[str, Any] | None = None, /, **fields: Any) -> StackRun:
        write = raw_update(StackRun, id, {**(changes or {}), **fields}, await self.now())
        return STACK_RUNS.load(await self._writer.run(write))

    async def query_stack_runs(
        self,
        filter: Mapping[str, Any] | None = None,
        *,
        limit: int | None = None,
        order_by: str = "created_at",
        newest_first: bool = False,
        cursor: str | None = None,
    ) -> Page[StackRun]:
        return await self._page(
            Query.make(StackRun, filter, limit=limit, order_by=order_by, newest_first=newest_first, cursor=cursor)
        )

    async def get_pending_stack_runs(self) -> list[StackRun]:
        return STACK_RUNS.load_all(await self._thread.read(claiming.pending))

    # ---- task functions

    async def store_task_function(
        self,
        identifier: str | TaskFunction | Mapping[str, Any],
        code: str | None = None,
        runner: str = "fetch",
        metadata: JSON = None,
    ) -> TaskFunction:
        function = new_task_function(identifier, code, runner, metadata, await self.now())
        await self._writer.run(keeping.store_function(function))
        return TASK_FUNCTIONS.load(TASK_FUNCTIONS.row(function))

    async def get_task_function(self, identifier: str, version: str | None = None) -> TaskFunction | None:
        names.check_identifier(identifier)
        row = await self._thread.read(lambda connection: keeping.read_function(connection, identifier, version))
        return None if row is None else TASK_FUNCTIONS.load(row)

    # ---- keystore

    async def set_keystore(self, key: str, value: JSON) -> None:
        await self._writer.run(keeping.set_key(names.check_key(key), values.encode(value)))

    async def get_keystore(self, key: str) -> JSON:
        names.check_key(key)
        row = await self._thread.read(lambda connection: keeping.read_key(connection, key))
        return None if row is None else values.decode(row[0])

    async def delete_keystore(self, key: str) -> bool:
        return await self._writer.run(keeping.delete_key(names.check_key(key)))

    # ---- for workers

    async def claim_stack_runs(
        self, worker: str, *, limit: int = 1, lease: float = 30.0, ids: Collection[str] | None = None
    ) -> list[Claim]:
        return await self._writer.run(claiming.claim(worker, limit, lease, ids))

    async def commit(self, changes: Sequence[Change], *, claims: Sequence[Claim] = (), id: str) -> None:
        await self._writer.run(commit(changes, claims, id, datetime.now(UTC)))

    async def heartbeat(self, claims: Sequence[Claim], *, lease: float = 30.0) -> list[Claim]:
        return await self._writer.run(claiming.heartbeat(claims, lease)) if claims else []

    async def now(self) -> datetime:
        """The clock of this machine, which is the only one whose processes may share the file."""
        self._thread.check()
        return datetime.now(UTC)

    async def wait_for_work(self, timeout: float) -> None:
        await self._waiter.wait(timeout)

    # ---- for people

    async def list_task_functions(self) -> list[str]:
        return await self._names(keeping.IDENTIFIERS)

    async def list_keystore(self) -> list[str]:
        return await self._names(keeping.KEYS)

    async def delete_task_run(self, id: str) -> bool:
        return await self._writer.run(keeping.delete_run(names.check_run_id(id)))

    async def diagnose(self, *, thorough: bool = False) -> list[str]:
        """What is wrong with the file or with SQLite, a sentence each; ``thorough`` reads the whole file for damage."""
        self._thread.check()
        found = diagnosis.library()
        if self._path != IN_MEMORY:
            found += await asyncio.to_thread(lambda: list(diagnosis.file(self._path)))
        return found + (await self._thread.read(diagnosis.contents) if thorough else [])

    # ---- reading

    async def _get(self, record: type[Run], id: str) -> Run | None:
        table = TABLES[record]
        row = await self._thread.read(lambda connection: connection.execute(table.get, (id,)).fetchone())
        return None if row is None else table.load(row)

    async def _names(self, text: str) -> list[str]:
        return [name for (name,) in await self._thread.read(lambda connection: connection.execute(text).fetchall())]

    async def _page(self, query: Query[Run]) -> Page[Run]:
        text, bound = select(query)
        rows = await self._thread.read(lambda connection: connection.execute(text, bound).fetchall())
        return query.page(TABLES[query.record].load_all(rows))
