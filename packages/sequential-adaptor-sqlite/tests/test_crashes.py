"""Processes that are killed at any moment: what was acknowledged is there, and nothing is there by half."""

from __future__ import annotations

import asyncio
import random
import signal
import subprocess
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeAlias

import pytest

from sequential_adaptor.backends.sqlite import SQLiteAdapter

OpenAdapter: TypeAlias = Callable[..., Awaitable[SQLiteAdapter]]
StartProcess: TypeAlias = Callable[..., subprocess.Popen[str]]

_WORKER = """
import asyncio, sys
from sequential_adaptor.backends.sqlite import SQLiteAdapter
from sequential_adaptor.records import StackRun, TaskRun
from sequential_adaptor.storage import Create, Update

async def task(adapter, run):
    for number in range(1, 1000):
        id = f"{run}.{number}"
        changes = [Create(StackRun(id=id, task_run_id=run, operation="fetch", status="in_progress", input="x" * 3000))]
        if number > 1:
            changes.append(Update(StackRun, f"{run}.{number - 1}", {"status": "completed"}, {"status": "in_progress"}))
        await adapter.commit(changes, id=f"commit-{id}")
        print(run, number, flush=True)

async def main():
    async with SQLiteAdapter(sys.argv[1]) as adapter:
        await asyncio.gather(*(task(adapter, f"{sys.argv[2]}-{number}") for number in range(4)))
asyncio.run(main())
"""


async def test_a_killed_process_loses_nothing_and_leaves_no_half(
    path: Path, start_process: StartProcess, open_adapter: OpenAdapter
) -> None:
    """SIGKILL at random moments: each acknowledged commit is there whole, and at most one more of each task."""
    chance = random.Random(7)
    adapter = await open_adapter()
    for life in range(8):
        process = start_process(_WORKER, path, life)
        assert process.stdout is not None
        assert process.stdout.readline()
        time.sleep(chance.uniform(0.0, 0.3))
        process.send_signal(signal.SIGKILL)
        acknowledged: dict[str, int] = {}
        for line in process.stdout.read().split("\n")[:-1]:  # what follows the last newline was cut by the kill
            run, number = line.split()
            acknowledged[run] = int(number)
        for run in (f"{life}-{number}" for number in range(4)):
            calls = {call.id: call.status for call in await adapter.query_stack_runs({"task_run_id": run})}
            count = len(calls)
            assert acknowledged.get(run, 0) <= count <= acknowledged.get(run, 0) + 2
            expected = {f"{run}.{n}": "completed" if n < count else "in_progress" for n in range(1, count + 1)}
            assert calls == expected
    assert not [line for line in await adapter.diagnose(thorough=True) if line.startswith("damaged")]


async def test_a_commit_whose_reply_was_lost_is_not_repeated(
    path: Path, start_process: StartProcess, open_adapter: OpenAdapter
) -> None:
    """Another process repeats commits under their ids, as after a crash before the reply: nothing is written twice."""
    script = """
import asyncio, sys
from sequential_adaptor.backends.sqlite import SQLiteAdapter
from sequential_adaptor.storage import Wake
async def main():
    async with SQLiteAdapter(sys.argv[1]) as adapter:
        for number in range(1000):
            await adapter.commit([Wake("run")], id=f"c{number}")
asyncio.run(main())
"""
    adapter = await open_adapter()
    await adapter.create_stack_run({"task_run_id": "run"})
    for _ in range(2):
        assert await asyncio.to_thread(start_process(script, path).wait, 60) == 0
    frame = await adapter.get_stack_run("run")
    assert frame is not None
    assert frame.wakes == 1000


async def test_the_memory_of_commits_is_bounded(adapter: SQLiteAdapter) -> None:
    """Ids of commits are forgotten, oldest first, after some thousands."""
    await adapter.create_stack_run({"task_run_id": "run"})
    for begin in range(0, 6000, 500):
        await asyncio.gather(*(adapter.commit([], id=f"c{number}") for number in range(begin, begin + 500)))
    count = await adapter._thread.call(lambda c: c.execute("SELECT count(*) FROM commits").fetchone()[0])
    assert 1_000 < count < 3_000


@pytest.mark.parametrize("cut", range(0, 40, 3))
async def test_a_torn_log_keeps_what_was_synced_before_it(path: Path, tmp_path: Path, cut: int) -> None:
    """A log that ends in the middle of a commit (power lost while it was written) loses that commit only, whole."""
    adapter = SQLiteAdapter(path)
    await adapter.init()
    for number in range(5):
        await adapter.create_task_run({"id": f"r{number}", "task_identifier": "x", "input": "y" * 9000})
    log = Path(f"{path}-wal").read_bytes()
    copy = tmp_path / "copy.db"
    copy.write_bytes(path.read_bytes())
    Path(f"{copy}-wal").write_bytes(log[: len(log) - cut * 1000 - 1])
    await adapter.close()
    async with SQLiteAdapter(copy) as survivor:
        stored = sorted(run.id for run in await survivor.query_task_runs())
        assert stored == [f"r{number}" for number in range(len(stored))]
        assert all(run.input == "y" * 9000 for run in await survivor.query_task_runs())
