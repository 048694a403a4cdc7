"""The adapter: every method of the storage interface, over the store of :mod:`.store`.

Each method does three things: it checks what it was given, with the parts that every backend shares; it does one thing
to the store, in one transaction; it gives back values of its own. Replace the second, and keep the other two.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar

from sequential_adaptor import ids, values
from sequential_adaptor.backends.template.commits import apply, check_claims, create, existing
from sequential_adaptor.backends.template.store import Store, Transaction, from_row, to_row
from sequential_adaptor.errors import StorageClosed
from sequential_adaptor.records import StackRun, TaskFunction, TaskRun
from sequential_adaptor.storage import (
    Change,
    Claim,
    Page,
    Query,
    StorageAdapter,
    changed_record,
    holds,
    is_due,
    new_stack_run,
    new_task_function,
    new_task_run,
)
from sequential_adaptor.values import JSON

_STORES: dict[str, Store] = {}


class TemplateAdapter(StorageAdapter):
    """Records in the memory of this process. Adapters of one ``name`` share a store, whichever event loop they are
    in."""

    atomic: ClassVar[bool] = True

    def __init__(self, name: str = "default", url: str | None = None) -> None:
        self._name = name if url is None else url.partition(":")[2]
        self._open: Store | None = None
        self._seen = 0

    @property
    def _store(self) -> Store:
        if self._open is None:
            raise StorageClosed(type(self).__name__)
        return self._open

    # ---- opening and closing

    async def init(self) -> None:
        if self._open is None:
            self._open = _STORES.setdefault(self._name, Store())
            self._seen = self._open.announced

    async def close(self) -> None:
        self._open = None

    # ---- runs

    async def create_task_run(self, task_run: TaskRun | Mapping[str, Any]) -> TaskRun:
        store, now = self._store, await self.now()
        with store.transaction() as transaction:
            stored: TaskRun = create(transaction, new_task_run(task_run, now))
        return stored

    async def get_task_run(self, id: str) -> TaskRun | None:
        store, id = self._store, ids.check_run_id(id)
        with store.transaction() as transaction:
            return transaction.get(TaskRun, id)

    async def update_task_run(self, id: str, changes: Mapping[str, Any] | None = None, /, **fields: Any) -> TaskRun:
        store, id, now = self._store, ids.check_run_id(id), await self.now()
        with store.transaction() as transaction:
            run: TaskRun = changed_record(existing(transaction, TaskRun, id), {**(changes or {}), **fields}, now)
            transaction.put(run)
        return run

    async def query_task_runs(
        self,
        filter: Mapping[str, Any] | None = None,
        *,
        limit: int | None = None,
        order_by: str = "created_at",
        newest_first: bool = False,
        cursor: str | None = None,
    ) -> Page[TaskRun]:
        query = Query.make(TaskRun, filter, limit=limit, order_by=order_by, newest_first=newest_first, cursor=cursor)
        with self._store.transaction() as transaction:
            return query.run(transaction.all(TaskRun))

    # ---- frames and calls

    async def create_stack_run(self, stack_run: StackRun | Mapping[str, Any]) -> StackRun:
        store, now = self._store, await self.now()
        with store.transaction() as transaction:
            stored: StackRun = create(transaction, new_stack_run(stack_run, now))
        store.announce()
        return stored

    async def get_stack_run(self, id: str) -> StackRun | None:
        store, id = self._store, ids.check_stack_run_id(id)
        with store.transaction() as transaction:
            return transaction.get(StackRun, id)

    async def update_stack_run(self, id: str, changes: Mapping[str, Any] | None = None, /, **fields: Any) -> StackRun:
        store, id, now = self._store, ids.check_stack_run_id(id), await self.now()
        with store.transaction() as transaction:
            found: StackRun = changed_record(existing(transaction, StackRun, id), {**(changes or {}), **fields}, now)
            transaction.put(found)
        store.announce()
        return found

    async def query_stack_runs(
        self,
        filter: Mapping[str, Any] | None = None,
        *,
        limit: int | None = None,
        order_by: str = "created_at",
        newest_first: bool = False,
        cursor: str | None = None,
    ) -> Page[StackRun]:
        query = Query.make(StackRun, filter, limit=limit, order_by=order_by, newest_first=newest_first, cursor=cursor)
        with self._store.transaction() as transaction:
            return query.run(transaction.all(StackRun))

    async def get_pending_stack_runs(self) -> list[StackRun]:
        store, now = self._store, await self.now()
        with store.transaction() as transaction:
            return [found for found in _due(transaction, now) if found.status == "pending" and not found.is_frame]

    # ---- task functions

    async def store_task_function(
        self,
        identifier: str | TaskFunction | Mapping[str, Any],
        code: str | None = None,
        runner: str = "fetch",
        metadata: JSON = None,
    ) -> TaskFunction:
        store = self._store
        function = new_task_function(identifier, code, runner, metadata, await self.now())
        with store.transaction():
            store.functions[function.identifier, function.version] = to_row(function)
            store.current[function.identifier] = function.version
        return function

    async def get_task_function(self, identifier: str, version: str | None = None) -> TaskFunction | None:
        store, identifier = self._store, ids.check_identifier(identifier)
        with store.transaction():
            wanted = store.current.get(identifier, "") if version is None else version
            row = store.functions.get((identifier, wanted))
        return None if row is None else from_row(TaskFunction, row)

    # ---- keystore

    async def set_keystore(self, key: str, value: JSON) -> None:
        store, key, text = self._store, ids.check_key(key), values.encode(value)
        with store.transaction():
            store.keystore[key] = text

    async def get_keystore(self, key: str) -> JSON:
        store, key = self._store, ids.check_key(key)
        with store.transaction():
            text = store.keystore.get(key)
        return None if text is None else values.decode(text)

    async def delete_keystore(self, key: str) -> bool:
        store, key = self._store, ids.check_key(key)
        with store.transaction():
            return store.keystore.pop(key, None) is not None

    # ---- for workers

    async def claim_stack_runs(
        self, worker: str, *, limit: int = 1, lease: float = 30.0, ids: Collection[str] | None = None
    ) -> list[Claim]:
        store, now = self._store, await self.now()
        wanted = None if ids is None else set(ids)
        with store.transaction() as transaction:
            due = [found for found in _due(transaction, now) if wanted is None or found.id in wanted]
            return [_hold(transaction, found, worker, found.token + 1, now, lease) for found in due[:limit]]

    async def heartbeat(self, claims: Sequence[Claim], *, lease: float = 30.0) -> list[Claim]:
        store, now, kept = self._store, await self.now(), []
        with store.transaction() as transaction:
            for claim in claims:
                found = transaction.get(StackRun, claim.stack_run.id)
                if found is not None and holds(claim, found, now):
                    kept.append(_hold(transaction, found, claim.worker, claim.token, now, lease))
        return kept

    async def commit(self, changes: Sequence[Change], *, claims: Sequence[Claim] = (), id: str) -> None:
        store, now = self._store, await self.now()
        with store.transaction() as transaction:
            if id in store.commits:
                return
            check_claims(transaction, claims, now)
            for change in changes:
                apply(transaction, change, id, now)
            store.remember(id)
        store.announce()

    async def now(self) -> datetime:
        """The clock of the store, which a database has of its own: all processes must go by the same one."""
        _ = self._store
        return datetime.now(UTC)

    async def wait_for_work(self, timeout: float) -> None:
        self._seen = await self._store.wait(self._seen, timeout)

    # ---- housekeeping for people, which an adapter may leave out

    async def list_task_functions(self) -> list[str]:
        store = self._store
        with store.transaction():
            return sorted(store.current)

    async def list_keystore(self) -> list[str]:
        store = self._store
        with store.transaction():
            return sorted(store.keystore)

    async def delete_task_run(self, id: str) -> bool:
        store, id = self._store, ids.check_run_id(id)
        with store.transaction() as transaction:
            found = transaction.get(TaskRun, id) is not None
            transaction.deleted.append((TaskRun, id))
            transaction.deleted += [(StackRun, row.id) for row in transaction.all(StackRun) if row.task_run_id == id]
        return found


def _due(transaction: Transaction, now: datetime) -> list[StackRun]:
    """The stack runs that are due, oldest first: what an index on ``due_at, id`` gives in a database."""
    found = [(run.due_at, run.id, run) for run in transaction.all(StackRun) if is_due(run, now)]
    return [run for _, _, run in sorted(found, key=lambda one: one[:2])]


def _hold(transaction: Transaction, found: StackRun, worker: str, token: int, now: datetime, lease: float) -> Claim:
    expires_at = now + timedelta(seconds=lease)
    held = found.replace(worker=worker, token=token, lease_expires_at=expires_at)
    transaction.put(held)
    return Claim(transaction.get(StackRun, held.id) or held, worker, token, expires_at)
