"""A worker: a process that claims what is due and carries it on."""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import os
import signal
import socket
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING

from sequential_adaptor import ids, telemetry
from sequential_adaptor.engine.holding.tools import Tools
from sequential_adaptor.engine.holding.workbench import Workbench
from sequential_adaptor.engine.working.dispatching import Dispatcher
from sequential_adaptor.engine.working.idling import is_idle
from sequential_adaptor.errors import ConfigurationError

if TYPE_CHECKING:
    from sequential_adaptor.engine.retention.policy import Retention
    from sequential_adaptor.services import ServiceClient
    from sequential_adaptor.storage import StorageAdapter


class Worker:
    """Carries on whatever is due in a store, up to ``concurrency`` tasks and calls at once.

    ``storage`` is a storage URL, an open adapter, or ``None`` for the default. ``lease`` is for how many seconds a
    claim holds without a heartbeat: as long as that, others wait before they go on with what a dead worker held.
    Several workers may share a store, in one process or many, if its adapter is ``atomic``.

    ``retention`` says for how long runs are kept after they have ended: one of the workers that were given one forgets
    older ones beside its work, in small bites.
    """

    def __init__(
        self,
        storage: StorageAdapter | str | None = None,
        *,
        concurrency: int = 32,
        lease: float = 30.0,
        services: ServiceClient | None = None,
        name: str | None = None,
        retention: Retention | timedelta | None = None,
    ) -> None:
        if type(concurrency) is not int or concurrency < 1:
            raise ConfigurationError(f"concurrency is {concurrency!r}; it is a count of 1 or more")
        if not 0.1 <= lease <= 86_400:
            raise ConfigurationError(f"lease is {lease!r}; it is a number of seconds from 0.1 to 86400")
        self.name = name or worker_name()
        self._storage = storage
        self._concurrency = concurrency
        self._lease = lease
        self._services = services
        self._retention = _as_retention(retention)
        self._dispatcher: Dispatcher | None = None
        self._stopping = False

    @property
    def moved(self) -> int:
        """How many claims it has seen to."""
        return self._dispatcher.moved if self._dispatcher is not None else 0

    async def run(self, until_idle: bool = False) -> None:
        """Work until :meth:`stop`, or with ``until_idle`` until nothing is left to do soon.

        SIGTERM and SIGINT stop it where it runs in the main thread: it claims no more, lets the calls end that are on
        their way (10 seconds at most), and gives back the rest, so that others go on at once.
        """
        async with contextlib.AsyncExitStack() as stack:
            store = await stack.enter_async_context(opened(self._storage))
            services = self._services
            if services is None:
                services = await stack.enter_async_context(new_service_client())
            tools = Tools(store, services)
            telemetry.instrument_as_asked()
            stack.push_async_callback(tools.close)
            bench = Workbench(store, tools, hands=self._concurrency)
            await bench.open()
            dispatcher = Dispatcher(bench, self.name, concurrency=self._concurrency, lease=self._lease)
            self._dispatcher = dispatcher
            if self._stopping:
                return
            await asyncio.to_thread(_import_what_tasks_need)
            if self._retention is not None:
                await stack.enter_async_context(_house_kept(store, self._retention))
            with stopped_by_signals(self):
                await dispatcher.run(is_over=partial(_is_idle, dispatcher, bench) if until_idle else None)

    def stop(self) -> None:
        """Stop as SIGTERM does. ``run`` returns when what is held has ended or is given back."""
        self._stopping = True
        if self._dispatcher is not None:
            self._dispatcher.stop()


def _as_retention(given: Retention | timedelta | None) -> Retention | None:
    if given is None:
        return None
    from sequential_adaptor.engine.retention.policy import Retention  # not needed to run tasks

    return given if isinstance(given, Retention) else Retention(given)


def _house_kept(store: StorageAdapter, policy: Retention) -> contextlib.AbstractAsyncContextManager[None]:
    from sequential_adaptor.engine.retention.housekeeping import Housekeeper  # not needed to run tasks

    return Housekeeper(store, policy).at_work()


async def _is_idle(dispatcher: Dispatcher, bench: Workbench) -> bool:
    return not dispatcher.is_busy and await is_idle(bench)


def _import_what_tasks_need() -> None:
    """Before the first claim: on a busy machine these take longer than a short lease lasts."""
    for module in ("httpx", "sequential_adaptor.runners.fetch", "sequential_adaptor.services.sending"):
        importlib.import_module(module)


def worker_name() -> str:
    """A name that tells people where a worker runs, and is never used twice."""
    return f"{socket.gethostname()}:{os.getpid()}:{ids.new_id()[-12:]}"


@contextlib.asynccontextmanager
async def opened(storage: StorageAdapter | str | None) -> AsyncIterator[StorageAdapter]:
    """The store that was meant. One that is handed over open stays open."""
    if storage is not None and not isinstance(storage, str):
        await storage.init()
        yield storage
        return
    from sequential_adaptor.registry import create_adapter

    async with create_adapter(storage) as adapter:
        yield adapter


def new_service_client() -> ServiceClient:
    """Services by the environment, for those that were given none. Not imported before: it takes its time."""
    from sequential_adaptor.services import ServiceClient

    return ServiceClient()


@contextlib.contextmanager
def stopped_by_signals(worker: Worker) -> Iterator[None]:
    """SIGTERM and SIGINT stop the worker, once; the second time they do what they always do."""
    if sys.platform == "win32" or threading.current_thread() is not threading.main_thread():
        yield  # no event loop can handle signals there
        return
    loop = asyncio.get_running_loop()
    signals = (signal.SIGTERM, signal.SIGINT)

    def stop() -> None:
        for one in signals:
            loop.remove_signal_handler(one)
        worker.stop()

    for one in signals:
        loop.add_signal_handler(one, stop)
    try:
        yield
    finally:
        for one in signals:
            loop.remove_signal_handler(one)
