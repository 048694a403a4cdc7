"""What a commit costs, in a row and side by side, and what an idle worker does, beside the raw rate of the same disk.

    python benchmarks/folder_commit.py [FOLDER]

A *step* is the commit that a task in a row makes: the outcome of call n, the start of call n + 1, and the frame.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from sequential_adaptor.backends.folder import FolderAdapter
from sequential_adaptor.records import StackRun, TaskRun
from sequential_adaptor.storage import Change, Claim, Create, Update

STEPS = 960
SIDE_BY_SIDE = 32


def raw(folder: Path, count: int = STEPS) -> float:
    """Microseconds of one write and fdatasync in a file that is filled already."""
    path = folder / f"raw-{os.getpid()}"
    fd = os.open(path, os.O_RDWR | os.O_CREAT)
    os.pwrite(fd, bytes(count * 700), 0)
    os.fsync(fd)
    began = time.perf_counter()
    for number in range(count):
        os.pwrite(fd, b"x" * 700, number * 700)
        os.fdatasync(fd)
    os.close(fd)
    path.unlink()
    return (time.perf_counter() - began) / count * 1e6


def step(run: str, number: int) -> list[Change]:
    """The outcome of one call, and the start of the next."""
    call = StackRun(
        task_run_id=run,
        parent_stack_run_id=run,
        sequence=number,
        operation="users.get",
        status="in_progress",
        input={"id": number, "fields": ["name", "mail"]},
    )
    changes: list[Change] = [Create(call)]
    if number > 1:
        ended = {"status": "completed", "result": {"name": "Ada", "mail": "ada@example.org"}, "position": number - 1}
        changes.append(Update(StackRun, f"{run}.{number - 1}", ended))
    changes.append(Update(StackRun, run, {"wakes": 0}))
    return changes


async def task(adapter: FolderAdapter, run: str, steps: int) -> None:
    """One run, step by step."""
    await adapter.commit(
        [Create(TaskRun(id=run, task_identifier="t")), Create(StackRun(id=run, task_run_id=run))], id=run
    )
    claims: Sequence[Claim] = await adapter.claim_stack_runs("worker", ids=[run])
    for number in range(1, steps + 1):
        await adapter.commit(step(run, number), claims=claims, id=f"{run}.{number}")


async def measure(base: Path, durability: str, lanes: int) -> str:
    """Wall and CPU time of a step, and how many syncs it took."""
    async with FolderAdapter(base, durability=durability) as adapter:
        before, _ = adapter.syncs
        prefix, steps = f"r{time.time_ns()}", STEPS // lanes
        cpu, began = time.process_time(), time.perf_counter()
        await asyncio.gather(*(task(adapter, f"{prefix}-{lane}", steps) for lane in range(lanes)))
        wall, cpu = time.perf_counter() - began, time.process_time() - cpu
        syncs, count = adapter.syncs[0] - before, steps * lanes
    return f"{wall / count * 1e6:6.0f} us of wall time, {cpu / count * 1e6:4.0f} us of CPU, {syncs / count:.2f} syncs"


async def idle(base: Path) -> str:
    """How soon a waiting worker is told of another process's commit, and what waiting costs."""
    async with FolderAdapter(base) as one, FolderAdapter(base) as two:
        delays = []
        for number in range(40):
            waiting = asyncio.ensure_future(two.wait_for_work(10))
            await asyncio.sleep(0.0237)
            await one.commit([Create(StackRun(task_run_id="idle", operation="a"))], id=f"i{time.time_ns()}-{number}")
            began = time.perf_counter()
            await waiting
            delays.append(time.perf_counter() - began)
        cpu, began = time.process_time(), time.perf_counter()
        await two.wait_for_work(0.01)
        await two.wait_for_work(5)
        spent = (time.process_time() - cpu) / (time.perf_counter() - began)
    delays.sort()
    return (
        f"told {delays[20] * 1e3:.1f} ms after the commit (median), {delays[-1] * 1e3:.1f} ms at most; {spent:.2%} CPU"
    )


def processes(base: Path, count: int) -> str:
    """Steps a second of several processes together, each with tasks side by side."""
    child = [sys.executable, __file__, "--child", str(base)]
    began = time.perf_counter()
    children = [subprocess.Popen(child) for _ in range(count)]
    assert all(one.wait() == 0 for one in children)
    rate = count * (STEPS // SIDE_BY_SIDE * SIDE_BY_SIDE) / (time.perf_counter() - began)
    return f"{rate:.0f} steps a second, start included"


def main(folder: Path) -> None:
    for _ in range(3):
        print(f"raw write and fdatasync:    {raw(folder):6.0f} us", flush=True)
        for durability in ("power", "process"):
            print(
                f"in a row, {durability:8}          {asyncio.run(measure(folder / durability, durability, 1))}",
                flush=True,
            )
            lanes = asyncio.run(measure(folder / durability, durability, SIDE_BY_SIDE))
            print(f"{SIDE_BY_SIDE} side by side, {durability:8}   {lanes}", flush=True)
    for count in (1, 2, 4):
        print(f"{count} processes: {processes(folder / 'shared', count)}", flush=True)
    print(f"idle: {asyncio.run(idle(folder / 'idle'))}")


if __name__ == "__main__":
    if "--child" in sys.argv:
        asyncio.run(measure(Path(sys.argv[-1]), "power", SIDE_BY_SIDE))
    else:
        with tempfile.TemporaryDirectory(dir=sys.argv[1] if len(sys.argv) > 1 else None) as folder:
            main(Path(folder))
