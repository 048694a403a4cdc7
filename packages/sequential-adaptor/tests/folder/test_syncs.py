"""What a commit costs: counted, and never at the expense of the event loop."""

from __future__ import annotations

import asyncio
import errno
import os
import threading
import time
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path

import pytest

from sequential_adaptor.backends.folder import FolderAdapter
from sequential_adaptor.errors import Conflict, StorageError
from sequential_adaptor.records import StackRun, TaskRun
from sequential_adaptor.storage import Create, Update

FRAME = StackRun(id="run-1", task_run_id="run-1", status="in_progress")


def slow(sync: Callable[[int], None], fd: int) -> None:
    time.sleep(0.4)
    sync(fd)


def call(number: int) -> StackRun:
    return StackRun(task_run_id="run-1", parent_stack_run_id="run-1", sequence=number, operation="a.b")


async def test_a_step_in_a_row_is_one_sync(adapter: FolderAdapter) -> None:
    """Outcome of call n and start of call n + 1 are one commit, and one commit is one `fdatasync`."""
    await adapter.commit([Create(FRAME), Create(call(0))], id="begin")
    before, _ = adapter.syncs
    for number in range(1, 21):
        ended = Update(StackRun, f"run-1.{number - 1}", {"status": "completed", "result": number})
        await adapter.commit([ended, Create(call(number))], id=f"step-{number}")
    assert adapter.syncs[0] - before == 20


async def test_commits_side_by_side_share_a_sync(adapter: FolderAdapter) -> None:
    """A hundred at once take a few syncs; those that fail take nothing from the others."""
    await adapter.create_task_run(TaskRun(id="run-1", task_identifier="t"))
    before, _ = adapter.syncs
    commits = [
        adapter.commit(
            [Create(call(n)), Update(TaskRun, "run-1", {}, expect={"metadata": n % 10 or None})], id=f"c-{n}"
        )
        for n in range(100)
    ]
    outcomes = await asyncio.gather(*commits, return_exceptions=True)
    assert [type(one) for one in outcomes] == [Conflict if n % 10 else type(None) for n in range(100)]
    assert len(await adapter.query_stack_runs({"task_run_id": "run-1"})) == 10
    assert 1 <= adapter.syncs[0] - before <= 10


async def test_commits_of_one_group_see_one_another(adapter: FolderAdapter) -> None:
    """Of commits that are made at the same moment and exclude one another, one wins."""
    await adapter.create_task_run(TaskRun(id="run-1", task_identifier="t", metadata=0))
    commits = [
        adapter.commit([Update(TaskRun, "run-1", {"metadata": n}, expect={"metadata": 0})], id=f"c-{n}")
        for n in range(1, 30)
    ]
    outcomes = await asyncio.gather(*commits, return_exceptions=True)
    assert sum(one is None for one in outcomes) == 1
    found = await adapter.get_task_run("run-1")
    assert found is not None
    assert found.metadata == outcomes.index(None) + 1


async def test_claims_and_heartbeats_need_no_sync(adapter: FolderAdapter) -> None:
    """Nobody who holds a lease outlives a power loss; the next commit makes them durable on the way."""
    await adapter.commit([Create(call(n)) for n in range(5)], id="c")
    before, _ = adapter.syncs
    claims = await adapter.claim_stack_runs("worker", limit=3)
    assert len(await adapter.heartbeat(claims)) == 3
    assert adapter.syncs[0] == before


async def test_a_repeated_commit_is_durable_too(base: Path) -> None:
    """The answer "written already" may be the first that is heard of it: it is not given before the line is safe."""
    async with FolderAdapter(base, durability="process") as unsafe:
        await unsafe.commit([Create(call(1))], id="c-1")
        async with FolderAdapter(base) as adapter:
            before, _ = adapter.syncs
            await adapter.commit([Create(call(1))], id="c-1")
            assert adapter.syncs[0] - before == 1
            await adapter.commit([Create(call(1))], id="c-1")
            assert adapter.syncs[0] - before == 1


async def test_a_commit_beside_a_claim_is_durable(adapter: FolderAdapter) -> None:
    """What need not be synced does not take the sync away from a commit in the same group, whichever came first."""
    await adapter.commit([Create(call(n)) for n in range(9)], id="begin")
    store = adapter._use().store
    for number in range(2):
        before, _ = adapter.syncs
        with store.commit_lock:
            first = asyncio.ensure_future(adapter.claim_stack_runs("idle"))
            await asyncio.sleep(0.05)  # the writer holds this one alone, and waits for the lock
            both = [adapter.commit([Create(call(100 + number))], id=f"c-{number}"), adapter.claim_stack_runs("worker")]
            tasks = [asyncio.ensure_future(one) for one in (both if number else both[::-1])]
            await asyncio.sleep(0.05)
        await asyncio.gather(first, *tasks)
        assert adapter.syncs[0] - before == 1


async def test_durability_process_never_syncs_on_commit(base: Path) -> None:
    """`durability="process"`: the death of processes loses nothing, and no commit waits for the disk."""
    async with FolderAdapter(base, durability="process") as adapter:
        for number in range(10):
            await adapter.commit([Create(call(number))], id=f"c-{number}")
        assert adapter.syncs[0] == 0


async def test_the_event_loop_goes_on_during_a_sync(adapter: FolderAdapter, monkeypatch: pytest.MonkeyPatch) -> None:
    """A slow disk holds up the commit, and nothing else: the loop runs, and reads see what was there before."""
    await adapter.create_task_run(TaskRun(id="run-1", task_identifier="t", metadata="before"))
    disk = adapter._use().store.disk
    monkeypatch.setattr(disk, "sync_data", partial(slow, disk.sync_data))
    commit = asyncio.ensure_future(adapter.commit([Update(TaskRun, "run-1", {"metadata": "after"})], id="c"))
    reads = 0
    while not commit.done():
        found = await adapter.get_task_run("run-1")
        assert found is not None
        assert commit.done() or found.metadata == "before"
        await asyncio.sleep(0.005)
        reads += 1
    assert reads > 3
    found = await adapter.get_task_run("run-1")
    assert found is not None
    assert found.metadata == "after"


async def test_processes_sync_side_by_side(base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A slow sync of one process does not keep another from committing, and each still waits for its own."""
    async with FolderAdapter(base) as one, FolderAdapter(base) as two:
        both = threading.Barrier(2, timeout=60)  # neither ends before the other has begun

        def meet(sync: Callable[[int], None], fd: int) -> None:
            both.wait()
            sync(fd)

        for adapter in (one, two):
            disk = adapter._use().store.disk
            monkeypatch.setattr(disk, "sync_data", partial(meet, disk.sync_data))
        await asyncio.gather(one.commit([Create(call(1))], id="c-1"), two.commit([Create(call(2))], id="c-2"))
        monkeypatch.undo()
        assert [len(await each.query_stack_runs()) for each in (one, two)] == [2, 2]
        assert one.syncs[0] == two.syncs[0] == 1


async def test_a_failed_sync_refuses_everything_after_it(
    adapter: FolderAdapter, base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a failed `fdatasync` nobody knows what the disk has: no success is told until the store is opened again."""
    await adapter.create_task_run(TaskRun(id="run-1", task_identifier="t"))
    disk = adapter._use().store.disk

    def failing(fd: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(disk, "sync_data", failing)
    with pytest.raises(StorageError, match="failed to store"):
        await adapter.update_task_run("run-1", metadata=1)
    monkeypatch.undo()
    for _ in range(2):
        with pytest.raises(StorageError, match="open it again"):
            await adapter.update_task_run("run-1", metadata=2)
        with pytest.raises(StorageError, match="open it again"):
            await adapter.get_task_run("run-1")
    await adapter.close()
    async with FolderAdapter(base) as again:
        await again.update_task_run("run-1", metadata=3)


async def test_a_cut_whose_sync_failed_is_not_made_twice(
    adapter: FolderAdapter, base: Path, checkpoint: Callable[[FolderAdapter], Awaitable[None]]
) -> None:
    """Others go on in the segment that it began; whoever began it touches nothing, and tells nobody what is old."""
    disk = adapter._use().store.disk

    def failing(fd: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    async with FolderAdapter(base) as other:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(disk, "sync_data", failing)
            with pytest.raises(StorageError, match="failed to store"):
                await checkpoint(adapter)
        await other.create_task_run(TaskRun(id="run-1", task_identifier="t"))
        with pytest.raises(StorageError, match="open it again"):
            await checkpoint(adapter)
        with pytest.raises(StorageError, match="open it again"):
            await adapter.get_task_run("run-1")
        async with FolderAdapter(base) as third:
            assert await third.get_task_run("run-1") is not None


async def test_a_write_that_fails_half_way_takes_back_nothing_that_was_read(
    adapter: FolderAdapter, base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A commit that another process has seen stays, and those it makes then are where everybody looks."""
    store, loop, pwrite = adapter._use().store, asyncio.get_running_loop(), os.pwrite
    seen: list[TaskRun | None] = []
    async with FolderAdapter(base) as other:

        def full(fd: int, data: memoryview, offset: int) -> int:
            first = bytes(data).find(b"\n") + 1
            if 0 < first < len(data):
                return pwrite(fd, data[:first], offset)
            if b"run-3" in bytes(data) and not seen:
                seen.append(asyncio.run_coroutine_threadsafe(other.get_task_run("run-2"), loop).result(timeout=30))
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            return pwrite(fd, data, offset)

        monkeypatch.setattr(os, "pwrite", full)
        with store.commit_lock.threads:  # the first commit waits, and those behind it are one write
            runs = [TaskRun(id=f"run-{number}", task_identifier="t") for number in range(1, 4)]
            commits = [asyncio.ensure_future(adapter.create_task_run(runs[0]))]
            await asyncio.sleep(0.1)
            commits += [asyncio.ensure_future(adapter.create_task_run(run)) for run in runs[1:]]
            await asyncio.sleep(0.1)
        first, *failed = await asyncio.gather(*commits, return_exceptions=True)
        assert isinstance(first, TaskRun)
        assert all(isinstance(one, StorageError) for one in failed)
        assert len(seen) == 1
        await other.create_task_run(TaskRun(id="run-4", task_identifier="t"))
        with pytest.raises(StorageError, match="open it again"):
            await adapter.create_task_run(TaskRun(id="run-5", task_identifier="t"))
        async with FolderAdapter(base) as third:
            for each in (other, third):
                assert [run.id for run in await each.query_task_runs()] == ["run-1", "run-2", "run-4"]


async def test_a_cancelled_commit_is_whole(adapter: FolderAdapter) -> None:
    """Who stops waiting for a commit does not stop it half-way, nor the others in its group."""
    commits = [asyncio.ensure_future(adapter.commit([Create(call(n))], id=f"c-{n}")) for n in range(10)]
    await asyncio.sleep(0)
    commits[3].cancel()
    outcomes = await asyncio.gather(*commits, return_exceptions=True)
    assert [type(one) for one in outcomes].count(asyncio.CancelledError) == 1
    await adapter.commit([Create(call(3))], id="c-3")
    assert len(await adapter.query_stack_runs({"task_run_id": "run-1"})) == 10
