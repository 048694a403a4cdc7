"""``Engine``: what most users touch."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from sequential_adaptor import ids, values
from sequential_adaptor.engine import rules
from sequential_adaptor.engine.blocking import Blocking
from sequential_adaptor.engine.dispatching import Dispatcher
from sequential_adaptor.engine.handle import RunHandle
from sequential_adaptor.engine.holding import Manner
from sequential_adaptor.engine.publishing import parsed, source_of
from sequential_adaptor.engine.tools import Tools
from sequential_adaptor.engine.workbench import Workbench
from sequential_adaptor.engine.worker import Worker, new_service_client, opened, worker_name
from sequential_adaptor.errors import ConfigurationError, RecordExists, TaskFunctionNotFound
from sequential_adaptor.records import TaskFunction, TaskRun
from sequential_adaptor.values import JSON

if TYPE_CHECKING:
    from sequential_adaptor.services import ServiceClient
    from sequential_adaptor.storage import StorageAdapter

_RUNNERS_OF_PYTHON = frozenset({"fetch", "flow"})
_CARRY_THROUGH = Manner(hand_out="none", linger=1.0)


class Engine(Blocking):
    """Publishes functions, submits runs, and works on them.

    ``storage`` is a storage URL, an adapter, or ``None`` for the default. It is opened by ``async with``, and closed
    again unless it was handed over as an adapter. ``services`` performs the service calls of tasks that this process
    works on.
    """

    def __init__(self, storage: StorageAdapter | str | None = None, *, services: ServiceClient | None = None) -> None:
        self._storage = storage
        self._given_services = services
        self._stack = AsyncExitStack()
        self._store: StorageAdapter | None = None
        self._tools: Tools | None = None
        self._services: ServiceClient | None = None

    @property
    def adapter(self) -> StorageAdapter:
        """The open store."""
        if self._store is None:
            raise ConfigurationError("the engine is not open; use `async with Engine(...) as engine:`")
        return self._store

    @property
    def services(self) -> ServiceClient:
        """What performs the service calls of tasks."""
        if self._services is None:
            raise ConfigurationError("the engine is not open; use `async with Engine(...) as engine:`")
        return self._services

    async def publish(
        self,
        identifier: str,
        code: str | Path | Callable[..., Any],
        *,
        runner: str = "fetch",
        entry: str | None = None,
        metadata: JSON = None,
    ) -> TaskFunction:
        """Store a version of a task function, the current one from now on. Runs in flight keep theirs.

        ``code`` is source text, a path, or an async function, whose whole module is stored. Modules that lie beside a
        file and are imported by it are stored with it. ``entry`` names the function to begin with.
        """
        source = source_of(code)
        if runner in _RUNNERS_OF_PYTHON:
            parsed(source.code, identifier)
        entry = entry or source.entry
        about = metadata if entry is None else {**(metadata or {}), "entry": entry}
        function = TaskFunction(
            identifier=identifier, code=source.code, runner=runner, modules=source.modules or None, metadata=about
        )
        return await self.adapter.store_task_function(function)

    async def submit(self, identifier: str, input: JSON = None, *, id: str | None = None) -> RunHandle:
        """Store a run of the function's current version, to be carried on by whoever works on the store.

        The same ``id`` again is the same run, whatever has become of it. An ``id`` that belongs to a run of another
        function, or with another input, raises :class:`RecordExists`.
        """
        values.check(input, "$.input")
        run_id = ids.check_run_id(id) if id is not None else ids.new_id()
        function = await self.adapter.get_task_function(ids.check_identifier(identifier))
        if function is None:
            raise TaskFunctionNotFound(identifier)
        try:
            await self.adapter.commit(rules.submission(function, run_id, input), id=ids.new_id())
        except RecordExists:
            run = await self.adapter.get_task_run(run_id)
            if run is None:
                raise
            _check_same(run, identifier, input)
        return RunHandle(self.adapter, run_id)

    async def run(
        self, identifier: str, input: JSON = None, *, id: str | None = None, timeout: float | None = None
    ) -> JSON:
        """Submit a run, carry it through in this process, and give its result.

        Its children are carried through as well, other runs of the store are not. Where another worker holds it, that
        one's result is waited for.
        """
        handle = await self.submit(identifier, input, id=id)
        await self.carry(handle, timeout=timeout)
        return await handle.result()

    async def carry(self, handle: RunHandle, *, timeout: float | None = None, lease: float = 30.0) -> None:
        """Work on one run and its children until it has ended."""
        if self._tools is None:
            raise ConfigurationError("the engine is not open; use `async with Engine(...) as engine:`")
        bench = Workbench(self.adapter, self._tools, hands=32, scope=[handle.id])
        await bench.open()
        dispatcher = Dispatcher(bench, worker_name(), concurrency=32, lease=lease, manner=_CARRY_THROUGH)
        ending = asyncio.create_task(handle.settle(dispatcher.stirred))
        ending.add_done_callback(lambda _: dispatcher.stop())
        try:
            async with asyncio.timeout(timeout):
                await dispatcher.run(until=ending.done)
                await ending
        finally:
            ending.cancel()

    async def work(self, concurrency: int = 32, lease: float = 30.0, until_idle: bool = False) -> None:
        """Be a worker on this engine's store; see :class:`Worker`."""
        await Worker(self.adapter, concurrency=concurrency, lease=lease, services=self.services).run(until_idle)

    def handle(self, run_id: str) -> RunHandle:
        """A handle on a run by its id."""
        return RunHandle(self.adapter, ids.check_run_id(run_id))

    # ---- opening and closing

    async def __aenter__(self) -> Self:
        self._store = await self._stack.enter_async_context(opened(self._storage))
        self._services = self._given_services
        if self._services is None:
            self._services = await self._stack.enter_async_context(new_service_client())
        self._tools = Tools(self._store, self._services)
        self._stack.push_async_callback(self._tools.close)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._store = self._services = self._tools = None
        await self._stack.aclose()


def _check_same(run: TaskRun, identifier: str, input: JSON) -> None:
    if run.task_identifier != identifier:
        raise RecordExists("TaskRun", run.id, f"it is a run of {run.task_identifier!r}") from None
    if not values.identical(run.input, input):
        raise RecordExists("TaskRun", run.id, "it has another input") from None
