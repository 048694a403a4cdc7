"""Workflows of DBOS."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from dbos import DBOS, DBOSClient


@DBOS.step()
async def same(value: int) -> int:
    return value


@DBOS.step()
async def seen() -> float:
    return time.time()


@DBOS.workflow()
async def main(count: int) -> None:
    for number in range(count):
        await same(number)


@DBOS.workflow()
async def waits(count: int) -> None:
    for number in range(count):
        await same(number)
    await DBOS.recv_async("go", timeout_seconds=600)


@DBOS.workflow()
async def clock() -> float:
    return await seen()


def _launch(dsn: str, executor: str = "local") -> None:
    url = dsn.replace("postgresql://", "postgresql+psycopg://")
    config: Any = {
        "name": "bench",
        "system_database_url": url,
        "run_admin_server": False,
        "log_level": "ERROR",
        "executor_id": executor,
        "application_version": "1",
    }
    DBOS(config=config)
    DBOS.launch()


async def prepare(dsn: str) -> None:
    _launch(dsn)
    await (await DBOS.start_workflow_async(main, 10)).get_result()
    DBOS.destroy()


async def in_a_row(dsn: str, runs: int, steps: int) -> float:
    _launch(dsn)
    begin = time.perf_counter()
    for _ in range(runs):
        await (await DBOS.start_workflow_async(main, steps)).get_result()
    spent = time.perf_counter() - begin
    DBOS.destroy()
    return spent


async def side_by_side(dsn: str, runs: int, steps: int, beside: int) -> float:
    _launch(dsn)
    gate = asyncio.Semaphore(beside)

    async def one() -> None:
        async with gate:
            await (await DBOS.start_workflow_async(main, steps)).get_result()

    begin = time.perf_counter()
    await asyncio.gather(*(one() for _ in range(runs)))
    spent = time.perf_counter() - begin
    DBOS.destroy()
    return spent


async def resume(dsn: str, steps: int) -> float:
    """From the start of a recovery to its end, with the message there already; less the same with no steps."""
    spent = []
    for count in (steps, 0):
        workflow = _apart(_record(dsn, count))
        client = DBOSClient(system_database_url=dsn.replace("postgresql://", "postgresql+psycopg://"))
        client.send(workflow, "go", topic="go")
        client.destroy()
        spent.append(_apart(_recover(dsn, workflow)))
    return spent[0] - spent[1]


def _apart(part: Coroutine[Any, Any, Any]) -> Any:
    """What it gives, on an event loop of its own: DBOS ends what is in the one that it is used from."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, part).result()


async def _record(dsn: str, count: int) -> str:
    _launch(dsn)
    handle = await DBOS.start_workflow_async(waits, count)
    while len(await DBOS.list_workflow_steps_async(handle.workflow_id)) < count:  # noqa: ASYNC110 - it tells nobody
        await asyncio.sleep(0.1)
    DBOS.destroy()
    return handle.workflow_id


async def _recover(dsn: str, workflow: str) -> float:
    begin = time.perf_counter()
    _launch(dsn)
    found: Any = await DBOS.retrieve_workflow_async(workflow)
    await found.get_result()
    spent = time.perf_counter() - begin
    DBOS.destroy()
    return spent


async def work(dsn: str) -> None:
    _launch(dsn, "worker")
    await DBOS.register_queue_async("bench")
    print("ready", flush=True)
    await asyncio.sleep(3600)


async def pick_up(dsn: str, times: int) -> list[float]:
    client = DBOSClient(system_database_url=dsn.replace("postgresql://", "postgresql+psycopg://"))
    delays = []
    for _ in range(times):
        await asyncio.sleep(0.7)
        begin = time.time()
        options: Any = {"workflow_name": "clock", "queue_name": "bench", "app_version": "1"}
        handle: Any = await client.enqueue_async(options)
        delays.append(await handle.get_result() - begin)
    client.destroy()
    return delays
