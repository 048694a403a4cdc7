"""Workflows of Absurd, with its asynchronous client."""

from __future__ import annotations

import asyncio
import time
from typing import Any
from uuid import uuid4

import psycopg
from absurd_sdk import AsyncAbsurd
from absurdctl import BUNDLED_SCHEMA_SQL

QUEUE = "bench"


async def prepare(dsn: str) -> None:
    async with await psycopg.AsyncConnection.connect(dsn, autocommit=True) as connection:
        await connection.execute(BUNDLED_SCHEMA_SQL)
    client = _client(dsn)
    await client.create_queue(QUEUE)
    await client.spawn("main", {"count": 10})
    await client.work_batch()
    await client.close()


def _client(dsn: str) -> Any:
    client = AsyncAbsurd(dsn, queue_name=QUEUE)

    @client.register_task("main")
    async def main(params: Any, ctx: Any) -> None:
        for number in range(params["count"]):

            async def same(number: int = number) -> int:
                return number

            await ctx.step(f"same {number}", same)

    @client.register_task("waits")
    async def waits(params: Any, ctx: Any) -> None:
        for number in range(params["count"]):

            async def same(number: int = number) -> int:
                return number

            await ctx.step(f"same {number}", same)
        await ctx.await_event(params["event"])

    @client.register_task("clock")
    async def clock(params: Any, ctx: Any) -> float:
        async def seen() -> float:
            return time.time()

        found: float = await ctx.step("seen", seen)
        return found

    return client


async def in_a_row(dsn: str, runs: int, steps: int) -> float:
    client = _client(dsn)
    begin = time.perf_counter()
    for _ in range(runs):
        await client.spawn("main", {"count": steps})
        await client.work_batch()
    spent = time.perf_counter() - begin
    await client.close()
    return spent


async def side_by_side(dsn: str, runs: int, steps: int, beside: int) -> float:
    client = _client(dsn)
    spawned = [(await client.spawn("main", {"count": steps}))["task_id"] for _ in range(runs)]
    watcher = _client(dsn)
    begin = time.perf_counter()
    worker = asyncio.create_task(client.start_worker(concurrency=beside))
    for task in reversed(spawned):
        await watcher.await_task_result(task)
    spent = time.perf_counter() - begin
    worker.cancel()
    await asyncio.wait((worker,))
    await client.close()
    await watcher.close()
    return spent


async def resume(dsn: str, steps: int) -> float:
    client = _client(dsn)
    events = {count: f"go {uuid4()}" for count in (steps, 0)}  # one that was ever emitted is there for all who ask
    for count, event in events.items():
        await client.spawn("waits", {"count": count, "event": event})
        await client.work_batch()
    spent = []
    for event in events.values():
        await client.emit_event(event)
        fresh = _client(dsn)
        await fresh._ensure_connected()
        begin = time.perf_counter()
        await fresh.work_batch()
        spent.append(time.perf_counter() - begin)
        await fresh.close()
    await client.close()
    return spent[0] - spent[1]


async def work(dsn: str) -> None:
    client = _client(dsn)
    print("ready", flush=True)
    await client.start_worker()


async def pick_up(dsn: str, times: int) -> list[float]:
    client, delays = _client(dsn), []
    for _ in range(times):
        await asyncio.sleep(0.7)
        begin = time.time()
        task = (await client.spawn("clock", {}))["task_id"]
        delays.append((await client.await_task_result(task, timeout=30)).result - begin)
    await client.close()
    return delays
