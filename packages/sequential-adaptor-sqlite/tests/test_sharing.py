"""Several processes on one file: waiting for one another, fairly, and never a word of "database is locked"."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sqlite3
import subprocess
import threading
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeAlias

import pytest

from sequential_adaptor import StorageUnavailable
from sequential_adaptor.backends.sqlite import DatabaseBusy, SQLiteAdapter
from sequential_adaptor.backends.sqlite.turns import Turns

OpenAdapter: TypeAlias = Callable[..., Awaitable[SQLiteAdapter]]
StartProcess: TypeAlias = Callable[..., subprocess.Popen[str]]
Foreign: TypeAlias = Callable[[], sqlite3.Connection]

WAL_LIMIT = 16 * 1024 * 1024

_WRITER = """
import asyncio, json, sys, time
from sequential_adaptor.backends.sqlite import SQLiteAdapter
from sequential_adaptor.ids import new_id
async def main():
    async with SQLiteAdapter(sys.argv[1], durability="process") as adapter:
        await adapter.now()
        print("ready", flush=True)
        sys.stdin.readline()
        until, count, longest = time.monotonic() + float(sys.argv[2]), 0, 0.0
        async def write():
            nonlocal count, longest
            while time.monotonic() < until:
                begin = time.monotonic()
                await adapter.create_task_run({"id": new_id(), "task_identifier": sys.argv[3], "input": "x" * 200})
                longest, count = max(longest, time.monotonic() - begin), count + 1
        await asyncio.gather(*(write() for _ in range(int(sys.argv[4]))))
    print(json.dumps([count, longest]), flush=True)
asyncio.run(main())
"""


def started(processes: list[subprocess.Popen[str]]) -> None:
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()


async def test_writers_of_four_processes_share_fairly(
    path: Path, start_process: StartProcess, open_adapter: OpenAdapter
) -> None:
    """Four processes that write without a pause: each has its share, nobody starves, nothing is lost."""
    processes = [start_process(_WRITER, path, 3, f"p{number}", 4) for number in range(4)]
    started(processes)
    found = [json.loads((await asyncio.to_thread(process.communicate, timeout=60))[0]) for process in processes]
    counts = [count for count, _ in found]
    assert min(counts) > sum(counts) / len(counts) / 3, found
    assert max(longest for _, longest in found) < 2.0, found
    adapter = await open_adapter()
    stored = [len(await adapter.query_task_runs({"task_identifier": f"p{number}"})) for number in range(4)]
    assert stored == counts
    assert not await adapter._thread.call(
        lambda connection: [row for row in connection.execute("PRAGMA integrity_check") if row != ("ok",)]
    )


async def test_another_programs_transaction_is_waited_for(adapter: SQLiteAdapter, foreign: Foreign) -> None:
    """A shell that holds the write lock for a second delays a commit, and reads go on beside it."""
    shell = foreign()
    shell.execute("BEGIN IMMEDIATE")
    writing = asyncio.create_task(adapter.set_keystore("k", 1))
    await asyncio.sleep(1.0)
    assert not writing.done()
    shell.execute("COMMIT")
    await asyncio.wait_for(writing, 5)
    assert await adapter.get_keystore("k") == 1


async def test_a_lock_that_is_never_freed_is_an_error_in_the_end(
    path: Path, open_adapter: OpenAdapter, foreign: Foreign, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Beyond its patience a write fails, typed and with the remedy; nothing was written, and it may be tried again."""
    monkeypatch.setattr(SQLiteAdapter, "patience", 0.5)
    adapter = await open_adapter()
    shell = foreign()
    shell.execute("BEGIN IMMEDIATE")
    with pytest.raises(DatabaseBusy, match="locked by another program") as caught:
        await adapter.set_keystore("k", 1)
    assert isinstance(caught.value, StorageUnavailable | TimeoutError)
    assert "database is locked" not in str(caught.value)
    shell.execute("ROLLBACK")
    assert await adapter.get_keystore("k") is None
    await adapter.set_keystore("k", 2)
    assert await adapter.get_keystore("k") == 2


async def test_a_process_that_dies_in_its_turn_holds_up_nobody(
    path: Path, start_process: StartProcess, adapter: SQLiteAdapter
) -> None:
    """Processes killed while they write free the turn and the lock; what they had not committed is gone."""
    processes = [start_process(_WRITER, path, 30, "killed", 8) for _ in range(3)]
    started(processes)
    for process in processes:
        await asyncio.sleep(0.3)
        process.send_signal(signal.SIGKILL)
        begin = time.monotonic()
        await adapter.set_keystore("k", process.pid)
        assert time.monotonic() - begin < 5
    count = len(await adapter.query_task_runs({"task_identifier": "killed"}))
    assert count > 0
    assert not [line for line in await adapter.diagnose(thorough=True) if line.startswith("damaged")]


async def test_a_stopped_process_holds_up_others_for_no_longer_than_their_patience(
    path: Path, start_process: StartProcess, open_adapter: OpenAdapter, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process that is stopped in its turn (a debugger, a laptop's lid) is waited for, with an end."""
    monkeypatch.setattr(SQLiteAdapter, "patience", 1.0)
    adapter = await open_adapter()
    [process] = processes = [start_process(_WRITER, path, 30, "stopped", 8)]
    started(processes)
    for _ in range(40):
        await asyncio.sleep(0.05)
        process.send_signal(signal.SIGSTOP)
        begin = time.monotonic()
        try:
            await adapter.set_keystore("k", 1)
        except DatabaseBusy:
            break
        finally:
            process.send_signal(signal.SIGCONT)
        assert time.monotonic() - begin < 5
    await adapter.set_keystore("k", 2)


def test_who_has_had_a_turn_goes_behind_who_waits(path: Path) -> None:
    """Of two that want turns all the time, neither has two while the other waits for long."""
    Path(f"{path}-wal").touch()
    order: list[int] = []
    until = time.monotonic() + 1.0

    def want(name: int) -> None:
        turns = Turns(str(path), 5)
        turns.open()
        while time.monotonic() < until:
            with turns.taken():
                order.append(name)
                time.sleep(0.001)
        turns.close()

    threads = [threading.Thread(target=want, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    shares = [order.count(number) for number in range(3)]
    assert min(shares) > len(order) / 6, shares


def test_turns_exclude_one_another(path: Path) -> None:
    """There is one turn at a time, whichever adapters, threads or processes want it."""
    Path(f"{path}-wal").touch()
    inside: list[int] = []
    most: list[int] = []

    def want() -> None:
        turns = Turns(str(path), 5)
        turns.open()
        for _ in range(100):
            with turns.taken():
                inside.append(1)
                most.append(len(inside))
                time.sleep(0)
                inside.pop()
        turns.close()

    threads = [threading.Thread(target=want) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert max(most) == 1


async def test_the_log_stays_small_under_load(path: Path, start_process: StartProcess) -> None:
    """Processes that write and read without a pause leave a write-ahead log of a bounded size."""
    processes = [start_process(_WRITER, path, 4, f"p{number}", 8) for number in range(3)]
    started(processes)
    largest = 0
    while any(process.poll() is None for process in processes):
        log = Path(f"{path}-wal")
        largest = max(largest, log.stat().st_size if log.exists() else 0)
        await asyncio.sleep(0.05)
    assert 0 < largest <= 2 * WAL_LIMIT
    assert not log.exists()


async def test_the_log_shrinks_when_a_long_reader_has_gone(
    path: Path, adapter: SQLiteAdapter, foreign: Foreign
) -> None:
    """Another program's read transaction keeps the log from being written back; when it ends, so does the growth."""
    log = Path(f"{path}-wal")
    shell = foreign()
    shell.execute("BEGIN")
    shell.execute("SELECT count(*) FROM task_runs").fetchone()

    async def write(count: int) -> None:
        for _ in range(count):
            await adapter.create_task_run({"task_identifier": "x", "input": "y" * 200_000})

    await write(150)
    assert log.stat().st_size > WAL_LIMIT
    shell.execute("COMMIT")
    await write(50)
    assert log.stat().st_size <= WAL_LIMIT + 2_000_000


async def test_reading_holds_no_transaction(adapter: SQLiteAdapter, foreign: Foreign) -> None:
    """After a query the log can be written back and emptied whole: nothing of ours keeps an old state alive."""
    for number in range(50):
        await adapter.create_task_run({"task_identifier": "x", "input": number})
    await adapter.query_task_runs(limit=10)
    await adapter.wait_for_work(0.05)
    busy, *_ = foreign().execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    assert busy == 0


@pytest.mark.skipif(os.name != "posix", reason="limits are POSIX's")
async def test_a_file_that_cannot_grow_is_an_error_and_nothing_is_half_written(
    path: Path, start_process: StartProcess, open_adapter: OpenAdapter
) -> None:
    """A quota (or a full disk) in the middle of a commit: a typed error, and the records before it are whole."""
    script = """
import asyncio, resource, signal, sys
from sequential_adaptor import StorageError
from sequential_adaptor.backends.sqlite import SQLiteAdapter
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
async def main():
    async with SQLiteAdapter(sys.argv[1]) as adapter:
        resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, resource.RLIM_INFINITY))
        for number in range(1000):
            try:
                await adapter.create_task_run({"id": f"r{number}", "task_identifier": "x", "input": "y" * 20_000})
            except StorageError as error:
                failure = type(error).__name__
                break
        else:
            failure = "none"
        count = len(await adapter.query_task_runs())
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        await adapter.create_task_run({"id": "after", "task_identifier": "x"})
    print(failure, number, count)
asyncio.run(main())
"""
    out, _ = await asyncio.to_thread(start_process(script, path).communicate, timeout=60)
    failure, number, count = out.split()
    assert failure == "StorageUnavailable"
    assert number == count
    adapter = await open_adapter()
    assert len(await adapter.query_task_runs()) == int(count) + 1
    assert not [line for line in await adapter.diagnose(thorough=True) if line.startswith("damaged")]
