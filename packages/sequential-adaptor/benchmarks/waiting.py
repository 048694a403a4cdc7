"""What it costs to wake one of very many runs that wait, and to be idle beside them.

    python benchmarks/waiting.py [STORAGE_URL] [RUNS]

By default SQLite in a temporary file, with 200 and with 100,000 runs, half of which wait for an event and half for a
timer that is a month away. They are copies of runs that a worker has suspended. Measured with a worker in a process of
its own: from `send` (or the timer's time) to the end of the run, as a median in milliseconds; the worker's CPU time for
each; and then its share of one core while nothing happens.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

from sequential_adaptor import Engine, StackRun, StorageAdapter, TaskRun
from sequential_adaptor.ids import new_id
from sequential_adaptor.storage import Create, Update

CODE = {
    "event": 'async def main(n):\n    return await wait_for_event("go")\n',
    "timer": "async def main(n):\n    await sleep(30 * 86_400)\n    return n\n",
}
WAKES = 100
IDLE_SECONDS = 20.0
_RUNS_A_COMMIT = 200


async def fill(storage: str, runs: int) -> None:
    """So many runs that wait."""
    async with Engine(storage) as engine:
        for kind, code in CODE.items():
            await engine.publish(kind, code)
            model = await engine.submit(kind)
            await engine.work(until_idle=True)
            await copies(engine.adapter, model.id, f"{kind}-{runs}", runs // 2)
            await engine.adapter.delete_task_run(model.id)


async def copies(adapter: StorageAdapter, model: str, name: str, count: int) -> None:
    """The model run again and again, under other ids."""
    run = await adapter.get_task_run(model)
    rows = await adapter.query_stack_runs({"task_run_id": model})
    assert run is not None
    for start in range(0, count, _RUNS_A_COMMIT):
        changes: list[Create] = []
        for number in range(start, min(start + _RUNS_A_COMMIT, count)):
            changes += copy(run, rows, f"{name}-{number}")
        await adapter.commit(changes, id=new_id())


def copy(run: TaskRun, rows: list[StackRun], id: str) -> list[Create]:
    """One copy."""
    made = [Create(run.replace(id=id))]
    for row in rows:
        parent = None if row.parent_stack_run_id is None else row.parent_stack_run_id.replace(run.id, id)
        due_at = None if row.due_at is None else row.due_at + timedelta(milliseconds=len(id))
        moved = row.replace(
            id=row.id.replace(run.id, id), task_run_id=id, parent_stack_run_id=parent, due_at=due_at, last_commit=None
        )
        made.append(Create(moved))
    return made


@contextlib.asynccontextmanager
async def worker(storage: str) -> AsyncIterator[int]:
    """The process id of a worker."""
    command = ("-m", "sequential_adaptor.cli", "work", "--storage", storage)
    process = await asyncio.create_subprocess_exec(sys.executable, *command, stderr=asyncio.subprocess.DEVNULL)
    try:
        yield process.pid
    finally:
        process.terminate()
        await process.wait()


def cpu_seconds(pid: int) -> float:
    """What a process has used so far (Linux)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def wakes(engine: Engine, pid: int, kind: str, runs: int) -> tuple[float, float]:
    """Median milliseconds to the end of a run that is woken, and the worker's CPU milliseconds for each."""
    took, used = [], cpu_seconds(pid)
    for number in range(WAKES):
        handle = engine.handle(f"{kind}-{runs}-{number}")
        before = time.perf_counter()
        if kind == "event":
            await handle.send("go", number)
        else:
            await let_a_month_pass(engine.adapter, handle.id)
        await handle.result(timeout=60)
        took.append((time.perf_counter() - before) * 1_000)
    return statistics.median(took), (cpu_seconds(pid) - used) / WAKES * 1_000


async def let_a_month_pass(adapter: StorageAdapter, id: str) -> None:
    """The run began a month earlier, so that its timer is due."""
    run, now = await adapter.get_task_run(id), await adapter.now()
    assert run is not None
    assert run.started_at is not None
    began = Update(TaskRun, id, {"started_at": run.started_at - timedelta(days=30)})
    await adapter.commit([began, Update(StackRun, id, {"due_at": now})], id=new_id())


async def measure(storage: str, runs: int) -> list[str]:
    """One row of the table."""
    began = time.perf_counter()
    await fill(storage, runs)
    filled = time.perf_counter() - began
    async with worker(storage) as pid, Engine(storage) as engine:
        await engine.publish("warm", "async def main(n):\n    return n\n")
        for number in range(5):
            await (await engine.submit("warm", number)).result(timeout=120)
        event, event_cpu = await wakes(engine, pid, "event", runs)
        timer, timer_cpu = await wakes(engine, pid, "timer", runs)
        await asyncio.sleep(2)
        used = cpu_seconds(pid)
        await asyncio.sleep(IDLE_SECONDS)
        idle = (cpu_seconds(pid) - used) / IDLE_SECONDS
    return [
        f"{runs:,}",
        f"{filled:.0f} s",
        *(f"{ms:.1f} ms" for ms in (event, event_cpu, timer, timer_cpu)),
        f"{idle:.2%}",
    ]


def print_row(cells: list[str]) -> None:
    print("".join(cell.rjust(14) for cell in cells))


async def main() -> None:
    given = sys.argv[1] if len(sys.argv) > 1 else None
    many = int(sys.argv[2]) if len(sys.argv) > 2 else 100_000
    print_row(["waiting", "filled in", "wake: event", "CPU", "wake: timer", "CPU", "idle worker"])
    for runs in (2 * WAKES, many):
        with tempfile.TemporaryDirectory() as folder:
            print_row(await measure(given or f"sqlite:///{folder}/tasks.db", runs))


if __name__ == "__main__":
    asyncio.run(main())
