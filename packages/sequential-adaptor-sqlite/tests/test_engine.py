"""The engine on this backend: tasks go on in other processes from where they were, and each step is one commit."""

from __future__ import annotations

import asyncio
import random
import signal
import subprocess
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeAlias

from sequential_adaptor import Engine
from sequential_adaptor.backends.sqlite import SQLiteAdapter

StartProcess: TypeAlias = Callable[..., subprocess.Popen[str]]
Traced: TypeAlias = Callable[[SQLiteAdapter], Awaitable[list[str]]]

TASK = """
import pathlib

async def main(input):
    total = 0
    for number in range(3):
        total += await step(work, input["number"], number, input["folder"])
    return total

async def many(count):
    for number in range(count):
        await step(abs, number)

def work(task, number, folder):
    with open(pathlib.Path(folder, f"{task}.{number}"), "a") as file:
        file.write("x")
    return task * 10 + number
"""

_WORKER = """
import asyncio, sys
from sequential_adaptor import Engine
async def main():
    async with Engine(sys.argv[1]) as engine:
        print("ready", flush=True)
        await engine.work(concurrency=8, lease=1.5)
asyncio.run(main())
"""


async def test_a_step_of_the_engine_is_one_commit(adapter: SQLiteAdapter, traced: Traced) -> None:
    """A task of a hundred steps more needs a hundred commits more."""
    counts = []
    async with Engine(adapter) as engine:
        await engine.publish("many", TASK, entry="many")
        await engine.run("many", 1)
        statements = await traced(adapter)
        for length in (10, 110):
            statements.clear()
            await engine.run("many", length)
            counts.append(statements.count("COMMIT"))
    assert counts[1] - counts[0] <= 102


async def test_killed_workers_lose_no_task(path: Path, tmp_path: Path, start_process: StartProcess) -> None:
    """Two workers on one file, killed again and again: every task ends, once, with the right result."""
    done = tmp_path / "done"
    done.mkdir()
    url, count, chance = f"sqlite:///{path}", 30, random.Random(11)
    async with Engine(url) as engine:
        await engine.publish("task", TASK, entry="main")
        handles = await asyncio.gather(
            *(engine.submit("task", {"number": number, "folder": str(done)}) for number in range(count))
        )
        workers = [start_process(_WORKER, url) for _ in range(2)]
        for kill in range(6):
            victim = workers[kill % 2]
            assert victim.stdout is not None
            assert await asyncio.to_thread(victim.stdout.readline) == "ready\n"
            await asyncio.sleep(chance.uniform(0.0, 0.6))
            victim.send_signal(signal.SIGKILL)
            workers[kill % 2] = start_process(_WORKER, url)
        results = await asyncio.gather(*(handle.result(timeout=60) for handle in handles))
        assert results == [30 * number + 3 for number in range(count)]
        assert len(list(done.iterdir())) == 3 * count
        for handle in handles:
            calls = await engine.adapter.query_stack_runs({"parent_stack_run_id": handle.id})
            assert sorted(call.position for call in calls if call.position is not None) == [0, 1, 2]
        store = engine.adapter
        assert isinstance(store, SQLiteAdapter)
        assert not [line for line in await store.diagnose(thorough=True) if line.startswith("damaged")]
