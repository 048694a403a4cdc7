"""Word of new work: from this process at once, from others in milliseconds, by the clock when it is time."""

from __future__ import annotations

import asyncio
import statistics
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeAlias

import pytest

from sequential_adaptor.backends.sqlite import SQLiteAdapter, watching
from sequential_adaptor.ids import new_id
from sequential_adaptor.records import StackRun
from sequential_adaptor.storage import Change, Create, Update, Wake

OpenAdapter: TypeAlias = Callable[..., Awaitable[SQLiteAdapter]]
StartProcess: TypeAlias = Callable[..., subprocess.Popen[str]]


async def waited(adapter: SQLiteAdapter, timeout: float) -> float:
    begin = time.perf_counter()
    await adapter.wait_for_work(timeout)
    return time.perf_counter() - begin


@pytest.mark.parametrize("db_path", ["file", ":memory:"])
async def test_work_of_this_process_is_heard_of_at_once(open_adapter: OpenAdapter, path: Path, db_path: str) -> None:
    """Creating something due ends a wait that is under way, and the next one where none is."""
    adapter = await open_adapter(path if db_path == "file" else db_path)
    delays = []
    for _ in range(5):  # a busy machine takes its time now and then
        waiting = asyncio.create_task(waited(adapter, 10))
        await asyncio.sleep(0.1)
        begin = time.perf_counter()
        await adapter.create_stack_run({"task_run_id": new_id()})
        await waiting
        delays.append(time.perf_counter() - begin)
    assert min(delays) < 0.2
    await adapter.create_stack_run({"task_run_id": new_id()})
    assert await waited(adapter, 10) < 5
    assert await waited(adapter, 0.3) >= 0.25


@pytest.mark.parametrize("events", [True, False], ids=["by events", "by looking"])
async def test_work_of_another_process_is_heard_of_soon(
    open_adapter: OpenAdapter, monkeypatch: pytest.MonkeyPatch, events: bool
) -> None:
    """An idle worker hears of what another connection stored in milliseconds; a busy machine is allowed some more."""
    if not events:
        monkeypatch.setattr(watching, "open_events", lambda path: None)
    adapter, other = await open_adapter(), await open_adapter(durability="process")
    delays = []
    for _ in range(20):
        waiting = asyncio.create_task(adapter.wait_for_work(10))
        await asyncio.sleep(0.05)
        begin = time.perf_counter()
        await other.create_stack_run({"task_run_id": new_id()})
        await waiting
        delays.append(time.perf_counter() - begin)
    assert statistics.median(delays) < 0.05, delays


async def test_nothing_is_missed_between_waits(open_adapter: OpenAdapter) -> None:
    """What another process announced while nobody waited ends the next wait at once."""
    adapter, other = await open_adapter(), await open_adapter()
    await other.create_stack_run({"task_run_id": new_id()})
    assert await waited(adapter, 10) < 5
    assert await waited(adapter, 0.2) >= 0.15


async def test_a_frame_that_is_held_is_woken_across_processes(open_adapter: OpenAdapter) -> None:
    """A `Wake` of a frame under a live lease is news to its holder, though nothing is due."""
    adapter, other = await open_adapter(), await open_adapter()
    await adapter.create_stack_run({"task_run_id": "run"})
    await adapter.claim_stack_runs("w", lease=60)
    await adapter.wait_for_work(0.05)
    waiting = asyncio.create_task(waited(adapter, 10))
    await asyncio.sleep(0.1)
    await other.commit([Wake("run")], id="c")
    assert await waiting < 5


@pytest.mark.parametrize(
    "change",
    [
        Create(StackRun(id="run.1", task_run_id="run", operation="fetch", status="in_progress")),
        Update(StackRun, "run", {"state": {"at": 1}}),
        Update(StackRun, "run", {"due_at": None, "lease_expires_at": None, "status": "suspended_waiting_child"}),
    ],
    ids=["a call its holder performs", "a step of a task", "a frame that waits"],
)
async def test_what_brings_no_work_wakes_nobody(open_adapter: OpenAdapter, change: Change) -> None:
    """The steps of a busy worker do not wake the idle ones."""
    adapter, other = await open_adapter(), await open_adapter()
    await adapter.create_stack_run({"task_run_id": "run"})
    await adapter.claim_stack_runs("w", lease=60)
    for one in (adapter, other):
        await one.wait_for_work(0.05)
    waits = [asyncio.create_task(waited(one, 0.4)) for one in (adapter, other)]
    await asyncio.sleep(0.1)
    await other.commit([change], id="c")
    assert min(await asyncio.gather(*waits)) >= 0.35


@pytest.mark.parametrize(
    "changes",
    [{"worker": None, "lease_expires_at": None}, {"due_at": datetime.now(UTC), "lease_expires_at": None}],
    ids=["given back", "made due"],
)
async def test_what_becomes_due_by_a_commit_wakes_others(open_adapter: OpenAdapter, changes: dict[str, Any]) -> None:
    """A frame that its holder gives back, and one that a commit makes due, are news to workers of other processes."""
    adapter, other = await open_adapter(), await open_adapter()
    await adapter.create_stack_run({"task_run_id": "run"})
    claims = await adapter.claim_stack_runs("w", lease=60)
    await other.wait_for_work(0.05)
    waiting = asyncio.create_task(waited(other, 10))
    await asyncio.sleep(0.1)
    await adapter.commit([Update(StackRun, "run", changes)], claims=claims, id="c")
    assert await waiting < 5
    assert [claim.token for claim in await other.claim_stack_runs("w")] == [2]


async def test_a_timer_ends_a_wait(open_adapter: OpenAdapter) -> None:
    """A wait ends when the earliest time to come is there, though nobody writes anything."""
    adapter = await open_adapter()
    due_at = await adapter.now() + timedelta(seconds=0.4)
    await adapter.create_stack_run({"task_run_id": "run", "due_at": due_at})
    await adapter.wait_for_work(0.05)
    assert await waited(adapter, 10) < 5
    assert await adapter.now() >= due_at
    assert [claim.stack_run.id for claim in await adapter.claim_stack_runs("w")] == ["run"]


async def test_the_end_of_a_lease_ends_a_wait(open_adapter: OpenAdapter) -> None:
    """What a dead worker held is looked for as soon as its lease has ended."""
    adapter = await open_adapter()
    await adapter.create_stack_run({"task_run_id": "run"})
    await adapter.claim_stack_runs("dead", lease=0.4)
    await adapter.wait_for_work(0.05)
    assert await waited(adapter, 10) < 5
    assert [claim.token for claim in await adapter.claim_stack_runs("w")] == [2]


async def test_due_work_that_nobody_here_takes_does_not_spin(open_adapter: OpenAdapter) -> None:
    """Who has its hands full waits all the same: what has been announced once is not announced again."""
    adapter = await open_adapter()
    await adapter.create_stack_run({"task_run_id": "left"})
    await adapter.create_stack_run({"task_run_id": "dead"})
    await adapter.claim_stack_runs("dead", lease=0.05, ids=["dead"])
    await adapter.wait_for_work(0.2)
    await asyncio.sleep(0.1)
    begin = time.perf_counter()
    returns = 0
    while time.perf_counter() - begin < 0.5:
        await adapter.wait_for_work(0.1)
        returns += 1
    assert returns <= 8


_BUSY = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None, timeout=5)
connection.execute("PRAGMA synchronous = OFF")
print("ready", flush=True)
while True:
    connection.execute("INSERT OR REPLACE INTO keystore VALUES ('k', '1')")
"""


async def test_a_busy_store_does_not_keep_an_idle_worker_busy(
    path: Path, adapter: SQLiteAdapter, start_process: StartProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While others write all the time, and nothing becomes due, the database is looked at some times and not always."""
    looks: list[object] = []
    read = adapter._thread.read

    async def counted(function: Callable[[Any], Any]) -> Any:
        looks.append(function)
        return await read(function)

    monkeypatch.setattr(adapter._thread, "read", counted)
    busy = start_process(_BUSY, path)
    assert busy.stdout is not None
    await asyncio.to_thread(busy.stdout.readline)
    spent = await waited(adapter, 0.5)
    assert spent >= 0.45
    assert len(looks) <= spent / 0.01 + 5


async def test_a_write_within_one_tick_of_the_clock_is_heard_of(
    open_adapter: OpenAdapter, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where neither events nor the file's time say anything, SQLite is asked now and then."""
    monkeypatch.setattr(watching, "open_events", lambda path: None)
    monkeypatch.setattr(watching, "stamp", lambda path: (1, 1))
    adapter, other = await open_adapter(), await open_adapter()
    waiting = asyncio.create_task(waited(adapter, 10))
    await asyncio.sleep(0.1)
    await other.create_stack_run({"task_run_id": "run"})
    assert await waiting < 5


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has events for touched files")
async def test_others_are_told_when_what_is_announced_can_be_read(open_adapter: OpenAdapter) -> None:
    """The file is touched after the commit: whoever looks then finds the work, however long the disk took before."""
    adapter, other = await open_adapter(), await open_adapter()
    await adapter.wait_for_work(0)
    watch = adapter._waiter._watches.here()
    for number in range(20):
        before = watch.mark()
        await other.create_stack_run({"task_run_id": f"run-{number}"})
        assert watch.mark() != before
        assert await adapter.get_stack_run(f"run-{number}") is not None
        before = watch.mark()
        await other.commit([Update(StackRun, f"run-{number}", {"state": number, "due_at": None})], id=new_id())
        assert watch.mark() == before


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="descriptors are counted in /proc")
async def test_a_cancelled_wait_leaves_nothing(adapter: SQLiteAdapter) -> None:
    """Waits that are cancelled, as by a worker that stops, are forgotten, and however many there were need no
    descriptors but those of the first."""
    await adapter.wait_for_work(0)
    before = len(list(Path("/proc/self/fd").iterdir()))
    for number in range(50):
        waiting = asyncio.create_task(adapter.wait_for_work(10))
        await asyncio.sleep(0.01 if number % 2 else 0)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
    assert not adapter._waiter.bell._waiting
    assert len(list(Path("/proc/self/fd").iterdir())) <= before
    await adapter.create_stack_run({"task_run_id": "run"})
    assert await waited(adapter, 5) < 3


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="descriptors are counted in /proc")
async def test_closing_ends_the_waits_and_gives_back_their_descriptors(open_adapter: OpenAdapter) -> None:
    """Who still waits when the adapter is closed is let go, and nothing stays open."""
    before = len(list(Path("/proc/self/fd").iterdir()))
    adapter = await open_adapter()
    waits = [asyncio.create_task(waited(adapter, 30)) for _ in range(3)]
    await asyncio.sleep(0.1)
    await adapter.close()
    assert max(await asyncio.gather(*waits)) < 10
    assert len(list(Path("/proc/self/fd").iterdir())) <= before


_IDLE = """
import asyncio, sys, time
from sequential_adaptor.backends.sqlite import SQLiteAdapter
async def main():
    async with SQLiteAdapter(sys.argv[1]) as adapter:
        await adapter.wait_for_work(0.2)
        begin = time.process_time()
        for _ in range(6):
            await adapter.claim_stack_runs("w")
            await adapter.wait_for_work(0.5)
        print((time.process_time() - begin) / 3.0)
asyncio.run(main())
"""


async def test_waiting_costs_little(path: Path, start_process: StartProcess) -> None:
    """An idle worker uses well under one per cent of a processor (of a busy machine's, some more)."""
    out, _ = await asyncio.to_thread(start_process(_IDLE, path).communicate, timeout=60)
    assert float(out) < 0.04


async def test_waits_in_several_threads_are_ended(adapter: SQLiteAdapter) -> None:
    """An announcement reaches every event loop that waits."""

    def wait(_: Any) -> float:
        return asyncio.run(waited(adapter, 10))

    waits = [asyncio.create_task(asyncio.to_thread(wait, number)) for number in range(3)]
    await asyncio.sleep(0.3)
    await adapter.create_stack_run({"task_run_id": "run"})
    assert max(await asyncio.gather(*waits)) < 2.0
