"""Those who send events to runs, cancel, retry and fork them: at the moments that the plans say."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine, Iterable
from contextlib import asynccontextmanager

from sequential_adaptor.engine import Engine
from sequential_adaptor.errors import CannotGoBack, ConfigurationError
from sequential_adaptor.records import TaskRun
from sequential_adaptor.testing.torture.mixed.workload import ENTER, LATE, REFUSED, WAITING, Plan
from sequential_adaptor.testing.torture.service import Service

_LOOK = 0.02
_MARKS = {("during", WAITING), ("after", LATE), ("order", WAITING), ("forked", ENTER)}
_WAIT = 2
"""The number of the wait that a fork goes back to."""


class Outsider:
    """Watches what the service is asked, and acts on it: a run that says that it will wait is sent its event then.

    Runs that were refused something are retried when they have failed, and others forked when they have completed: each
    by two at once, as impatient people do.
    """

    def __init__(self, engine: Engine, plans: Iterable[Plan], service: Service) -> None:
        self._engine, self._service = engine, service
        self._plans = {plan.run: plan for plan in plans}
        self._cancels = sorted((plan for plan in self._plans.values() if plan.cancel), key=lambda plan: plan.cancel_at)
        self._told: set[str] = set()
        self._seen = 0
        self.cancelled: set[str] = set()
        self.forks: set[str] = set()
        self._retried: set[str] = set()
        service.refused |= {(plan.run, REFUSED) for plan in self._plans.values() if plan.kind == "retried"}

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

    async def see_to(self, runs: Iterable[TaskRun]) -> bool:
        """Have those that have ended go on, of which that is wanted; whether any does."""
        acts = [act for run in runs if (act := self._wanted(run)) is not None]
        await asyncio.gather(*acts)
        return bool(acts)

    def _wanted(self, run: TaskRun) -> Coroutine[None, None, None] | None:
        plan = self._plans.get(run.id)
        if plan is not None and plan.kind == "retried" and run.status == "failed" and plan.run not in self._retried:
            return self._retry(plan)
        if plan is not None and plan.kind == "forked" and run.status == "completed" and plan.fork not in self.forks:
            return self._fork(plan)
        return None

    async def _retry(self, plan: Plan) -> None:
        self._retried.add(plan.run)
        self._service.refused.discard((plan.run, REFUSED))
        handle = self._engine.handle(plan.run)
        answers = await asyncio.gather(handle.retry(), handle.retry(), return_exceptions=True)
        for answer in answers:
            if isinstance(answer, BaseException) and not isinstance(answer, CannotGoBack):  # the other was quicker
                raise answer

    async def _fork(self, plan: Plan) -> None:
        self.forks.add(plan.fork)
        handle, changes = self._engine.handle(plan.run), {"result": plan.fork}
        await asyncio.gather(*(handle.fork(_WAIT, changes, id=plan.fork) for _ in range(2)))

    async def _send(self, plan: Plan, delay: float) -> None:
        await asyncio.sleep(delay)
        handle = self._engine.handle(plan.run)
        try:
            for event, data in plan.events:
                await handle.send(event, data)
        except ConfigurationError:  # it was cancelled, and nobody is left to take it
            return

    async def _cancel(self, plan: Plan) -> None:
        self.cancelled.add(plan.run)
        await self._engine.handle(plan.run).cancel(force=plan.cancel == "force")
