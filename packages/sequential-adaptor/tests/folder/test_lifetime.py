"""Opening, closing, forking, and two adapters on one folder."""

from __future__ import annotations

import asyncio
import os
import resource
import sys
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest

from sequential_adaptor.backends.folder import FolderAdapter, keeper, service
from sequential_adaptor.errors import ConfigurationError, StorageClosed, StorageError
from sequential_adaptor.records import StackRun, TaskRun
from sequential_adaptor.storage import Create

RUN = TaskRun(id="run-1", task_identifier="t")


def threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("sequential-folder")]


def files() -> list[str]:
    return [target for fd in os.listdir("/proc/self/fd") if ".store" in (target := _target(fd))]


def _target(fd: str) -> str:
    try:
        return os.readlink(f"/proc/self/fd/{fd}")
    except FileNotFoundError:
        return ""


async def test_close_gives_everything_back(base: Path) -> None:
    """Threads and files, whether or not anything was written; twice is harmless; afterwards everything else raises."""
    for write in (False, True):
        adapter = FolderAdapter(base)
        await adapter.init()
        await adapter.init()
        assert len(threads()) == 2
        if write:
            await adapter.create_task_run(RUN)
        await adapter.close()
        await adapter.close()
        assert (threads(), files()) == ([], [])
        for attempt in (adapter.init, adapter.now, partial(adapter.get_task_run, "run-1")):
            with pytest.raises(StorageClosed):
                await attempt()
        with pytest.raises(StorageClosed):
            await adapter.create_task_run(RUN)
        with pytest.raises(StorageClosed):
            await adapter.wait_for_work(1)


async def test_an_opening_that_is_given_up_gives_everything_back(base: Path) -> None:
    """Somebody has the store locked, and it is not waited for: what is opened at last is closed."""
    async with FolderAdapter(base) as other:
        mine = (threads(), len(files()))
        adapter = FolderAdapter(base)
        with other._use().store.commit_lock:
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(adapter.init(), 0.2)
            assert len(files()) > mine[1]
        while (threads(), len(files())) != mine:
            await asyncio.sleep(0.01)
        async with adapter:
            await adapter.create_task_run(RUN)


async def test_before_it_is_opened(base: Path) -> None:
    """The error says how to open it."""
    with pytest.raises(StorageError, match="await adapter.init"):
        await FolderAdapter(base).get_task_run("run-1")


def test_durability_is_one_of_two(base: Path) -> None:
    """The error names them."""
    with pytest.raises(ConfigurationError, match="'power' or 'process'"):
        FolderAdapter(base, durability="fast")


async def test_a_folder_that_cannot_be_made(base: Path) -> None:
    """A file in the way is a storage error, and nothing stays open."""
    base.write_text("in the way")
    with pytest.raises(StorageError, match="could not be opened"):
        await FolderAdapter(base).init()
    assert (threads(), files()) == ([], [])


def test_one_adapter_in_several_event_loops(base: Path) -> None:
    """`asyncio.run` again and again over one open adapter, as synchronous callers do."""
    adapter = FolderAdapter(base)
    asyncio.run(adapter.init())
    asyncio.run(adapter.create_task_run(RUN))
    found = asyncio.run(adapter.get_task_run("run-1"))
    assert found is not None
    asyncio.run(adapter.close())


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
async def test_a_forked_child_must_open_its_own(base: Path) -> None:
    """The parent's adapter is refused in the child, and the child keeps no lock of the parent alive."""
    async with FolderAdapter(base) as adapter:
        await adapter.create_task_run(RUN)
        child = os.fork()
        if child == 0:
            os._exit(_child(adapter, base))
        _, status = os.waitpid(child, 0)
        assert os.waitstatus_to_exitcode(status) == 0
        assert await adapter.get_task_run("from-the-child") is not None
        await adapter.create_task_run(TaskRun(id="run-2", task_identifier="t"))


def _child(adapter: FolderAdapter, base: Path) -> int:
    """In the forked process: 0 where everything is as it should be."""
    try:
        adapter._use()
        return 1
    except StorageError as error:
        if "forked" not in str(error):
            return 2
    if files():
        return 3
    return 4 if os.spawnv(os.P_WAIT, sys.executable, [sys.executable, "-c", _FROM_THE_CHILD, str(base)]) else 0


_FROM_THE_CHILD = """
import asyncio, sys
from sequential_adaptor.backends.folder import FolderAdapter, service
async def main():
    async with FolderAdapter(sys.argv[1]) as adapter:
        await adapter.create_task_run({"id": "from-the-child", "task_identifier": "t"})
asyncio.run(main())
"""


@contextmanager
def no_file_left() -> Iterator[None]:
    """This process may open no more files than it has."""
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    spare = os.open(os.devnull, os.O_RDONLY)
    os.close(spare)  # the lowest number that is free
    resource.setrlimit(resource.RLIMIT_NOFILE, (spare, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)


@pytest.mark.parametrize("how", ["the next segment", "a run's file"])
async def test_too_many_open_files_skip_nothing(
    base: Path, checkpoint: Callable[[FolderAdapter], Awaitable[None]], monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    """Who could not follow for want of a file follows later, from where it was; and commits nothing before that."""
    monkeypatch.setattr(keeper, "DELAY", 1000)
    async with FolderAdapter(base) as adapter:
        await adapter.create_task_run(RUN)
        await checkpoint(adapter)
        async with FolderAdapter(base) as other:
            await asyncio.to_thread(int)  # the pool has its thread
            await adapter.update_task_run("run-1", metadata=1)
            if how == "the next segment":
                await other.get_task_run("run-1")
                await asyncio.to_thread(adapter._use().store.rotate)
            await adapter.create_task_run(TaskRun(id="run-2", task_identifier="t"))
            with no_file_left():
                with pytest.raises(OSError, match="Too many open files"):
                    await other.get_task_run("run-2")
                with pytest.raises(StorageError, match="Too many open files"):
                    await other.create_task_run(TaskRun(id="run-3", task_identifier="t"))
            await other.create_task_run(TaskRun(id="run-4", task_identifier="t"))
            async with FolderAdapter(base) as third:
                for each in (adapter, other, third):
                    found = {one.id: one.metadata for one in await each.query_task_runs()}
                    assert found == {"run-1": 1, "run-2": None, "run-4": None}


async def test_two_adapters_on_one_folder(base: Path) -> None:
    """In one process they are like two processes: each sees the other's commits at once, and neither waits for
    itself.
    """
    async with FolderAdapter(base) as one, FolderAdapter(base) as two:
        for number in range(20):
            writer, reader = (one, two) if number % 2 else (two, one)
            await writer.create_task_run(TaskRun(id=f"run-{number}", task_identifier="t"))
            assert await reader.get_task_run(f"run-{number}") is not None
        calls = [StackRun(id=f"run-1.{n}", task_run_id="run-1", operation="a") for n in range(50)]
        await one.commit([Create(call) for call in calls], id="calls")
        claims = await asyncio.gather(
            *(each.claim_stack_runs(f"w{n}", limit=5) for n, each in enumerate([one, two] * 10))
        )
        ids = [claim.stack_run.id for found in claims for claim in found]
        assert sorted(ids) == sorted(call.id for call in calls)


@pytest.mark.parametrize("told", [True, False])
async def test_an_idle_worker_wakes_for_another_process(
    base: Path, monkeypatch: pytest.MonkeyPatch, told: bool
) -> None:
    """Within a few hundredths of a second of the commit, also where the kernel does not tell of writes."""
    if not told:
        monkeypatch.setattr(service, "open_watch", lambda folder: None)
    async with FolderAdapter(base) as one, FolderAdapter(base) as two:
        waits = []
        for number in range(5):
            waiting = asyncio.ensure_future(two.wait_for_work(10))
            await asyncio.sleep(0.03)
            began = time.perf_counter()
            await one.commit([Create(StackRun(id=f"r.{number}", task_run_id="r", operation="a"))], id=f"c-{number}")
            committed = time.perf_counter()
            await waiting
            waits.append(time.perf_counter() - max(began, committed))
        assert min(waits) < 0.1


async def test_all_who_wait_are_told(base: Path) -> None:
    """Several workers of one process, in one event loop and in another thread's, wait on one adapter."""
    async with FolderAdapter(base) as one, FolderAdapter(base) as two:
        waiting = [asyncio.ensure_future(two.wait_for_work(10)) for _ in range(3)]
        thread = asyncio.ensure_future(asyncio.to_thread(asyncio.run, two.wait_for_work(10)))
        await asyncio.sleep(0.2)
        began = time.perf_counter()
        await one.commit([Create(StackRun(task_run_id="r", operation="a"))], id="c")
        await asyncio.gather(*waiting, thread)
        assert time.perf_counter() - began < 5


async def test_a_timer_ends_the_waiting(adapter: FolderAdapter) -> None:
    """What becomes due while a worker waits wakes it, though nobody commits anything."""
    due_at = await adapter.now()
    due_at = due_at.replace(microsecond=0).fromtimestamp(due_at.timestamp() + 0.3, due_at.tzinfo)
    await adapter.create_stack_run(StackRun(id="r.1", task_run_id="r", operation="a", due_at=due_at))
    await adapter.wait_for_work(0)
    began = time.monotonic()
    while not (found := await adapter.claim_stack_runs("w")):
        assert time.monotonic() - began < 5
        await adapter.wait_for_work(5)
    assert found[0].stack_run.id == "r.1"
    assert time.monotonic() - began < 4  # and not the five seconds of a wait
