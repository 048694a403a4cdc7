"""``Engine``: what most users touch."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AsyncExitStack
from datetime import datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from sequential_adaptor import ids, telemetry
from sequential_adaptor.engine.blocking import Blocking
from sequential_adaptor.engine.carrying import Carrying
from sequential_adaptor.engine.executor import ended
from sequential_adaptor.engine.handle import RunHandle
from sequential_adaptor.engine.history.past import Past
from sequential_adaptor.engine.holding.tools import Tools
from sequential_adaptor.engine.publishing import parsed, source_of
from sequential_adaptor.engine.queues.queueing import Queueing
from sequential_adaptor.engine.queues.settings import Rate
from sequential_adaptor.engine.schedules.scheduling import Scheduling
from sequential_adaptor.engine.submitting import prepare, store_once
from sequential_adaptor.engine.worker import Worker, new_service_client, opened
from sequential_adaptor.errors import ConfigurationError
from sequential_adaptor.records import TaskFunction
from sequential_adaptor.values import JSON

if TYPE_CHECKING:
    from sequential_adaptor.services import ServiceClient
    from sequential_adaptor.storage import StorageAdapter

_RUNNERS_OF_PYTHON = frozenset({"fetch", "flow"})


class Engine(Blocking, Queueing, Scheduling, Past):
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
        queue: str | None = None,
        limit: int | None = None,
        per_worker: int | None = None,
        rate: tuple[int, timedelta] | Rate | None = None,
    ) -> TaskFunction:
        """Store a version of a task function, the current one from now on. Runs in flight keep theirs.

        ``code`` is source text, a path, or an async function, whose whole module is stored. Modules that lie beside a
        file and are imported by it are stored with it. ``entry`` names the function to begin with. ``queue`` is the
        queue that its runs go through unless they name another; ``limit``, ``per_worker`` and ``rate`` are set for that
        queue, for one of the function's own name where none is named (see :meth:`set_queue`).
        """
        is_python = runner in _RUNNERS_OF_PYTHON
        source = source_of(code, is_python=is_python)
        if is_python:
            parsed(source.code, identifier)
        entry = entry or source.entry
        own_queue = await self._queue_of_function(identifier, queue, limit=limit, per_worker=per_worker, rate=rate)
        more = {name: value for name, value in (("entry", entry), ("queue", own_queue)) if value is not None}
        about = {**(metadata or {}), **more} if more else metadata
        function = TaskFunction(
            identifier=identifier, code=source.code, runner=runner, modules=source.modules or None, metadata=about
        )
        return await self.adapter.store_task_function(function)

    async def submit(
        self,
        identifier: str,
        input: JSON = None,
        *,
        id: str | None = None,
        at: datetime | None = None,
        queue: str | None = None,
        priority: int | None = None,
        key: str | None = None,
    ) -> RunHandle:
        """Store a run of the function's current version, to be carried on by whoever works on the store.

        The same ``id`` again is the same run, whatever has become of it. An ``id`` that belongs to a run of another
        function, or with another input, raises :class:`RecordExists`.

        - ``at``: it does not start before that time.
        - ``queue``: it goes through that queue, else through the function's own, if it has one. Among those that wait
          the highest ``priority`` goes first (-100 to 100, 0 by default), then the one that was submitted first; of
          all runs with the same ``key`` one is on its way at a time.
        """
        submission = await prepare(
            self.adapter, identifier, input, id=id, at=at, queue=queue, priority=priority, key=key
        )
        await store_once(self.adapter, submission)
        return RunHandle(self.adapter, submission.run.id, queue_id=submission.queue_id)

    async def run(
        self, identifier: str, input: JSON = None, *, id: str | None = None, timeout: float | None = None
    ) -> JSON:
        """Submit a run, carry it through in this process, and give its result.

        Its children are carried through as well, other runs of the store are not. Where another worker holds it, that
        one's result is waited for.
        """
        submission = await prepare(self.adapter, identifier, input, id=id)
        handle = RunHandle(self.adapter, submission.run.id, queue_id=submission.queue_id)
        return ended(await self._carrying(handle).run(submission, timeout)).result

    async def carry(self, handle: RunHandle, *, timeout: float | None = None, lease: float = 30.0) -> None:
        """Work on one run and its children until it has ended."""
        await self._carrying(handle, lease).through(timeout)

    def _carrying(self, handle: RunHandle, lease: float = 30.0) -> Carrying:
        if self._tools is None:
            raise ConfigurationError("the engine is not open; use `async with Engine(...) as engine:`")
        return Carrying(self.adapter, self._tools, handle, lease)

    async def work(self, concurrency: int = 32, lease: float = 30.0, until_idle: bool = False) -> None:
        """Be a worker on this engine's store; see :class:`Worker`."""
        await Worker(self.adapter, concurrency=concurrency, lease=lease, services=self.services).run(until_idle)

    def handle(self, run_id: str) -> RunHandle:
        """A handle on a run by its id."""
        return RunHandle(self.adapter, ids.check_run_id(run_id))

    async def _queue_of_function(self, identifier: str, queue: str | None, **limits: Any) -> str | None:
        """The queue that runs of a function go through, made or changed as was asked; ``None`` for none."""
        wanted = {name: value for name, value in limits.items() if value is not None}
        name = identifier if queue is None and wanted else queue
        if wanted:
            await self.set_queue(str(name), **wanted)
        elif name is not None:
            await self.queue(name)
        return name

    # ---- opening and closing

    async def __aenter__(self) -> Self:
        self._store = await self._stack.enter_async_context(opened(self._storage))
        self._services = self._given_services
        if self._services is None:
            self._services = await self._stack.enter_async_context(new_service_client())
        self._tools = Tools(self._store, self._services)
        telemetry.instrument_as_asked()
        self._stack.push_async_callback(self._tools.close)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._store = self._services = self._tools = None
        await self._stack.aclose()
