"""Records in the memory of one process: the 16 documented methods over dictionaries, and nothing for workers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, TypeVar

from sequential_adaptor import ids, values
from sequential_adaptor.errors import RecordExists, RecordNotFound, StorageClosed
from sequential_adaptor.records import JSON_FIELDS, StackRun, TaskFunction, TaskRun
from sequential_adaptor.storage import (
    Page,
    Query,
    StorageAdapter,
    changed_record,
    is_due,
    is_repeat,
    new_stack_run,
    new_task_function,
    new_task_run,
)
from sequential_adaptor.values import JSON

Run = TypeVar("Run", TaskRun, StackRun)
Record = TypeVar("Record", TaskRun, StackRun, TaskFunction)


class MemoryAdapter(StorageAdapter):
    """Adapters of one ``name`` share a store, which lasts as long as the process; without a name each has its own.

    For tests, and for one worker at a time: what several need is what its base class gives to every adapter.
    """

    _stores: ClassVar[dict[str, dict[Any, Any]]] = {}

    def __init__(self, name: str | None = None) -> None:
        self._kept: dict[Any, Any] = {} if name is None else self._stores.setdefault(name, {})
        self._is_open = False

    @property
    def _rows(self) -> dict[Any, Any]:
        if not self._is_open:
            raise StorageClosed(type(self).__name__)
        return self._kept

    async def init(self) -> None:
        self._is_open = True

    async def close(self) -> None:
        self._is_open = False

    # ---- runs, frames and calls

    async def create_task_run(self, task_run: TaskRun | Mapping[str, Any]) -> TaskRun:
        return self._create(new_task_run(task_run, await self.now()))

    async def get_task_run(self, id: str) -> TaskRun | None:
        return self._get(TaskRun, ids.check_run_id(id))

    async def update_task_run(self, id: str, changes: Mapping[str, Any] | None = None, /, **fields: Any) -> TaskRun:
        return await self._update(TaskRun, ids.check_run_id(id), {**(changes or {}), **fields})

    async def query_task_runs(self, filter: Mapping[str, Any] | None = None, **options: Any) -> Page[TaskRun]:
        return self._query(TaskRun, filter, options)

    async def create_stack_run(self, stack_run: StackRun | Mapping[str, Any]) -> StackRun:
        return self._create(new_stack_run(stack_run, await self.now()))

    async def get_stack_run(self, id: str) -> StackRun | None:
        return self._get(StackRun, ids.check_stack_run_id(id))

    async def update_stack_run(self, id: str, changes: Mapping[str, Any] | None = None, /, **fields: Any) -> StackRun:
        return await self._update(StackRun, ids.check_stack_run_id(id), {**(changes or {}), **fields})

    async def query_stack_runs(self, filter: Mapping[str, Any] | None = None, **options: Any) -> Page[StackRun]:
        return self._query(StackRun, filter, options)

    async def get_pending_stack_runs(self) -> list[StackRun]:
        now = await self.now()
        pending = self._query(StackRun, {"status": "pending"}, {"order_by": "due_at"})
        return [found for found in pending if is_due(found, now) and not found.is_frame]

    async def delete_task_run(self, id: str) -> bool:
        found = self._rows.pop((TaskRun, ids.check_run_id(id)), None)
        for key in [key for key, row in self._rows.items() if isinstance(row, StackRun) and row.task_run_id == id]:
            del self._rows[key]
        return found is not None

    def _create(self, record: Run) -> Run:
        stored: Run = self._rows.setdefault((type(record), record.id), _own(record))
        if not is_repeat(stored, record):
            raise RecordExists(type(record).__name__, record.id)
        return _own(stored)

    def _get(self, kind: type[Run], id: str) -> Run | None:
        found = self._rows.get((kind, id))
        return None if found is None else _own(found)

    async def _update(self, kind: type[Run], id: str, changes: Mapping[str, Any]) -> Run:
        found = self._rows.get((kind, id))
        if found is None:
            raise RecordNotFound(kind.__name__, id)
        changed: Run = changed_record(found, changes, await self.now())
        self._rows[kind, id] = _own(changed)
        return _own(changed)

    def _query(self, kind: type[Run], filter: Mapping[str, Any] | None, options: Mapping[str, Any]) -> Page[Run]:
        query = Query.make(kind, filter, **options)
        page = query.run([row for row in self._rows.values() if isinstance(row, kind)])
        return Page([_own(row) for row in page], page.cursor)

    # ---- task functions

    async def store_task_function(
        self,
        identifier: str | TaskFunction | Mapping[str, Any],
        code: str | None = None,
        runner: str = "fetch",
        metadata: JSON = None,
    ) -> TaskFunction:
        function = new_task_function(identifier, code, runner, metadata, await self.now())
        self._rows[TaskFunction, function.identifier, function.version] = _own(function)
        self._rows["current", function.identifier] = function.version
        return function

    async def get_task_function(self, identifier: str, version: str | None = None) -> TaskFunction | None:
        ids.check_identifier(identifier)
        wanted = self._rows.get(("current", identifier)) if version is None else version
        found = self._rows.get((TaskFunction, identifier, wanted))
        return None if found is None else _own(found)

    async def list_task_functions(self) -> list[str]:
        return sorted(key[1] for key in self._rows if key[0] == "current")

    # ---- keystore

    async def set_keystore(self, key: str, value: JSON) -> None:
        self._rows["keystore", ids.check_key(key)] = values.encode(value)

    async def get_keystore(self, key: str) -> JSON:
        return values.decode(self._rows.get(("keystore", ids.check_key(key)), "null"))

    async def delete_keystore(self, key: str) -> bool:
        return self._rows.pop(("keystore", ids.check_key(key)), None) is not None

    async def list_keystore(self) -> list[str]:
        return sorted(key[1] for key in self._rows if key[0] == "keystore")


def _own(record: Record) -> Record:
    """The record with payloads of its own."""
    return record.replace(**{name: values.copy(getattr(record, name)) for name in JSON_FIELDS[type(record)]})
