"""What work costs beside finished runs: a store of a million of them, and an empty one, in one run.

    python benchmarks/sqlite_scale.py [RUNS]

A hundredth of the runs is suspended, half of them until a time that is far away; each has one call that has ended.
Figures are medians in milliseconds.
"""

from __future__ import annotations

import asyncio
import sqlite3
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

from sequential_adaptor.backends.sqlite import SQLiteAdapter
from sequential_adaptor.backends.sqlite.rows import STACK_RUNS, TASK_RUNS, Row
from sequential_adaptor.ids import new_id
from sequential_adaptor.records import StackRun, TaskRun
from sequential_adaptor.storage import Create

TIMES = 200
BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
SUSPENDED = 100


def runs(count: int) -> Iterator[Row]:
    for number in range(count):
        at = BEGIN + timedelta(seconds=number)
        status = "completed" if number % SUSPENDED else "suspended"
        yield TASK_RUNS.row(
            TaskRun(id=f"r{number:08}", task_identifier="digest", status=status, created_at=at, updated_at=at)
        )


def stack_runs(count: int) -> Iterator[Row]:
    for number in range(count):
        id, at = f"r{number:08}", BEGIN + timedelta(seconds=number)
        status = "completed" if number % SUSPENDED else "suspended_waiting_child"
        due = at + timedelta(days=3650) if number % (2 * SUSPENDED) == 0 else None
        yield STACK_RUNS.row(
            StackRun(id=id, task_run_id=id, status=status, due_at=due, created_at=at, updated_at=at, state={"at": 1})
        )
        yield STACK_RUNS.row(
            StackRun(
                id=f"{id}.1",
                task_run_id=id,
                parent_stack_run_id=id,
                sequence=1,
                position=0,
                operation="fetch",
                status="completed",
                input={"url": "https://example.org/"},
                result={"status_code": 200},
                created_at=at,
                updated_at=at,
            )
        )


def fill(connection: sqlite3.Connection, count: int) -> None:
    connection.execute("BEGIN")
    connection.executemany(TASK_RUNS.insert, runs(count))
    connection.executemany(STACK_RUNS.insert, stack_runs(count))
    connection.execute("COMMIT")
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")


async def submit(adapter: SQLiteAdapter) -> None:
    id = new_id()
    changes = [Create(TaskRun(id=id, task_identifier="digest")), Create(StackRun(id=id, task_run_id=id))]
    await adapter.commit(changes, id=new_id())


ACTS: dict[str, Callable[[SQLiteAdapter], Awaitable[object]]] = {
    "submit": submit,
    "claim": lambda adapter: adapter.claim_stack_runs("bench"),
    "claim nothing": lambda adapter: adapter.claim_stack_runs("bench", ids=["nobody"]),
    "list, the newest 20": lambda adapter: adapter.query_task_runs(limit=20, newest_first=True),
    "list, 20 suspended": lambda adapter: adapter.query_task_runs({"status": "suspended"}, limit=20),
    "show": lambda adapter: adapter.query_stack_runs({"task_run_id": "r00000007"}),
    "history": lambda adapter: adapter.query_stack_runs({"parent_stack_run_id": "r00000007"}, limit=1000),
    "look for work": lambda adapter: adapter.wait_for_work(0),
}


async def timed(path: Path) -> dict[str, float]:
    begin = time.perf_counter()
    async with SQLiteAdapter(path) as adapter:
        found = {"open": (time.perf_counter() - begin) * 1e3}
        for name, act in ACTS.items():
            spent = []
            for _ in range(TIMES):
                begin = time.perf_counter()
                await act(adapter)
                spent.append((time.perf_counter() - begin) * 1e3)
            found[name] = statistics.median(spent)
    return found


async def main(count: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        small, large = Path(folder, "small.db"), Path(folder, "large.db")
        for path, size in ((small, 2_000), (large, count)):
            begin = time.perf_counter()
            async with SQLiteAdapter(path, durability="process") as adapter:
                await adapter._thread.call(lambda connection, size=size: fill(connection, size))
            print(
                f"{size:>9,} runs: {path.stat().st_size / 1e6:,.0f} MB, filled in {time.perf_counter() - begin:.0f} s"
            )
        rounds = [(await timed(small), await timed(large)) for _ in range(3)]
        print(f"{'':22} {2_000:>12,} {count:>12,} runs")
        for name in rounds[0][0]:
            few, many = (statistics.median(one[place][name] for one in rounds) for place in (0, 1))
            print(f"{name:22} {few:12.3f} {many:12.3f} ms")


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000))
