"""Runs a mixed torture from beginning to end."""

from __future__ import annotations

import asyncio
import os
import random
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from datetime import timedelta
from pathlib import Path

from sequential_adaptor.engine import Engine
from sequential_adaptor.engine.rules import is_undone
from sequential_adaptor.errors import ConfigurationError
from sequential_adaptor.ids import new_id
from sequential_adaptor.lifecycles import TASK_RUN
from sequential_adaptor.records import StackRun, TaskRun
from sequential_adaptor.storage import StorageAdapter
from sequential_adaptor.storage.locations import find_storage
from sequential_adaptor.testing.torture.checking import Evidence as RequestEvidence
from sequential_adaptor.testing.torture.checking import late
from sequential_adaptor.testing.torture.crew import Crew
from sequential_adaptor.testing.torture.diaries import completions, leases
from sequential_adaptor.testing.torture.killing import Killer
from sequential_adaptor.testing.torture.mixed.checking import Evidence, check
from sequential_adaptor.testing.torture.mixed.outsider import Outsider
from sequential_adaptor.testing.torture.mixed.ticking import Ticking
from sequential_adaptor.testing.torture.mixed.workload import CODE, LIMIT, REQUESTS, Plan, plans
from sequential_adaptor.testing.torture.report import Report
from sequential_adaptor.testing.torture.service import Manners, Service

_LOOK = 0.5

Progress = Callable[[int, int, int], None]


async def torture_mixed(
    storage: str | Sequence[str] | None = None,
    *,
    tasks: int = 100,
    workers: int = 4,
    kills: int = 30,
    seed: int = 0,
    cancels: float = 0.12,
    drop: float = 0.03,
    fail: float = 0.03,
    delay: float = 0.02,
    lease: float = 2.0,
    concurrency: int | None = None,
    patience: float = 60.0,
    progress: Progress | None = None,
) -> Report:
    """Have ``workers`` processes carry ``tasks`` runs through that do all that long-lived runs do, kill them, and look.

    A tenth of the runs each: start children and grandchildren, one of which fails and one of which is detached; wait
    for an event that was sent before, comes meanwhile, or comes when the wait has timed out; take several in order;
    sleep; go through a queue with a limit and keys; have a start time; fail, and are retried; complete, and are forked.
    All of them clean up in ``finally``. A share of ``cancels`` is cancelled at some moment, a third of these by force.
    Beside them a schedule fires each second, and what it has started is soon forgotten. The other options are those of
    :func:`~sequential_adaptor.testing.torture.torture`.
    """
    if not hasattr(os, "fork"):
        raise ConfigurationError("torture forks its workers, which this platform cannot; use Linux or macOS")
    storages = [storage] if storage is None or isinstance(storage, str) else list(storage)
    prefix, started = f"mixed-{seed}-{new_id()[-8:]}", time.monotonic()
    expected = max(1, tasks * REQUESTS)
    concurrency = concurrency or max(2, min(16, expected // (3 * max(kills, 1))))
    planned = plans(prefix, tasks, seed, cancels)
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="torture-")))
        engine = await stack.enter_async_context(Engine(storages[0]))
        service = Service(Manners(seed, drop, fail, delay, twice=0.0, longest=lease * 1.2))
        service.start()
        stack.callback(service.stop)
        ahead = (await engine.adapter.now()).timestamp() - time.time()
        ticking = Ticking(engine, prefix)
        options = {"url": service.url, "concurrency": concurrency, "lease": lease, "forget": ticking.task}
        crew = Crew(folder, storages, options, random.Random(f"crew:{seed}"))
        killer = Killer(seed, kills, expected, crew.kill)
        service.on_request = killer.on_request
        outsider = Outsider(engine, planned, service)
        async with crew.working(workers, killer):
            starts = await _submit(engine, prefix, planned)
            await ticking.begin()
            async with outsider.acting():
                await _ended(engine.adapter, prefix, outsider, service, killer, crew, patience, progress)
            ticks = await ticking.end(patience)
        evidence = Evidence(
            plans=planned,
            runs={run.id: run for run in await _runs(engine.adapter, prefix)},
            rows=await _rows(engine.adapter, prefix),
            requests=list(service.requests),
            leases=leases(folder, lease, ahead),
            completions=completions(folder),
            starts={run: at - ahead for run, at in starts.items()},
            cancelled=outsider.cancelled,
            forks=outsider.forks,
            ticks=ticks,
        )
    display = " and ".join(find_storage(one).display for one in storages)
    seconds = time.monotonic() - started
    return _report(display, seed, workers, killer.killed, seconds, evidence)


def _report(storage: str, seed: int, workers: int, kills: int, seconds: float, evidence: Evidence) -> Report:
    counts = Counter(request.manner for request in evidence.requests)
    return Report(
        storage=storage,
        seed=seed,
        tasks=len(evidence.plans),
        workers=workers,
        kills=kills,
        seconds=seconds,
        requests=len(evidence.requests),
        repeated=len(evidence.requests) - len(evidence.by_call),
        failed=counts["failed"],
        dropped=counts["dropped"],
        late=late(RequestEvidence((), {}, {}, evidence.requests, evidence.leases, evidence.completions)),
        findings=tuple(check(evidence)),
    )


async def _submit(engine: Engine, prefix: str, planned: Sequence[Plan]) -> dict[str, float]:
    """Store the runs; the start times of those that have one, by the store's clock."""
    queue = f"q-{prefix}"
    await engine.publish(prefix, CODE)
    await engine.set_queue(queue, limit=LIMIT)
    starts: dict[str, float] = {}
    for plan in planned:
        if plan.kind == "limited":
            place = {"queue": queue, "key": plan.key, "priority": plan.priority}
            await engine.submit(prefix, plan.input(prefix), id=plan.run, **place)  # type: ignore[arg-type]  # a mapping of these
        elif plan.kind == "scheduled":
            at = await engine.adapter.now() + timedelta(seconds=plan.delay)
            starts[plan.run] = at.timestamp()
            await engine.submit(prefix, plan.input(prefix), id=plan.run, at=at)
        else:
            await engine.submit(prefix, plan.input(prefix), id=plan.run)
    return starts


async def _ended(
    adapter: StorageAdapter,
    prefix: str,
    outsider: Outsider,
    service: Service,
    killer: Killer,
    crew: Crew,
    patience: float,
    progress: Progress | None,
) -> None:
    """Return when every run has ended, or when nothing has moved for too long."""
    moved, before = time.monotonic(), (-1, -1)
    while time.monotonic() - moved < patience:
        crew.check()
        runs = await _runs(adapter, prefix)
        goes_on = await outsider.see_to(runs)
        left = sum(run.status in TASK_RUN.open for run in runs)
        if progress is not None:
            progress(len(runs) - left, len(runs), killer.killed)
        if left == 0 and not goes_on:
            return
        now = (left, len(service.requests))
        if now != before:
            moved, before = time.monotonic(), now
        await asyncio.sleep(_LOOK)


async def _runs(adapter: StorageAdapter, prefix: str) -> list[TaskRun]:
    return list(await adapter.query_task_runs({"task_identifier": prefix}))


async def _rows(adapter: StorageAdapter, prefix: str) -> dict[str, list[StackRun]]:
    """What is below each run, without what a retry has laid aside."""
    found = {run.id: await adapter.query_stack_runs({"task_run_id": run.id}) for run in await _runs(adapter, prefix)}
    return {run: [row for row in rows if not is_undone(row)] for run, rows in found.items()}
