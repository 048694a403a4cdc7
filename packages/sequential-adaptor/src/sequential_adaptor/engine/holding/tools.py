"""What is made once for a store and used by every run: runners, connections, code, the store's clock."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from sequential_adaptor.engine.holding.clock import StoreClock
from sequential_adaptor.engine.holding.performing import Performer
from sequential_adaptor.records import TaskFunction, TaskRun
from sequential_adaptor.runners.base import Runner

if TYPE_CHECKING:
    from sequential_adaptor.services import ServiceClient
    from sequential_adaptor.storage import StorageAdapter


_FRESH = 5.0
"""Seconds for which a reading of the store's clock is carried on by this machine's, between one run and the next."""


class Tools:
    """Runners by name, versions of task functions, the performer of calls, and the store's clock; made when they are
    first asked for."""

    def __init__(self, store: StorageAdapter, services: ServiceClient) -> None:
        self.performer = Performer(store, services)
        self._store = store
        self._making = asyncio.Lock()
        self._runners: dict[str, Runner] = {}
        self._functions: dict[tuple[str, str], TaskFunction] = {}
        self._clock: StoreClock | None = None

    async def close(self) -> None:
        """Give back runners and connections."""
        for runner in self._runners.values():
            await runner.dispose()
        self._runners.clear()
        await self.performer.aclose()

    async def runner(self, name: str) -> Runner:
        """The runner of that name; one for all runs."""
        async with self._making:
            if name not in self._runners:
                from sequential_adaptor import registry  # it is not needed to import an engine

                self._runners[name] = await registry.create("runner", name)
            return self._runners[name]

    async def clock(self) -> StoreClock:
        """The store's clock, read a few seconds ago at most."""
        if self._clock is None or self._clock.age > _FRESH:  # a new one: the store's may have been put back
            self._clock = StoreClock(await self._store.now())
        return self._clock

    async def function(self, run: TaskRun) -> TaskFunction | None:
        """The version of the code that the run started with."""
        key = (run.task_identifier, run.version)
        if key not in self._functions:
            found = await self._store.get_task_function(run.task_identifier, run.version or None)
            if found is None or not run.version:  # which version is the current one is asked each time
                return found
            self._functions[key] = found
        return self._functions[key]
