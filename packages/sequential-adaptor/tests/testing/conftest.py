"""The smallest adapter there can be: the 16 documented methods over dictionaries, and nothing for workers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import pytest

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

pytest_plugins = ["pytester"]

CHECKS = {TaskRun: ids.check_run_id, StackRun: ids.check_stack_run_id}


def own(record: Any) -> Any:
    """The record with payloads of its own."""
    return record.replace(**{name: values.copy(getattr(record, name)) for name in JSON_FIELDS[type(record)]})


class Sixteen(StorageAdapter):
    """Adapters of one name share a store."""

    stores: ClassVar[dict[str, dict[Any, Any]]] = {}

    def __init__(self, name: str) -> None:
        self._name = name
        self._open: dict[Any, Any] | None = None

    @property
    def rows(self) -> dict[Any, Any]:
        if self._open is None:
            raise StorageClosed("Sixteen")
        return self._open

    async def init(self) -> None:
        self._open = self.stores.setdefault(self._name, {})

    async def close(self) -> None:
        self._open = None

    def _create(self, record: Any) -> Any:
        stored = self.rows.setdefault((type(record), record.id), own(record))
        if not is_repeat(stored, record):
            raise RecordExists(type(record).__name__, record.id)
        return own(stored)

    def _get(self, kind: Any, id: str) -> Any:
        found = self.rows.get((kind, CHECKS[kind](id)))
        return None if found is None else own(found)

    async def _update(self, kind: Any, id: str, changes: Mapping[str, Any]) -> Any:
        found = self._get(kind, id)
        if found is None:
            raise RecordNotFound(kind.__name__, id)
        self.rows[kind, id] = own(changed_record(found, changes, await self.now()))
        return self._get(kind, id)

    def _query(self, kind: Any, filter: Any, options: Any) -> Page[Any]:
        rows = [own(row) for (its, *_), row in self.rows.items() if its is kind]
        return Query.make(kind, filter, **options).run(rows)

    async def create_task_run(self, task_run: Any) -> TaskRun:
        return self._create(new_task_run(task_run, await self.now()))

    async def get_task_run(self, id: str) -> TaskRun | None:
        return self._get(TaskRun, id)

    async def update_task_run(self, id: str, changes: Mapping[str, Any] | None = None, /, **fields: Any) -> TaskRun:
        return await self._update(TaskRun, id, {**(changes or {}), **fields})

    async def query_task_runs(self, filter: Any = None, **options: Any) -> Page[TaskRun]:
        return self._query(TaskRun, filter, options)

    async def create_stack_run(self, stack_run: Any) -> StackRun:
        return self._create(new_stack_run(stack_run, await self.now()))

    async def get_stack_run(self, id: str) -> StackRun | None:
        return self._get(StackRun, id)

    async def update_stack_run(self, id: str, changes: Mapping[str, Any] | None = None, /, **fields: Any) -> StackRun:
        return await self._update(StackRun, id, {**(changes or {}), **fields})

    async def query_stack_runs(self, filter: Any = None, **options: Any) -> Page[StackRun]:
        return self._query(StackRun, filter, options)

    async def get_pending_stack_runs(self) -> list[StackRun]:
        now = await self.now()
        pending = await self.query_stack_runs({"status": "pending"}, order_by="due_at")
        return [found for found in pending if is_due(found, now) and not found.is_frame]

    async def store_task_function(
        self, identifier: Any, code: str | None = None, runner: str = "fetch", metadata: Any = None
    ) -> TaskFunction:
        function = new_task_function(identifier, code, runner, metadata, await self.now())
        self.rows[TaskFunction, function.identifier, function.version] = own(function)
        self.rows["current", function.identifier] = function.version
        return function

    async def get_task_function(self, identifier: str, version: str | None = None) -> TaskFunction | None:
        ids.check_identifier(identifier)
        wanted = self.rows.get(("current", identifier)) if version is None else version
        found = self.rows.get((TaskFunction, identifier, wanted))
        return None if found is None else own(found)

    async def set_keystore(self, key: str, value: Any) -> None:
        self.rows["keystore", ids.check_key(key)] = values.encode(value)

    async def get_keystore(self, key: str) -> Any:
        return values.decode(self.rows.get(("keystore", ids.check_key(key)), "null"))

    async def delete_keystore(self, key: str) -> bool:
        return self.rows.pop(("keystore", ids.check_key(key)), None) is not None


@pytest.fixture
def sixteen() -> type[Sixteen]:
    """The adapter class."""
    return Sixteen
