"""Workflows on SQLite: this library beside Unhinged (Absurd's engine on SQLite), and beside the raw disk, in one run.

    pip install unhinged
    python benchmarks/steps.py [ROUNDS]

A step is a function that gives back its argument: what is measured is the engine and the disk. Rounds take turns, the
raw disk first, and each figure is a median (least to most), because machines are noisy. "No disk" is a RAM disk, where
CPU is the engine's own and the kernel's copying. Each runs the kind of function that it is faster with: ours are async,
those of Unhinged are not.
"""

from __future__ import annotations

import asyncio
import importlib.util
import os
import sqlite3
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from peers.measuring import BESIDE, LONG, ROW, STEPS, Figures, Worker, measured

from sequential_adaptor import Engine
from sequential_adaptor.backends.sqlite import SQLiteAdapter

RAM = "/dev/shm" if os.path.isdir("/dev/shm") else None

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

def seen():
    import time
    return time.time()
"""


def raw(path: Path, commits: int = 300) -> Figures:
    """One row in one transaction, WAL and FULL: what the disk can do just now."""
    connection = sqlite3.connect(path, isolation_level=None)
    for text in ("journal_mode = WAL", "synchronous = FULL"):
        connection.execute(f"PRAGMA {text}")
    connection.execute("CREATE TABLE IF NOT EXISTS raw (id INTEGER PRIMARY KEY, text TEXT)")
    wall, cpu = time.perf_counter(), time.process_time()
    for _ in range(commits):
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("INSERT INTO raw (text) VALUES (?)", ("x" * 400,))
        connection.execute("COMMIT")
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    connection.close()
    return {"raw commit: wall ms": wall / commits * 1e3, "raw commit: cpu ms": cpu / commits * 1e3}


async def ours(folder: Path, *, disk: str) -> Figures:
    """Workflows one after the other, and side by side."""
    async with SQLiteAdapter(folder / "ours.db") as store, Engine(store) as engine:
        await engine.publish("row", TASKS, entry="main")
        await engine.run("row", 1)
        statements: list[str] = []

        async def one_by_one() -> None:
            for _ in range(ROW):
                await engine.run("row", STEPS)

        async def one_each() -> None:
            for _ in range(ROW):
                await engine.run("row", 1)

        async def together() -> None:
            await asyncio.gather(*(engine.submit("row", STEPS) for _ in range(BESIDE * 4)))
            await engine.work(concurrency=BESIDE, until_idle=True)

        async def trace(callback: Callable[[str], None] | None) -> None:
            await store._thread.call(lambda connection: connection.set_trace_callback(callback))

        found = await measured(f"{disk}, ours, in a row: a step", ROW * STEPS, one_by_one)
        found |= await measured(f"{disk}, ours, 32 side by side: a step", BESIDE * 4 * STEPS, together)
        found |= await measured(f"{disk}, ours, a task of one step", ROW, one_each)
        short, long = [], []
        for length, counts in ((10, short), (110, long)):
            statements.clear()
            await trace(statements.append)
            await engine.run("row", length)
            await trace(None)
            counts.append(statements.count("COMMIT"))
        found[f"{disk}, ours, in a row: COMMITs a step"] = (long[0] - short[0]) / 100
        return found


async def our_resume(folder: Path) -> Figures:
    """A task of 1,000 recorded steps, and one of none, each taken up by an engine that has never seen it."""
    url = f"sqlite:///{folder / 'resume.db'}"
    async with Engine(url) as engine:
        await engine.publish("waits", TASKS, entry="waits")
        handles = [await engine.submit("waits", count) for count in (LONG, 0)]
        await engine.work(until_idle=True)
        for handle in handles:
            await handle.send("go")
    spent = []
    for handle in handles:
        begin = time.perf_counter()
        async with Engine(url) as engine:
            await engine.carry(engine.handle(handle.id))
        spent.append((time.perf_counter() - begin) * 1e3)
    return {"disk, ours, resume of 1,000 steps: wall ms": spent[0] - spent[1]}


OUR_WORKER = """
import asyncio, sys
from sequential_adaptor import Engine
async def main():
    async with Engine(sys.argv[1]) as engine:
        print("ready", flush=True)
        await engine.work()
asyncio.run(main())
"""


async def our_pick_up(folder: Path, times: int = 20) -> Figures:
    """From submitting in this process to the first step in an idle worker of another."""
    url = f"sqlite:///{folder / 'pick.db'}"
    async with Engine(url) as engine:
        await engine.publish("clock", TASKS, entry="clock")
        with Worker(OUR_WORKER, url):
            delays = []
            for _ in range(times):
                await asyncio.sleep(0.3)
                begin = time.time()
                delays.append((await (await engine.submit("clock")).result(timeout=30) - begin) * 1e3)
    return {"disk, ours, pick-up by an idle worker: wall ms": statistics.median(delays[1:])}


async def one_round(beside: bool) -> Figures:
    figures: Figures = {}
    if beside:
        from peers.unhinged_steps import their_pick_up, their_resume, theirs
    with tempfile.TemporaryDirectory() as disk, tempfile.TemporaryDirectory(dir=RAM) as ram:
        for name, folder in (("disk", Path(disk)), ("no disk", Path(ram))):
            if name == "disk":
                figures |= raw(folder / "raw.db")
            figures |= await ours(folder, disk=name)
            if beside:
                figures |= await theirs(folder, disk=name)
        figures |= await our_resume(Path(disk))
        figures |= await our_pick_up(Path(disk))
        if beside:
            (Path(disk) / "theirs").mkdir()
            figures |= await their_resume(Path(disk) / "theirs")
            figures |= await their_pick_up(Path(disk) / "theirs")
    return figures


async def main(rounds: int) -> None:
    beside = importlib.util.find_spec("unhinged") is not None
    found: dict[str, list[float]] = {}
    for number in range(rounds + 1):
        for key, value in (await one_round(beside)).items():
            if number:  # the first round warms up
                found.setdefault(key, []).append(value)
    print(f"SQLite {sqlite3.sqlite_version}, Python {sys.version.split()[0]}, {os.cpu_count()} processors, {rounds=}")
    for key, values in sorted(found.items()):
        print(f"{key:52} {statistics.median(values):8.3f}   ({min(values):.3f} to {max(values):.3f})")


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else 5))
