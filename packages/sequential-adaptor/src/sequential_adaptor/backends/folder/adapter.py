"""The folder adapter: what the storage interface promises, kept by the parts beside this module."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, ClassVar, TypeVar

from sequential_adaptor import ids, values
from sequential_adaptor.backends.folder import answers
from sequential_adaptor.backends.folder.drafts import Put
from sequential_adaptor.backends.folder.functions import copied
from sequential_adaptor.backends.folder.mounts import check_file_system
from sequential_adaptor.backends.folder.preparing import (
    check_commit_id,
    check_lease,
    new_run,
    new_stack,
    set_step,
    steps_of,
)
from sequential_adaptor.backends.folder.requests import Beat, Claiming, Delete, Write
from sequential_adaptor.backends.folder.rows import Kind, unseal
from sequential_adaptor.backends.folder.service import Service
from sequential_adaptor.errors import ConfigurationError, StorageClosed, StorageError
from sequential_adaptor.records import StackRun, TaskFunction, TaskRun
from sequential_adaptor.storage.adapter import StorageAdapter
from sequential_adaptor.storage.changes import Change, Claim, Update
from sequential_adaptor.storage.filling import new_task_function
from sequential_adaptor.storage.queries import Page, Query
from sequential_adaptor.values import JSON

_T = TypeVar("_T")
_log = logging.getLogger("sequential_adaptor.folder")


class FolderAdapter(StorageAdapter):
    """Records in a folder of readable files, shared by any number of processes on one machine.

    - A commit is one line in an append-only journal; one ``fdatasync`` is its moment. Those made side by side in a
      process share one, and the syncs of several processes overlap.
    - At most a second later, and on ``close()``, the same is in readable JSON files: one for a run, its calls beside
      it. They carry checksums: one that was edited is refused with :class:`StorageDamaged`. Task functions are real
      ``.py`` files, and editing one makes a new version.
    - Made to be kept in git: journal and keystore are ignored there. After a clone, or when run files came by ``git
      pull``, delete ``.store``: its index is made again from the files.
    - ``durability="power"``: what was acknowledged survives a power loss. ``"process"``: it survives the death of every
      process, and a power loss may take the last commits, never a half of one.
    - After a killed process an unfinished last line is wiped away; any other damage to the journal is reported with
      file and byte (:class:`StorageDamaged`), never skipped. A full disk raises :class:`StorageError`, and the store
      goes on when there is room again. A failed sync does too, and the store has to be opened again.
    - Network file systems (NFS, SMB, Ceph, sshfs, ...) are refused with :class:`ConfigurationError`: each machine
      caches on its own there, and locks depend on a server. 9p, virtiofs and other FUSE mounts are warned about in
      the log.
    """

    atomic: ClassVar[bool] = True

    def __init__(self, base_path: str | os.PathLike[str] = "./tasks", *, durability: str = "power") -> None:
        if durability not in ("power", "process"):
            raise ConfigurationError(f"durability is {durability!r}; it is 'power' or 'process'")
        self._base = Path(base_path).absolute()
        self._power = durability == "power"
        self._service: Service | None = None
        self._closed = False
        self._opening = asyncio.Lock()

    @property
    def syncs(self) -> tuple[int, int]:
        """How often this process has synced the journal for a commit, and other files."""
        disk = self._use().store.disk
        return disk.data_syncs, disk.file_syncs

    # ---- opening and closing

    async def init(self) -> None:
        async with self._opening:
            if self._closed:
                raise StorageClosed(type(self).__name__)
            if self._service is None:
                self._service = await self._opened()

    async def _opened(self) -> Service:
        thread = ThreadPoolExecutor(1, "sequential-opening")
        opening = thread.submit(self._open)
        thread.shutdown(wait=False)
        try:
            return await asyncio.wrap_future(opening)
        except asyncio.CancelledError:  # the thread goes on, and nobody waits for what it opens
            opening.add_done_callback(_close)
            raise

    def _open(self) -> Service:
        warning = check_file_system(self._base)
        if warning is not None:
            _log.warning(warning)
        try:
            return Service(self._base, power=self._power)
        except OSError as error:
            raise StorageError(f"the store in {self._base} could not be opened: {error}") from error

    async def close(self) -> None:
        self._closed = True
        async with self._opening:
            service, self._service = self._service, None
            if service is not None and service.pid == os.getpid():
                await asyncio.to_thread(service.close)

    def _use(self) -> Service:
        service = self._service
        if service is None:
            if self._closed:
                raise StorageClosed(type(self).__name__)
            raise StorageError(f"the store in {self._base} is not open yet: await adapter.init(), or use `async with`")
        if service.pid != os.getpid():
            raise StorageError(
                f"the store in {self._base} was opened before this process forked; open it anew in the child"
            )
        return service

    # ---- runs

    async def create_task_run(self, task_run: TaskRun | Mapping[str, Any]) -> TaskRun:
        row = new_run(task_run, await self.now())
        stored: TaskRun = await self._use().writer.perform(Write((Put(row),)))
        return unseal(stored)

    async def get_task_run(self, id: str) -> TaskRun | None:
        ids.check_run_id(id)
        row = await self._read(id, lambda service: service.store.state.task_run(id))
        return None if row is None else unseal(row)

    async def update_task_run(self, id: str, changes: Mapping[str, Any] | None = None, /, **fields: Any) -> TaskRun:
        changed: TaskRun = await self._update(TaskRun, id, {**(changes or {}), **fields})
        return changed

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
        store = (await self._current()).store
        return await asyncio.to_thread(store.reading, lambda: answers.task_runs(store, query))

    # ---- frames and calls

    async def create_stack_run(self, stack_run: StackRun | Mapping[str, Any]) -> StackRun:
        row = new_stack(stack_run, await self.now())
        stored: StackRun = await self._use().writer.perform(Write((Put(row),)))
        return unseal(stored)

    async def get_stack_run(self, id: str) -> StackRun | None:
        ids.check_stack_run_id(id)
        home = self._use().store.state.home(id)
        row = await self._read(home, lambda service: service.store.state.stack_run(id))
        return None if row is None else unseal(row)

    async def update_stack_run(self, id: str, changes: Mapping[str, Any] | None = None, /, **fields: Any) -> StackRun:
        changed: StackRun = await self._update(StackRun, id, {**(changes or {}), **fields})
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
        query = Query.make(StackRun, filter, limit=limit, order_by=order_by, newest_first=newest_first, cursor=cursor)
        store = (await self._current()).store
        asked = answers.groups_asked(store, query)
        if len(asked) <= 1 and all(map(store.state.is_at_hand, asked)) and not answers.asks_for_adopted(store, query):
            return answers.stack_runs(store, query, asked)
        return await asyncio.to_thread(store.reading, lambda: answers.stack_runs(store, query, asked))

    async def get_pending_stack_runs(self) -> list[StackRun]:
        store = (await self._current()).store
        now = await self.now()
        return await asyncio.to_thread(store.reading, lambda: answers.pending_calls(store, now))

    # ---- task functions

    async def store_task_function(
        self,
        identifier: str | TaskFunction | Mapping[str, Any],
        code: str | None = None,
        runner: str = "fetch",
        metadata: JSON = None,
    ) -> TaskFunction:
        service = self._use()
        function = copied(new_task_function(identifier, code, runner, metadata, await self.now()))
        return await self._alone(lambda: service.functions.store(function))

    async def get_task_function(self, identifier: str, version: str | None = None) -> TaskFunction | None:
        ids.check_identifier(identifier)
        functions = self._use().functions
        try:
            return functions.get(identifier, version)
        except LookupError:  # somebody edited the source
            return await self._alone(lambda: functions.adopt(identifier))

    # ---- keystore

    async def set_keystore(self, key: str, value: JSON) -> None:
        ids.check_key(key)
        keys, text = self._use().keys, values.encode(value)
        await self._alone(lambda: keys.set(key, text))

    async def get_keystore(self, key: str) -> JSON:
        ids.check_key(key)
        return self._use().keys.get(key)

    async def delete_keystore(self, key: str) -> bool:
        ids.check_key(key)
        keys = self._use().keys
        return await self._alone(lambda: keys.delete(key))

    # ---- for workers

    async def claim_stack_runs(
        self, worker: str, *, limit: int = 1, lease: float = 30.0, ids: Collection[str] | None = None
    ) -> list[Claim]:
        check_lease(worker, lease)
        service = await self._current()
        state = service.store.state
        with state.lock:
            now = datetime.now(UTC)
            if state.schedule.advance(now):
                service.bell.ring()  # for others who wait: this claim may be for certain ids only
            if limit <= 0 or not state.schedule.has_due(now):
                return []
        found = await service.writer.perform(Claiming(worker, limit, lease, None if ids is None else tuple(ids)))
        if len(found) >= limit:
            service.bell.ring()  # there may be more, for somebody else
        return [_claim(row) for row in found]

    async def commit(self, changes: Sequence[Change], *, claims: Sequence[Claim] = (), id: str) -> None:
        request = Write(steps_of(changes, await self.now()), tuple(claims), check_commit_id(id))
        await self._use().writer.perform(request)

    async def heartbeat(self, claims: Sequence[Claim], *, lease: float = 30.0) -> list[Claim]:
        check_lease("heartbeat", lease)
        found = await self._use().writer.perform(Beat(tuple(claims), lease))
        return [_claim(row) for row in found if row is not None]

    async def now(self) -> datetime:
        self._use()
        return datetime.now(UTC)

    async def wait_for_work(self, timeout: float) -> None:
        service = self._use()
        await service.bell.wait(timeout, lambda: 0.0 if self._service is None else service.look())

    # ---- for people

    async def list_task_functions(self) -> list[str]:
        return await asyncio.to_thread(self._use().store.paths.identifiers)

    async def list_keystore(self) -> list[str]:
        return await asyncio.to_thread(self._use().store.paths.keys)

    async def delete_task_run(self, id: str) -> bool:
        found: bool = await self._use().writer.perform(Delete(ids.check_run_id(id)))
        return found

    # ---- how it is done

    async def _current(self) -> Service:
        """The service, with everything taken in that other processes have written."""
        service = self._use()
        with service.store.state.lock:
            service.store.refresh()
        if service.store.suspect:
            await service.writer.perform(Write(()))  # with the lock it can be told what that is
        return service

    async def _read(self, run_id: str, find: Callable[[Service], _T]) -> _T:
        service = await self._current()
        with service.store.state.lock:
            if service.store.state.is_at_hand(run_id):
                return find(service)
        return await asyncio.to_thread(service.store.reading, lambda: self._find(service, find))

    def _find(self, service: Service, find: Callable[[Service], _T]) -> _T:
        with service.store.state.lock:
            return find(service)

    async def _update(self, kind: Kind, id: str, changes: Mapping[str, Any]) -> Any:
        row: Any = await self._use().writer.perform(Write((set_step(Update(kind, id, changes)),)))
        return unseal(row)

    async def _alone(self, work: Callable[[], _T]) -> _T:
        try:
            return await asyncio.to_thread(self._use().store.alone, work)
        except OSError as error:
            raise StorageError(f"nothing was stored in {self._base}: {error}") from error


def _claim(row: StackRun) -> Claim:
    assert row.worker is not None
    assert row.lease_expires_at is not None
    return Claim(unseal(row), row.worker, row.token, row.lease_expires_at)


def _close(opening: Future[Service]) -> None:
    if not opening.cancelled() and opening.exception() is None:
        opening.result().close()
