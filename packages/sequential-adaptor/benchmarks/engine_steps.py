"""What a step costs on a folder, beside the raw rate of the same disk in the same run, and what of it is the engine's.

    python benchmarks/engine_steps.py [STEPS]

A step calls a service in this process that gives back its parameter: what is measured is the library and the disk.
Rounds alternate between the raw disk and the engine, and each figure is a median, because machines are noisy.
The engine's own CPU is that of a step in a row on a store in memory, the time spent in the store's methods apart; a
"function" is an async step, a "service" a call of a Python service.
"""

from __future__ import annotations

import asyncio
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from sequential_adaptor import Engine, FolderAdapter, ServiceClient
from sequential_adaptor.storage import Change, Claim
from sequential_adaptor.testing.memory import MemoryAdapter

ROUNDS = 5
LINE = b"x" * 600
ROW = "async def main(n):\n    for i in range(n):\n        await call_host_tool('echo', 'give', i)"
FUNCTIONS = "async def main(n):\n    for i in range(n):\n        await step(same, i)\nasync def same(i):\n    return i"
WAITS = ROW + "\n    return await wait_for_event('go')"


async def give(method: str, params: Any) -> Any:
    return params


def raw_disk(folder: Path, writes: int) -> float:
    """Milliseconds for one append and fdatasync."""
    fd = os.open(folder / "raw", os.O_CREAT | os.O_WRONLY | os.O_APPEND)
    try:
        began = time.perf_counter()
        for _ in range(writes):
            os.write(fd, LINE)
            getattr(os, "fdatasync", os.fsync)(fd)
        return (time.perf_counter() - began) / writes * 1e3
    finally:
        os.close(fd)


async def measured(steps: int, act: Callable[[], Awaitable[object]]) -> tuple[float, float]:
    """Milliseconds of wall time and of CPU a step."""
    wall, cpu = time.perf_counter(), time.process_time()
    await act()
    return (time.perf_counter() - wall) / steps * 1e3, (time.process_time() - cpu) / steps * 1e3


async def in_a_row(engine: Engine, store: FolderAdapter, steps: int) -> dict[str, float]:
    before = store.syncs[0]
    wall, cpu = await measured(steps, lambda: engine.run("row", steps))
    return {"row: wall ms": wall, "row: cpu ms": cpu, "row: fdatasyncs a step": (store.syncs[0] - before) / steps}


async def side_by_side(engine: Engine, store: FolderAdapter, steps: int) -> dict[str, float]:
    before, each = store.syncs[0], max(1, steps // 32)
    for _ in range(32):
        await engine.submit("row", each)
    wall, cpu = await measured(each * 32, lambda: engine.work(until_idle=True))
    return {
        "32 at once: wall ms": wall,
        "32 at once: cpu ms": cpu,
        "32 at once: fdatasyncs a step": (store.syncs[0] - before) / each / 32,
    }


class Timed(MemoryAdapter):
    """A store in memory, and the seconds of CPU that its commits took; they wait for nothing."""

    spent = 0.0

    async def commit(self, changes: Sequence[Change], *, claims: Sequence[Claim] = (), id: str) -> None:
        began = time.thread_time()
        await super().commit(changes, claims=claims, id=id)
        self.spent += time.thread_time() - began


async def own_cpu(services: ServiceClient, steps: int) -> dict[str, float]:
    found = {}
    for name, code in (("service", ROW), ("function", FUNCTIONS)):
        async with Timed() as store, Engine(store, services=services) as engine:
            await engine.publish("row", code)
            await engine.run("row", 10)
            store.spent = 0.0
            _, cpu = await measured(steps, partial(engine.run, "row", steps))
            found[f"own cpu, a {name}: ms"] = cpu - store.spent / steps * 1e3
    return found


async def cold_resume(engine: Engine, folder: Path, services: ServiceClient) -> dict[str, float]:
    """A task of 1,000 recorded calls, taken up by an engine that has never seen it."""
    handle = await engine.submit("waits", 1_000)
    await engine.work(until_idle=True)
    await handle.send("go")
    async with Engine(f"folder:{folder}", services=services) as other:
        wall, cpu = await measured(1, lambda: other.carry(other.handle(handle.id)))
    return {"resume of 1,000 calls: wall ms": wall, "resume of 1,000 calls: cpu ms": cpu}


async def main(steps: int) -> None:
    found: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        async with ServiceClient() as services, FolderAdapter(folder / "store") as store:
            services.register_service("echo", give)
            async with Engine(store, services=services) as engine:
                await engine.publish("row", ROW)
                await engine.publish("waits", WAITS)
                await engine.run("row", 10)
                for _ in range(ROUNDS):
                    figures = {"raw: append and fdatasync, ms": raw_disk(folder, steps)}
                    figures |= await in_a_row(engine, store, steps)
                    figures |= await side_by_side(engine, store, steps)
                    figures |= await own_cpu(services, steps)
                    figures |= await cold_resume(engine, folder / "store", services)
                    for key, value in figures.items():
                        found.setdefault(key, []).append(value)
    for key, values in found.items():
        print(f"{key:34} {statistics.median(values):8.3f}   ({min(values):.3f} to {max(values):.3f})")


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else 500))
