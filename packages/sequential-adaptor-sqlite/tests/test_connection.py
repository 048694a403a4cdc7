"""The one module that touches aiosqlite: what it relies on there, one hop a transaction, forks, forgotten adapters."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import subprocess
import threading
import time
from collections.abc import Awaitable, Callable
from importlib.metadata import requires, version
from pathlib import Path
from queue import SimpleQueue
from typing import TypeAlias

import aiosqlite
import pytest
from packaging.requirements import Requirement

from sequential_adaptor import InvalidId, StorageClosed, StorageUnavailable
from sequential_adaptor.backends.sqlite import SQLiteAdapter
from sequential_adaptor.backends.sqlite.connection import Thread
from sequential_adaptor.ids import new_id
from sequential_adaptor.records import TaskRun
from sequential_adaptor.storage import Change, Create

StartProcess: TypeAlias = Callable[..., subprocess.Popen[str]]
Step: TypeAlias = Callable[[str, int], list[Change]]


async def test_functions_in_the_queue_run_on_the_thread_of_the_connection() -> None:
    """``_tx`` and ``_thread`` are private: this is what we rely on, for every version that pyproject.toml allows."""
    connection = aiosqlite.Connection(lambda: sqlite3.connect(":memory:", check_same_thread=False), 64)
    connection._thread.daemon = True
    await connection
    try:
        found: SimpleQueue[object] = SimpleQueue()
        connection._tx.put_nowait((None, lambda: found.put(threading.current_thread())))
        assert found.get(timeout=5) is connection._thread
        connection._tx.put_nowait((None, lambda: 1 / 0))  # what it raises is nobody's, and ends nothing
        for number in range(100):
            connection._tx.put_nowait((None, lambda number=number: found.put(number)))
        assert [found.get(timeout=5) for _ in range(100)] == list(range(100))
        assert connection._conn.execute("SELECT 1").fetchone() == (1,)
    finally:
        await connection.close()
    connection._thread.join(10)
    assert not connection._thread.is_alive()


def test_an_event_loop_that_closes_early_harms_nothing(path: Path) -> None:
    """What was under way for a loop that is gone by then goes on to its end, and the adapter works for the next one."""
    adapter = SQLiteAdapter(path)
    asyncio.run(adapter.init())

    async def leave() -> None:
        await adapter._thread.call(lambda connection: None)
        for asked in (adapter._thread.call(lambda _: time.sleep(0.3)), adapter.set_keystore("k", "kept")):
            asyncio.ensure_future(asked)  # noqa: RUF006 - it is left behind on purpose
        await asyncio.sleep(0)

    asyncio.run(leave())
    assert asyncio.run(adapter.get_keystore("k")) == "kept"
    asyncio.run(adapter.close())


def test_the_range_of_versions_is_pinned() -> None:
    """The aiosqlite that is installed is one that was tried, and the next minor version is not let in."""
    [wanted] = [
        found for found in map(Requirement, requires("sequential-adaptor-sqlite") or ()) if found.name == "aiosqlite"
    ]
    assert wanted.specifier.contains(version("aiosqlite"))
    assert not wanted.specifier.contains("0.23.0")
    assert not wanted.specifier.contains("1.0")


async def test_a_commit_is_one_hop(adapter: SQLiteAdapter, step: Step, monkeypatch: pytest.MonkeyPatch) -> None:
    """A transaction costs one hop to the connection's thread, however many statements it has."""
    hops: list[object] = []
    post = Thread.post

    def counted(self: Thread, function: Callable[[sqlite3.Connection], None]) -> None:
        hops.append(function)
        post(self, function)

    monkeypatch.setattr(Thread, "post", counted)
    await adapter.commit([*step("a", 0), *step("b", 0), *step("c", 0)], id=new_id())
    assert len(hops) == 1
    await adapter.query_stack_runs({"task_run_id": ["a", "b"]})
    assert len(hops) == 2


async def test_no_transaction_is_open_between_calls(adapter: SQLiteAdapter) -> None:
    """Nothing, a failed write included, leaves a transaction open across an await."""
    await adapter.create_task_run({"id": "a", "task_identifier": "x"})
    with pytest.raises(ValueError, match="different"):
        await adapter.create_task_run({"id": "a", "task_identifier": "y"})
    await adapter.query_task_runs(limit=1)
    await adapter.claim_stack_runs("w")
    assert not await adapter._thread.call(lambda connection: connection.in_transaction)


def test_several_event_loops_may_use_one_adapter(path: Path) -> None:
    """Loops in other threads, and loops one after the other."""
    adapter = SQLiteAdapter(path)
    asyncio.run(adapter.init())

    async def create(number: int) -> None:
        await asyncio.gather(
            *(adapter.create_task_run({"id": f"r{number}-{n}", "task_identifier": "x"}) for n in range(20))
        )

    threads = [threading.Thread(target=lambda number=number: asyncio.run(create(number))) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(asyncio.run(adapter.query_task_runs())) == 80
    asyncio.run(adapter.close())


async def test_closing_waits_for_what_was_asked_for(path: Path) -> None:
    """What was asked for before ``close()`` is written before it returns, and what comes after is refused."""
    adapter = SQLiteAdapter(path)
    await adapter.init()
    asked = [asyncio.ensure_future(adapter.create_task_run({"task_identifier": "x"})) for _ in range(20)]
    await asyncio.sleep(0)
    await adapter.close()
    assert all(isinstance(one, TaskRun) for one in await asyncio.gather(*asked))
    with pytest.raises(StorageClosed):
        await adapter.commit([Create(TaskRun(task_identifier="x"))], id="late")
    with pytest.raises(StorageClosed):
        await adapter.wait_for_work(1)
    await adapter.init()
    assert len(await adapter.query_task_runs()) == 20
    await adapter.close()


_FORGETFUL = """
import asyncio, sys
from sequential_adaptor.backends.sqlite import SQLiteAdapter
async def main():
    adapter = SQLiteAdapter(sys.argv[1])
    await adapter.init()
    await adapter.create_task_run({"id": "kept", "task_identifier": "x"})
    return adapter
kept = asyncio.run(main())
print("ended")
"""


async def test_a_forgotten_adapter_does_not_keep_the_process(
    path: Path, start_process: StartProcess, adapter: SQLiteAdapter
) -> None:
    """A program that never closes its adapter ends, and what it wrote is there."""
    process = start_process(_FORGETFUL, path)
    assert process.wait(20) == 0
    assert await adapter.get_task_run("kept") is not None


_FORKED = """
import asyncio, os, sys, warnings
warnings.simplefilter("ignore", DeprecationWarning)  # 3.12 warns of forks beside threads: that is what is tried here
from sequential_adaptor import StorageError
from sequential_adaptor.backends.sqlite import SQLiteAdapter

async def child(adapter):
    try:
        await adapter.create_task_run({"id": "child", "task_identifier": "x"})
    except StorageError as error:
        assert "fork" in str(error), error
    else:
        return 1
    await adapter.close()
    own = SQLiteAdapter(sys.argv[1])
    try:
        await own.init()
    except StorageError as error:
        assert "fork" in str(error), error
    else:
        return 2
    async with SQLiteAdapter(f"{sys.argv[1]}-{os.getpid()}") as another:
        await another.create_task_run({"id": "child", "task_identifier": "x"})
    return 0

async def parent(adapter):
    for number in range(200):
        await adapter.create_task_run({"id": f"parent{number}", "task_identifier": "x"})
    return len(await adapter.query_task_runs())

adapter = SQLiteAdapter(sys.argv[1])
asyncio.run(adapter.init())
children = []
for _ in range(4):
    pid = os.fork()
    if pid == 0:
        sys.exit(asyncio.run(child(adapter)))
    children.append(pid)
count = asyncio.run(parent(adapter))
codes = [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in children]
asyncio.run(adapter.close())
print(codes, count)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
async def test_a_fork_is_refused_and_harms_nothing(
    path: Path, start_process: StartProcess, open_adapter: Callable[..., Awaitable[SQLiteAdapter]]
) -> None:
    """The child can open other files, not this one: SQLite believes it has locks on it that no fork passes on, and what
    the child wrote would be lost when the parent closes. Its exit leaves the parent's connection alone.
    """
    process = start_process(_FORKED, path)
    out, _ = process.communicate(timeout=60)
    assert out.startswith("[0, 0, 0, 0]")
    adapter = await open_adapter()
    assert len(await adapter.query_task_runs()) == 200
    assert not [line for line in await adapter.diagnose(thorough=True) if line.startswith("damaged")]


_CLOSED_BEFORE = """
import asyncio, os, sys, warnings
warnings.simplefilter("ignore", DeprecationWarning)
from sequential_adaptor.backends.sqlite import SQLiteAdapter

async def write(adapter, name):
    async with adapter:
        for number in range(20):
            await adapter.create_task_run({"id": f"{name}{number}", "task_identifier": "x"})

adapter = SQLiteAdapter(sys.argv[1])
asyncio.run(write(adapter, "before"))
pid = os.fork()
asyncio.run(write(adapter, "parent" if pid else "child"))
if pid == 0:
    os._exit(0)
print(os.waitpid(pid, 0)[1])
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
async def test_what_was_closed_before_a_fork_is_opened_behind_it(
    path: Path, start_process: StartProcess, open_adapter: Callable[..., Awaitable[SQLiteAdapter]]
) -> None:
    """By the parent and by the child, by one and the same adapter even; nothing of either is lost."""
    out, _ = start_process(_CLOSED_BEFORE, path).communicate(timeout=60)
    assert out == "0\n"
    assert len(await (await open_adapter()).query_task_runs()) == 60


@pytest.mark.parametrize("id", ["run\0", "run\0.1", "", "a/b", "\ud800", "x" * 300])
async def test_ids_to_claim_are_checked_before_they_reach_sqlite(adapter: SQLiteAdapter, id: str) -> None:
    """What is no id is refused, and never taken for one that it begins with."""
    await adapter.create_stack_run({"task_run_id": "run"})
    with pytest.raises(InvalidId):
        await adapter.claim_stack_runs("w", ids=[id])
    assert len(await adapter.claim_stack_runs("w", ids=["run", "nobody"])) == 1


async def test_errors_of_the_disk_are_typed(tmp_path: Path) -> None:
    """What cannot be opened says so in an error of the library, with SQLite's or the system's as its cause."""
    with pytest.raises(StorageUnavailable, match="not a file"):
        await SQLiteAdapter(tmp_path).init()
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageUnavailable, match="not a file"):
        await SQLiteAdapter(tmp_path / "file" / "tasks.db").init()
    with pytest.raises(StorageUnavailable, match="cannot be made: File name too long"):
        await SQLiteAdapter(tmp_path / ("x" * 300)).init()
