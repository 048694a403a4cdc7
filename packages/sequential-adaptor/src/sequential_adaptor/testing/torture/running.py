"""Runs a torture from beginning to end."""

from __future__ import annotations

import asyncio
import os
import random
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from pathlib import Path

from sequential_adaptor.engine import Engine
from sequential_adaptor.errors import ConfigurationError
from sequential_adaptor.ids import new_id
from sequential_adaptor.storage import StorageAdapter
from sequential_adaptor.storage.locations import find_storage
from sequential_adaptor.testing.torture.checking import Evidence, Lease, check, late
from sequential_adaptor.testing.torture.crew import Crew
from sequential_adaptor.testing.torture.diaries import completions, leases
from sequential_adaptor.testing.torture.killing import Killer
from sequential_adaptor.testing.torture.report import Report
from sequential_adaptor.testing.torture.service import Manners, Service
from sequential_adaptor.testing.torture.workload import CODE, Plan, plans

_LOOK = 0.25


async def torture(
    storage: str | Sequence[str] | None = None,
    *,
    tasks: int = 100,
    workers: int = 4,
    kills: int = 30,
    seed: int = 0,
    drop: float = 0.05,
    fail: float = 0.05,
    delay: float = 0.02,
    twice: float = 0.02,
    calls: int = 3,
    lease: float = 2.0,
    concurrency: int | None = None,
    patience: float = 60.0,
    progress: Callable[[int, int, int], None] | None = None,
) -> Report:
    """Have ``workers`` processes carry ``tasks`` tasks of ``calls`` calls through, kill them ``kills`` times, and look.

    - ``storage`` is a storage URL, or ``None`` for the default; or several that lead to one store, which the workers
      use in turn (one way in may be slower, or less certain, than another).
    - ``drop``, ``fail``, ``delay`` and ``twice`` say how often the service does a call and does not answer, answers
      503, answers late, and answers twice: each a share of the requests.
    - ``lease`` is the workers', in seconds; what a killed one held comes back after that.
    - ``concurrency`` is theirs too; by default so small that workers get something done between two kills: where none
      does, tasks are given up as such that kill their workers.
    - ``patience``: seconds without any progress after which what has not ended is stuck.
    - ``progress`` is called now and then with the tasks that have ended, all tasks, and the kills so far.

    The store may have anything in it; what is added stays there. The seed decides what the service does to each call,
    and when and how workers are killed; how they come to be at that point is up to the machine.
    """
    if not hasattr(os, "fork"):
        raise ConfigurationError("torture forks its workers, which this platform cannot; use Linux or macOS")
    if concurrency is None:
        concurrency = max(2, min(16, tasks * calls // (3 * max(kills, 1))))
    storages = [storage] if storage is None or isinstance(storage, str) else list(storage)
    prefix = f"torture-{seed}-{new_id()[-8:]}"
    planned = plans(prefix, tasks, calls)
    started = time.monotonic()
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="torture-")))
        engine = await stack.enter_async_context(Engine(storages[0]))
        service = Service(Manners(seed, drop, fail, delay, twice, longest=lease * 1.2))
        service.start()
        stack.callback(service.stop)
        await _submit(engine, prefix, planned, f"{service.url}/fetch")
        options = {"url": service.url, "concurrency": concurrency, "lease": lease}
        ahead = (await engine.adapter.now()).timestamp() - time.time()
        crew = Crew(folder, storages, options, random.Random(f"crew:{seed}"))
        killer = Killer(seed, kills, tasks * calls, crew.kill)
        service.on_request = killer.on_request
        async with crew.working(workers, killer):
            await _ended(engine.adapter, planned, service, killer, crew, patience, progress)
        evidence = await _evidence(engine.adapter, planned, service, leases(folder, lease, ahead), folder)
    counts = Counter(request.manner for request in evidence.requests)
    return Report(
        storage=" and ".join(dict.fromkeys(find_storage(one).display for one in storages)),
        seed=seed,
        tasks=tasks,
        workers=workers,
        kills=killer.killed,
        seconds=time.monotonic() - started,
        requests=len(evidence.requests),
        repeated=len(evidence.requests) - len(evidence.by_call),
        failed=counts["failed"],
        dropped=counts["dropped"],
        late=late(evidence),
        findings=tuple(check(evidence)),
    )


async def _submit(engine: Engine, identifier: str, planned: Sequence[Plan], url: str) -> None:
    await engine.publish(identifier, CODE)
    for start in range(0, len(planned), 100):
        some = planned[start : start + 100]
        await asyncio.gather(*(engine.submit(identifier, plan.input(url), id=plan.run) for plan in some))


async def _ended(
    adapter: StorageAdapter,
    planned: Sequence[Plan],
    service: Service,
    killer: Killer,
    crew: Crew,
    patience: float,
    progress: Callable[[int, int, int], None] | None,
) -> None:
    """Return when every run has ended, or when nothing has moved for too long."""
    identifier = planned[0].run.rpartition("-")[0] if planned else ""
    moved, before = time.monotonic(), (-1, -1)
    while time.monotonic() - moved < patience:
        crew.check()
        left = await _left(adapter, identifier)
        if progress is not None:
            progress(len(planned) - left, len(planned), killer.killed)
        if left == 0:
            return
        now = (left, len(service.requests))
        if now != before:
            moved, before = time.monotonic(), now
        await asyncio.sleep(_LOOK)


async def _left(adapter: StorageAdapter, identifier: str) -> int:
    """How many runs have not ended."""
    wanted = {"task_identifier": identifier, "status": ["pending", "running", "suspended"]}
    return len(await adapter.query_task_runs(wanted))


async def _evidence(
    adapter: StorageAdapter, planned: Sequence[Plan], service: Service, held: Sequence[Lease], folder: Path
) -> Evidence:
    runs, stack_runs = {}, {}
    for plan in planned:
        run = await adapter.get_task_run(plan.run)
        if run is not None:
            runs[plan.run] = run
        stack_runs[plan.run] = await adapter.query_stack_runs({"task_run_id": plan.run})
    return Evidence(planned, runs, stack_runs, list(service.requests), held, completions(folder))
