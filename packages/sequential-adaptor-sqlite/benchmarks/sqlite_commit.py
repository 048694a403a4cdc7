"""What a worker's commit costs on SQLite, beside SQLite's own commit of one row on the same disk in the same run.

    python benchmarks/sqlite_commit.py [COMMITS]

A commit is a step in a row: the outcome of one call and the start of the next, under a claim. Rounds alternate between
the raw disk and the adapter, and each figure is a median, because machines are noisy.
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from sequential_adaptor.backends.sqlite import SQLiteAdapter
from sequential_adaptor.ids import new_id
from sequential_adaptor.records import StackRun
from sequential_adaptor.storage import Change, Claim, Create, Update

ROUNDS = 7
SIDE_BY_SIDE = 32


def raw(path: Path, commits: int) -> tuple[float, float]:
    """Milliseconds of wall time and of CPU for one row in one transaction, WAL and FULL."""
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("CREATE TABLE IF NOT EXISTS raw (id INTEGER PRIMARY KEY, text TEXT)")
    wall, cpu = time.perf_counter(), time.process_time()
    for _ in range(commits):
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("INSERT INTO raw (text) VALUES (?)", ("x" * 400,))
        connection.execute("COMMIT")
    spent = time.perf_counter() - wall, time.process_time() - cpu
    connection.close()
    return spent[0] / commits * 1e3, spent[1] / commits * 1e3


def step(run: str, number: int) -> list[Change]:
    call = StackRun(
        id=f"{run}.{number}",
        task_run_id=run,
        parent_stack_run_id=run,
        sequence=number,
        operation="fetch",
        status="in_progress",
        input={"url": "https://example.org/", "page": number},
    )
    outcome = {"status": "completed", "result": {"status_code": 200, "page": number}, "position": number - 1}
    ended = [Update(StackRun, f"{run}.{number - 1}", {**outcome, "ended_at": datetime.now(UTC)})] if number > 1 else []
    return [*ended, Create(call)]


async def frame(adapter: SQLiteAdapter) -> Claim:
    run = new_id()
    await adapter.create_task_run({"id": run, "task_identifier": "bench"})
    await adapter.create_stack_run({"task_run_id": run})
    [claim] = await adapter.claim_stack_runs("bench", ids=[run], lease=3600)
    return claim


async def row(adapter: SQLiteAdapter, claim: Claim, commits: int) -> None:
    for number in range(1, commits + 1):
        await adapter.commit(step(claim.stack_run.id, number), claims=[claim], id=new_id())


async def measured(commits: int, act: Callable[[], Awaitable[object]]) -> tuple[float, float]:
    wall, cpu = time.perf_counter(), time.process_time()
    await act()
    return (time.perf_counter() - wall) / commits * 1e3, (time.process_time() - cpu) / commits * 1e3


async def rows(adapter: SQLiteAdapter, name: str, commits: int) -> dict[str, float]:
    """A row of commits, and 32 rows side by side, with the number of COMMITs that each needed."""
    found: dict[str, float] = {}
    for label, beside in (("in a row", 1), ("32 side by side", SIDE_BY_SIDE)):
        each = commits // beside
        claims = [await frame(adapter) for _ in range(beside)]
        statements: list[str] = []
        await trace(adapter, statements.append)
        await asyncio.gather(*(row(adapter, claim, each // 4) for claim in claims))
        await trace(adapter, None)
        found[f"{name}, {label}: COMMITs"] = statements.count("COMMIT") / (each // 4) / beside
        claims = [await frame(adapter) for _ in range(beside)]
        act = partial(_all, adapter, claims, each)
        wall, cpu = await measured(each * beside, act)
        found |= {f"{name}, {label}: wall ms": wall, f"{name}, {label}: cpu ms": cpu}
    return found


async def _all(adapter: SQLiteAdapter, claims: list[Claim], each: int) -> None:
    await asyncio.gather(*(row(adapter, claim, each) for claim in claims))


async def trace(adapter: SQLiteAdapter, callback: Callable[[str], None] | None) -> None:
    await adapter._thread.call(lambda connection: connection.set_trace_callback(callback))


async def main(commits: int) -> None:
    found: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory() as folder:
        disk = Path(folder)
        async with SQLiteAdapter(disk / "tasks.db") as adapter, SQLiteAdapter(":memory:") as memory:
            for number in range(ROUNDS):
                wall, cpu = raw(disk / "raw.db", commits)
                figures = {"raw: wall ms": wall, "raw: cpu ms": cpu}
                figures |= await rows(adapter, "disk", commits)
                figures |= await rows(memory, "memory", commits)
                for key, value in figures.items():
                    if number:  # the first round warms up, and lets the logs reach their size
                        found.setdefault(key, []).append(value)
    print(
        f"SQLite {sqlite3.sqlite_version}, Python {sys.version.split()[0]}, {os.cpu_count()} processors, a commit each"
    )
    for key, values in found.items():
        print(f"{key:34} {statistics.median(values):8.3f}   ({min(values):.3f} to {max(values):.3f})")


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else 1000))
