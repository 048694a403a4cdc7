"""The journal is cut when files and index are safe, and nothing changes for anybody."""

from __future__ import annotations

import asyncio
import errno
import gc
import logging
import os
import shutil
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeAlias

import pytest

from sequential_adaptor.backends.folder import FolderAdapter, keeper, store
from sequential_adaptor.backends.folder.disk import Disk
from sequential_adaptor.backends.folder.index import Index
from sequential_adaptor.backends.folder.store import Store
from sequential_adaptor.errors import StorageError
from sequential_adaptor.records import StackRun, TaskRun
from sequential_adaptor.storage import Create, Update, Wake

Checkpoint: TypeAlias = Callable[[FolderAdapter], Awaitable[None]]


def run(number: int, **fields: object) -> TaskRun:
    return TaskRun(id=f"run-{number}", task_identifier="task", **fields)  # type: ignore[arg-type]  # fields of any type


def call(run: int, number: int, **fields: object) -> StackRun:
    given = {"operation": "a.b", "result": {"n": number}, **fields}
    return StackRun(task_run_id=f"run-{run}", parent_stack_run_id=f"run-{run}", sequence=number, **given)  # type: ignore[arg-type]  # fields of any type


def segments(base: Path) -> list[str]:
    return sorted(path.name for path in (base / ".store").glob("journal-*"))


async def everything(adapter: FolderAdapter) -> list[object]:
    return [*await adapter.query_task_runs(), *await adapter.query_stack_runs()]


async def fill(adapter: FolderAdapter, runs: int = 5) -> None:
    for number in range(runs):
        ended = number % 2 == 0
        await adapter.commit(
            [
                Create(run(number, status="completed" if ended else "running", input=[number], result={"é": None})),
                Create(
                    StackRun(
                        id=f"run-{number}", task_run_id=f"run-{number}", status="completed" if ended else "pending"
                    )
                ),
                *(Create(call(number, n, status="completed")) for n in range(1, 4)),
            ],
            id=f"fill-{number}",
        )


async def test_nothing_changes(adapter: FolderAdapter, base: Path, checkpoint: Checkpoint) -> None:
    """Records, what is due, and commit ids are the same before, after, in other adapters, and after reopening."""
    async with FolderAdapter(base) as other:
        await fill(adapter)
        before = await everything(adapter)
        await checkpoint(adapter)
        assert segments(base) == ["journal-00000002"]
        for each in (adapter, other):
            assert await everything(each) == before
            await each.commit([Create(run(99))], id="fill-1")  # written already
            assert await each.get_task_run("run-99") is None
        async with FolderAdapter(base) as third:
            assert await everything(third) == before
            await third.commit([Create(run(99))], id="fill-1")
            assert await third.get_task_run("run-99") is None
            claims = await third.claim_stack_runs("worker", limit=99)
        assert {claim.stack_run.id for claim in claims} == {"run-1", "run-3"}
        assert await other.claim_stack_runs("other", limit=99) == []
        assert await everything(adapter) == await everything(other) != before


async def test_the_journal_does_not_grow_for_ever(
    adapter: FolderAdapter, base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is cut by itself, while commits go on, and what it held is safe in files and index."""
    monkeypatch.setattr(keeper, "SEGMENT", 20_000)
    monkeypatch.setattr(keeper, "DELAY", 0.01)
    for number in range(60):
        await adapter.commit([Create(run(number, input="x" * 1000)), Create(call(number, 1))], id=f"c-{number}")
        await asyncio.sleep(0.005)
    for _ in range(200):
        if len(segments(base)) == 1 and segments(base) > ["journal-00000001"]:
            break
        await asyncio.sleep(0.02)
    assert segments(base) > ["journal-00000001"]
    assert len(segments(base)) == 1
    assert len(await adapter.query_task_runs()) == 60


@pytest.mark.parametrize("at", ["replace_all", "sync_paths", "sync_path"])
async def test_a_cut_that_fails_is_made_up_for(
    adapter: FolderAdapter, base: Path, monkeypatch: pytest.MonkeyPatch, at: str
) -> None:
    """A disk that was full for a moment loses no run: the next cut lists them all."""
    await fill(adapter)
    before = await everything(adapter)
    service = adapter._use()
    await asyncio.to_thread(service.store.rotate)

    def failing(*arguments: object, **options: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(service.store.disk, at, failing)
    with pytest.raises(OSError, match="No space left"):
        await asyncio.to_thread(service.keeper.saving.checkpoint)
    monkeypatch.undo()
    await asyncio.to_thread(service.keeper.saving.checkpoint)
    assert segments(base) == ["journal-00000002"]
    assert await everything(adapter) == before
    async with FolderAdapter(base) as other:
        assert await everything(other) == before


async def test_an_index_that_was_read_before_its_sync_failed(
    adapter: FolderAdapter, base: Path, checkpoint: Checkpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What another process took from it stays in it: that one does not list the same runs again."""
    await fill(adapter, 2)
    await checkpoint(adapter)
    await adapter.create_task_run(run(50))
    disk, loop = adapter._use().store.disk, asyncio.get_running_loop()
    other = FolderAdapter(base)

    def failing(fd: int) -> None:
        if os.readlink(f"/proc/self/fd/{fd}").endswith("index"):
            asyncio.run_coroutine_threadsafe(other.init(), loop).result(timeout=30)
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        Disk.sync(disk, fd)

    with monkeypatch.context() as patch:
        patch.setattr(disk, "sync", failing)
        with pytest.raises(OSError, match="Input/output"):
            await checkpoint(adapter)
    before = await everything(adapter)
    await checkpoint(other)
    await other.close()
    for _ in range(2):
        async with FolderAdapter(base) as third:
            assert await everything(third) == before
        await checkpoint(adapter)


async def test_what_has_gone_cold_is_changed_and_claimed_as_ever(
    adapter: FolderAdapter, base: Path, checkpoint: Checkpoint
) -> None:
    """Runs that are in their files only: read, queried, changed, woken and claimed like any other."""
    await fill(adapter)
    await checkpoint(adapter)
    assert not adapter._use().store.state.warm
    changed = await adapter.update_task_run("run-0", metadata={"seen": True})
    assert (changed.input, changed.metadata) == ([0], {"seen": True})
    await adapter.commit(
        [Wake("run-1"), Update(StackRun, "run-1.2", {"position": 7}, expect={"result": {"n": 2}})], id="x"
    )
    (claim,) = await adapter.claim_stack_runs("worker", ids=["run-1"])
    assert (claim.stack_run.wakes, claim.token) == (1, 1)
    async with FolderAdapter(base) as other:
        assert await everything(other) == await everything(adapter)
        found = await other.query_stack_runs({"parent_stack_run_id": "run-1", "position": 7})
        assert [one.id for one in found] == ["run-1.2"]
        await checkpoint(other)
        assert await everything(other) == await everything(adapter)


async def test_one_that_slept_through_it_reads_anew(adapter: FolderAdapter, base: Path, checkpoint: Checkpoint) -> None:
    """A process that followed nothing while the journal was cut several times sees all of it at its next look."""
    async with FolderAdapter(base) as sleeper:
        await fill(adapter, 2)
        for number in range(10, 13):
            await adapter.create_task_run(run(number))
            await checkpoint(adapter)
        assert await everything(sleeper) == await everything(adapter)
        await sleeper.create_task_run(run(20))
        assert await adapter.get_task_run("run-20") is not None


async def test_one_that_is_stopped_while_it_opens_reads_the_index_again(
    adapter: FolderAdapter, base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It goes on after minutes with the index of then: that the journal was cut meanwhile is no damage."""
    await fill(adapter)

    class Stopped(Store):
        def _load(self, found: Index) -> None:
            adapter._use().keeper.checkpoint()
            super()._load(found)

    monkeypatch.setattr(store, "_PATIENCE", 0.0)  # as if the clock had gone on
    late = Stopped(base, power=True)
    try:
        await asyncio.to_thread(late.open)
        assert len(late.state.run_ids()) == 5
    finally:
        late.close()


async def test_a_long_history_keeps_its_files(adapter: FolderAdapter, base: Path, checkpoint: Checkpoint) -> None:
    """Calls stay in the file they were first written to, and a later call does not rewrite the older files."""
    await adapter.create_task_run(run(1))
    await adapter.commit([Create(call(1, n)) for n in range(1, 451)], id="many")
    await checkpoint(adapter)
    names = ["run-1.calls-2.json", "run-1.calls-3.json", "run-1.calls.json", "run-1.json"]
    assert sorted(path.name for path in (base / "runs").iterdir()) == names
    stamps = {path.name: path.stat().st_mtime_ns for path in (base / "runs").iterdir()}
    await adapter.commit([Create(call(1, 451))], id="one more")
    await checkpoint(adapter)
    changed = {path.name for path in (base / "runs").iterdir() if path.stat().st_mtime_ns != stamps[path.name]}
    assert changed == {"run-1.calls-3.json"}
    async with FolderAdapter(base) as other:
        found = await other.query_stack_runs({"task_run_id": "run-1"}, order_by="sequence")
        assert [one.sequence for one in found] == list(range(1, 452))


async def test_a_call_that_moves_to_another_run(adapter: FolderAdapter, base: Path, checkpoint: Checkpoint) -> None:
    """`task_run_id` may change: the call is found under the new run by every process, before and after the cut."""
    await fill(adapter, 2)
    await checkpoint(adapter)
    await adapter.update_stack_run("run-0.2", task_run_id="run-1")
    async with FolderAdapter(base) as other:
        for _ in range(2):
            for each in (adapter, other):
                moved = await each.get_stack_run("run-0.2")
                assert moved is not None
                assert moved.task_run_id == "run-1"
                assert len(await each.query_stack_runs({"task_run_id": "run-0"})) == 3
                assert len(await each.query_stack_runs({"task_run_id": "run-1"})) == 5
                assert "run-0.2" in [one.id for one in await each.query_stack_runs({"parent_stack_run_id": "run-0"})]
            await checkpoint(other)
        await adapter.update_stack_run("run-0.2", task_run_id="run-0")
        assert len(await other.query_stack_runs({"task_run_id": "run-0"})) == 4
    async with FolderAdapter(base) as third:
        assert await everything(third) == await everything(adapter)


async def test_a_call_that_was_changed_before_it_moved(
    adapter: FolderAdapter, base: Path, checkpoint: Checkpoint
) -> None:
    """The journal changes it where the files do not have it any more: whoever reads both finds it where it went."""
    await fill(adapter, 3)
    await checkpoint(adapter)
    async with FolderAdapter(base) as behind:
        for other_run in ("run-1", "run-2"):
            await adapter.update_stack_run("run-0.2", attempts=1)
            await adapter.update_stack_run("run-0.2", task_run_id=other_run)
        await adapter.update_stack_run("run-0.3", attempts=1)
        await adapter.update_stack_run("run-0.3", task_run_id="run-1")
        assert await adapter.delete_task_run("run-1")
        await asyncio.to_thread(adapter._use().keeper.saving.save)
        before = await everything(adapter)
        assert await everything(behind) == before
        async with FolderAdapter(base) as other:
            assert await everything(other) == before
            moved = await other.get_stack_run("run-0.2")
            assert moved is not None
            assert (moved.task_run_id, moved.attempts) == ("run-2", 1)
        await checkpoint(behind)
    async with FolderAdapter(base) as other:
        assert await everything(other) == before


async def test_ids_that_name_another_run(adapter: FolderAdapter, base: Path, checkpoint: Checkpoint) -> None:
    """An id is free: a stack run may be called what it likes, and have a parent in another run."""
    await fill(adapter, 2)
    await adapter.create_stack_run(StackRun(id="anything", task_run_id="run-1", parent_stack_run_id="run-0.1"))
    await checkpoint(adapter)
    async with FolderAdapter(base) as other:
        for each in (adapter, other):
            assert [one.id for one in await each.query_stack_runs({"parent_stack_run_id": "run-0.1"})] == ["anything"]
            found = await each.get_stack_run("anything")
            assert found is not None
            assert found.task_run_id == "run-1"
        (claim,) = await other.claim_stack_runs("w", ids=["anything"])
        assert claim.stack_run.id == "anything"


async def test_an_index_that_is_gone_is_made_again(
    adapter: FolderAdapter, base: Path, checkpoint: Checkpoint, caplog: pytest.LogCaptureFixture
) -> None:
    """After a clone there are only the readable files: the same records, and what was due is due."""
    await fill(adapter)
    before = await everything(adapter)
    await adapter.close()
    for path in (base / ".store").iterdir():
        path.unlink()
    (base / ".store").rmdir()
    with caplog.at_level(logging.INFO):
        async with FolderAdapter(base) as other:
            assert await everything(other) == before
            assert len(await other.claim_stack_runs("worker", limit=99)) == 2
    assert "5 runs" in caplog.text


@pytest.mark.parametrize("damage", ["cut", "changed", "gone", "garbage behind"])
async def test_a_damaged_index_is_made_again(
    adapter: FolderAdapter, base: Path, checkpoint: Checkpoint, damage: str
) -> None:
    """The index holds nothing that the files and the journal do not: it is never a reason to lose anything."""
    await fill(adapter, 3)
    await checkpoint(adapter)
    await adapter.create_task_run(run(50))
    await checkpoint(adapter)
    await adapter.create_task_run(run(51))
    before = await everything(adapter)
    await adapter.close()
    index = base / ".store" / "index"
    data = index.read_bytes()
    if damage == "gone":
        index.unlink()
    else:
        changed = {"cut": data[:-9], "changed": data.replace(b"run-0", b"run-9", 1), "garbage behind": data + b'["x",'}
        index.write_bytes(changed[damage])
    for _ in range(2):
        async with FolderAdapter(base) as other:
            assert await everything(other) == before
            await other.create_task_run(run(60))
            await checkpoint(other)
            before = await everything(other)


async def test_one_process_at_a_time_writes_files(adapter: FolderAdapter, base: Path, checkpoint: Checkpoint) -> None:
    """While another process writes files or cuts the journal, this one waits with both, and its commits do not."""
    async with FolderAdapter(base) as other:
        with other._use().store.files_lock:
            await adapter.create_task_run(run(1))
            cutting = asyncio.ensure_future(checkpoint(adapter))
            for number in range(2, 30):
                await adapter.create_task_run(run(number))
                await asyncio.sleep(0.01)
            assert not cutting.done()
            assert not list((base / "runs").iterdir())
        await cutting
        assert len(list((base / "runs").iterdir())) == 29


@pytest.mark.parametrize("cut", [False, True])
async def test_files_are_never_older_than_those_of_others(
    adapter: FolderAdapter, base: Path, checkpoint: Checkpoint, monkeypatch: pytest.MonkeyPatch, cut: bool
) -> None:
    """While a process waits for a slow sync, others go on: what it writes to files then has what they did."""
    monkeypatch.setattr(keeper, "DELAY", 1000)
    await adapter.create_task_run(run(1, metadata="old"))
    service, loop = adapter._use(), asyncio.get_running_loop()
    await asyncio.to_thread(service.store.rotate)
    saving: list[asyncio.Future[None]] = []
    async with FolderAdapter(base) as other:

        async def meanwhile() -> None:
            await other.update_task_run("run-1", metadata="new")
            await asyncio.to_thread(other._use().keeper.saving.save, everything=True)
            keep = service.keeper.saving.checkpoint if cut else service.keeper.saving.save
            saving.append(asyncio.ensure_future(asyncio.to_thread(keep)))
            await asyncio.wait(saving, timeout=0.3)

        def slow(fd: int) -> None:
            asyncio.run_coroutine_threadsafe(meanwhile(), loop).result(timeout=30)
            os.fdatasync(fd)

        with monkeypatch.context() as patch:
            patch.setattr(service.store.disk, "sync_data", slow)
            await adapter.create_task_run(run(2))
        await saving[0]
        await checkpoint(other)
    async with FolderAdapter(base) as third:
        found = await third.get_task_run("run-1")
        assert found is not None
        assert found.metadata == "new"


async def test_cold_runs_are_not_in_memory(adapter: FolderAdapter, checkpoint: Checkpoint) -> None:
    """What has ended and is in its files costs a line of the index each, whatever its payloads were."""
    large = "x" * 100_000
    for number in range(20):
        await adapter.create_task_run(run(number, status="completed", result=large + str(number)))
    await checkpoint(adapter)
    gc.collect()
    texts = [one for one in gc.get_objects() if isinstance(one, TaskRun) and isinstance(one.result, str)]
    assert not [one for one in texts if len(one.result) > 50_000]
    found = await adapter.get_task_run("run-7")
    assert found is not None
    assert found.result == large + "7"


async def test_a_store_that_was_replaced_takes_no_commit(adapter: FolderAdapter, base: Path) -> None:
    """A commit to a folder that was deleted under an open adapter is an error, not a success that nobody finds."""
    await adapter.create_task_run(run(1))
    (base / ".store").rename(base / "gone")
    with pytest.raises(StorageError, match="removed or replaced"):
        await adapter.create_task_run(run(2))
    (base / "gone").rename(base / ".store")
    await adapter.create_task_run(run(2))


async def test_a_store_that_was_replaced_is_left_alone(
    base: Path, checkpoint: Checkpoint, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Who still has the one before writes no files over those of the new one, and drops no journal of it."""
    monkeypatch.setattr(keeper, "DELAY", 1000)
    before = FolderAdapter(base)
    await before.init()
    await before.create_task_run(run(1))
    saving = before._use().keeper.saving
    await asyncio.to_thread(saving.save)
    await before.update_task_run("run-1", metadata="old")
    for _ in range(3):
        await asyncio.to_thread(before._use().store.rotate)
    shutil.rmtree(base / ".store")
    async with FolderAdapter(base) as adapter:
        await adapter.update_task_run("run-1", metadata="new")
        await checkpoint(adapter)
        await adapter.create_task_run(run(2))
        with pytest.raises(StorageError, match="removed or replaced"):
            await asyncio.to_thread(saving.checkpoint)
        await before.close()
        assert "removed or replaced" in caplog.text
        assert segments(base) == ["journal-00000002"]
    async with FolderAdapter(base) as adapter:
        assert {one.id: one.metadata for one in await adapter.query_task_runs()} == {"run-1": "new", "run-2": None}


async def test_questions_about_cold_runs_are_answered_like_any(
    adapter: FolderAdapter, base: Path, checkpoint: Checkpoint
) -> None:
    """Filters, orders and pages give the same whether runs are in memory, in the index, or half of them in each."""
    for number in range(12):
        text = ["a", 'é"\\', "running"][number % 3]
        await adapter.create_task_run(
            run(number, runner=text, status=["failed", "running"][number % 2], result=number % 4, version=str(number))
        )
    questions: list[dict[str, object]] = [
        {"filter": {"runner": "a"}},
        {"filter": {"runner": 'é"\\'}},
        {"filter": {"runner": "running"}},
        {"filter": {"runner": "none"}},
        {"filter": {"status": ["failed", "completed"], "runner": ["a", "running"]}},
        {"filter": {"result": [1, 2]}},
        {"filter": {"parent_stack_run_id": None, "id": ["run-3", "run-5", "none"]}},
        {"order_by": "runner", "newest_first": True},
        {"order_by": "version", "newest_first": True},
        {"order_by": "ended_at", "newest_first": True},
        {"order_by": "created_at", "newest_first": True},
    ]

    async def answers() -> list[list[str]]:
        found = [[one.id for one in await adapter.query_task_runs(**each)] for each in questions]  # type: ignore[arg-type]  # options of any type
        cursor = None
        for limit in (5, 5, 5):
            page = await adapter.query_task_runs(limit=limit, cursor=cursor, newest_first=True)
            found.append([one.id for one in page])
            cursor = page.cursor
        return found

    before = await answers()
    assert [len(one) for one in before] == [4, 4, 4, 0, 4, 6, 2, 12, 12, 12, 12, 5, 5, 2]
    await checkpoint(adapter)
    assert await answers() == before
    for number in range(0, 12, 2):
        await adapter.update_task_run(f"run-{number}", metadata=1)
    assert await answers() == before
