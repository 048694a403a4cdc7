"""Those who send events to runs, and cancel them: at the moments that the plans say."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager

from sequential_adaptor.engine import Engine
from sequential_adaptor.errors import ConfigurationError
from sequential_adaptor.testing.torture.mixed.workload import EVENTS, LATE, WAITING, Plan
from sequential_adaptor.testing.torture.service import Service

_LOOK = 0.02
_MARKS = {("during", WAITING), ("after", LATE), ("order", WAITING)}


class Outsider:
    """Watches what the service is asked, and acts on it: a run that says that it will wait is sent its event then."""

    def __init__(self, engine: Engine, plans: Iterable[Plan], service: Service) -> None:
        self._engine, self._service = engine, service
        self._plans = {plan.run: plan for plan in plans}
        self._cancels = sorted((plan for plan in self._plans.values() if plan.cancel), key=lambda plan: plan.cancel_at)
        self._told: set[str] = set()
        self._seen = 0
        self.cancelled: set[str] = set()

    @asynccontextmanager
    async def acting(self) -> AsyncIterator[None]:
        """Act while the context lasts; what goes wrong comes up at its end."""
        async with asyncio.TaskGroup() as group:
            watching = group.create_task(self._watch(group))
            for plan in self._plans.values():
                if plan.kind == "before":
                    group.create_task(self._send(plan, 0.0))
            yield
            watching.cancel()

    async def _watch(self, group: asyncio.TaskGroup) -> None:
        while True:
            for request in self._service.requests[self._seen :]:
                self._seen += 1
                plan = self._plans.get(request.asked["run"])
                if plan is not None and (plan.kind, request.asked["n"]) in _MARKS and plan.run not in self._told:
                    self._told.add(plan.run)
                    group.create_task(self._send(plan, plan.delay))
            while self._cancels and self._cancels[0].cancel_at <= self._seen:
                group.create_task(self._cancel(self._cancels.pop(0)))
            await asyncio.sleep(_LOOK)

    async def _send(self, plan: Plan, delay: float) -> None:
        await asyncio.sleep(delay)
        handle = self._engine.handle(plan.run)
        try:
            for number in range(EVENTS) if plan.kind == "order" else ():
                await handle.send("n", number)
            if plan.kind != "order":
                await handle.send("go", plan.run)
        except ConfigurationError:  # it was cancelled, and nobody is left to take it
            return

    async def _cancel(self, plan: Plan) -> None:
        self.cancelled.add(plan.run)
        await self._engine.handle(plan.run).cancel(force=plan.cancel == "force")
