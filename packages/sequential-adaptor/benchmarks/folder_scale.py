"""What a large folder store costs: opening it, and claiming one due call in it.

    python benchmarks/folder_scale.py [RUNS] [FOLDER]

Makes a store with RUNS ended runs (100,000), opens it in fresh processes, with and without an index, and
claims calls one by one in it and in a store with 100 runs. Every figure stands beside the raw write-and-fdatasync
rate of the same disk in the same minute.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from sequential_adaptor.backends.folder import FolderAdapter
from sequential_adaptor.records import StackRun, TaskRun
from sequential_adaptor.storage import Create

CLAIMS = 300
BATCH = 500

_OPEN = """
import asyncio, json, resource, sys, time
from sequential_adaptor.backends.folder import FolderAdapter
def memory():
    return int(open("/proc/self/statm").read().split()[1]) * resource.getpagesize() / 1e6
async def main():
    before, began = memory(), time.perf_counter()
    adapter = FolderAdapter(sys.argv[1])
    await adapter.init()
    opened = time.perf_counter() - began
    after, began = memory(), time.perf_counter()
    page = await adapter.query_task_runs(limit=20, newest_first=True)
    listed = time.perf_counter() - began
    assert len(page) == 20
    found = {"open s": round(opened, 3), "memory MB": round(after - before, 1), "list 20 s": round(listed, 3)}
    print(json.dumps(found))
    await adapter.close()
asyncio.run(main())
"""


def raw(folder: Path, count: int = 300) -> float:
    """Microseconds of one write and fdatasync in a file that is filled already."""
    path = folder / "raw"
    fd = os.open(path, os.O_RDWR | os.O_CREAT)
    os.pwrite(fd, bytes(count * 700), 0)
    os.fsync(fd)
    times = []
    for number in range(count):
        began = time.perf_counter()
        os.pwrite(fd, b"x" * 700, number * 700)
        os.fdatasync(fd)
        times.append(time.perf_counter() - began)
    os.close(fd)
    path.unlink()
    return statistics.median(times) * 1e6


async def fill(base: Path, runs: int) -> None:
    """Ended runs with a frame each."""
    async with FolderAdapter(base, durability="process") as adapter:
        for start in range(0, runs, BATCH):
            changes = []
            for number in range(start, min(runs, start + BATCH)):
                id = f"run-{number:07}"
                run = TaskRun(id=id, task_identifier="task", status="completed", input={"n": number}, result=number)
                changes += [Create(run), Create(StackRun(id=id, task_run_id=id, status="completed"))]
            await adapter.commit(changes, id=f"fill-{start}")


async def claim(base: Path) -> float:
    """Median microseconds of a claim of one due call; the store is left as it was found, but for the calls."""
    async with FolderAdapter(base) as adapter:
        prefix = f"due.{time.time_ns()}"
        calls = [StackRun(id=f"{prefix}-{n}", task_run_id="due", operation="a.b") for n in range(CLAIMS)]
        await adapter.commit([Create(call) for call in calls], id=prefix)
        times = []
        for _ in range(CLAIMS):
            began = time.perf_counter()
            assert len(await adapter.claim_stack_runs("worker")) == 1
            times.append(time.perf_counter() - began)
        return statistics.median(times) * 1e6


def opening(base: Path) -> dict[str, float]:
    """What a fresh process says of opening the store."""
    done = subprocess.run([sys.executable, "-c", _OPEN, str(base)], check=True, capture_output=True, text=True)
    found: dict[str, float] = json.loads(done.stdout)
    return found


def main(runs: int, folder: Path) -> None:
    large, small = folder / "large", folder / "small"
    began = time.perf_counter()
    asyncio.run(fill(large, runs))
    print(f"made {runs:,} runs in {time.perf_counter() - began:.1f} s", flush=True)
    asyncio.run(fill(small, 100))
    for name, base in (("100 runs", small), (f"{runs:,} runs", large)):
        print(f"open, {name}: {opening(base)}", flush=True)
    for _ in range(3):
        few, many = asyncio.run(claim(small)), asyncio.run(claim(large))
        ratio = many / few
        print(
            f"claim: {few:.0f} us of 100, {many:.0f} us of {runs:,} ({ratio:.2f}); raw {raw(folder):.0f} us", flush=True
        )
    shutil.rmtree(large / ".store")
    print(f"open without an index, {runs:,} runs: {opening(large)}", flush=True)
    print(f"open again: {opening(large)}", flush=True)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory(dir=sys.argv[2] if len(sys.argv) > 2 else None) as folder:
        main(int(sys.argv[1]) if len(sys.argv) > 1 else 100_000, Path(folder))
