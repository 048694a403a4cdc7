"""Workflows of this library."""

from __future__ import annotations

import asyncio
import time

from sequential_adaptor import Engine
from sequential_adaptor.backends.supabase import SupabaseAdapter

TASKS = """
async def main(count):
    for number in range(count):
        await step(same, number)

async def waits(count):
    for number in range(count):
        await step(same, number)
    await wait_for_event("go")

async def clock(_):
    return await step(seen)

async def same(value):
    return value

async def seen():
    import time
    return time.time()
"""


async def prepare(dsn: str) -> None:
    await SupabaseAdapter.migrate(dsn=dsn)
    async with Engine(dsn) as engine:
        for entry in ("main", "waits", "clock"):
            await engine.publish(entry, TASKS, entry=entry)
        await engine.run("main", 10)


async def in_a_row(dsn: str, runs: int, steps: int) -> float:
    async with Engine(dsn) as engine:
        begin = time.perf_counter()
        for _ in range(runs):
            await engine.run("main", steps)
        return time.perf_counter() - begin


async def side_by_side(dsn: str, runs: int, steps: int, beside: int) -> float:
    async with Engine(dsn) as engine:
        await asyncio.gather(*(engine.submit("main", steps) for _ in range(runs)))
        begin = time.perf_counter()
        await engine.work(concurrency=beside, until_idle=True)
        return time.perf_counter() - begin


async def resume(dsn: str, steps: int) -> float:
    async with Engine(dsn) as engine:
        handles = [await engine.submit("waits", count) for count in (steps, 0)]
        await engine.work(until_idle=True)
        for handle in handles:
            await handle.send("go")
    spent = []
    for handle in handles:
        async with Engine(dsn) as engine:
            begin = time.perf_counter()
            await engine.carry(engine.handle(handle.id))
            spent.append(time.perf_counter() - begin)
    return spent[0] - spent[1]


async def work(dsn: str) -> None:
    async with Engine(dsn) as engine:
        print("ready", flush=True)
        await engine.work()


async def pick_up(dsn: str, times: int) -> list[float]:
    delays = []
    async with Engine(dsn) as engine:
        for _ in range(times):
            await asyncio.sleep(0.7)
            begin = time.time()
            delays.append(await (await engine.submit("clock")).result(timeout=30) - begin)
    return delays
