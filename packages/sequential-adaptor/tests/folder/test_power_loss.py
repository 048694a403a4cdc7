"""Power loss at any moment: what was acknowledged is there, whatever the disk made of what was not synced."""

from __future__ import annotations

import asyncio
import os
import random
import shutil
import threading
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack
from functools import partial
from itertools import cycle
from pathlib import Path
from typing import TypeAlias

import pytest

from sequential_adaptor.backends.folder import FolderAdapter, index, keeper, store
from sequential_adaptor.backends.folder.disk import TEMPORARY, Disk
from sequential_adaptor.backends.folder.lines import SECTOR
from sequential_adaptor.records import StackRun, TaskRun
from sequential_adaptor.storage import Create, Update


class FragileDisk(Disk):
    """A disk that knows what it may lose: contents not synced, and names whose folder was not synced since."""

    made: FragileDisk

    def __init__(self) -> None:
        super().__init__()
        self._lock = threading.RLock()
        self._synced: set[Path] = set()
        self._unsafe: set[Path] = set()
        self._before: dict[Path, bytes | None] = {}
        self._grown: dict[Path, bytes] = {}
        FragileDisk.made = self

    def sync_data(self, fd: int) -> None:
        with self._lock:
            super().sync_data(fd)
            self._is_safe(Path(os.readlink(f"/proc/self/fd/{fd}")))

    def sync(self, fd: int) -> None:
        with self._lock:
            super().sync(fd)
            self._is_safe(Path(os.readlink(f"/proc/self/fd/{fd}")))

    def sync_paths(self, paths: Sequence[Path]) -> None:
        for path in paths:  # never the whole file system, which would not be seen here
            self.sync_path(path)

    def _is_safe(self, path: Path) -> None:
        self._synced.add(path)
        self._unsafe.discard(path)
        if _grows(path):
            self._grown[path] = path.read_bytes()
        for name in [name for name in self._before if name.parent == path]:
            del self._before[name]

    def replace_all(self, files: Mapping[Path, bytes], *, sync: bool) -> None:
        with self._lock:
            for path, data in files.items():
                self._before.setdefault(path, path.read_bytes() if path.exists() else None)
                self._synced.discard(temporary := path.with_name(f"{path.name}{TEMPORARY}"))
                super().replace_all({path: data}, sync=sync)
                (self._unsafe.discard if temporary in self._synced else self._unsafe.add)(path)
                if _grows(path):
                    self._grown[path] = data

    def remove(self, path: Path) -> bool:
        with self._lock:
            self._before.setdefault(path, path.read_bytes() if path.exists() else None)
            return super().remove(path)

    def lose_power(self, base: Path, copy: Path, chance: random.Random) -> None:
        """Leave in ``copy`` what may be found when the power is back."""
        with self._lock:
            shutil.copytree(base, copy)
            lost = {path: before for path, before in self._before.items() if chance.random() < 0.5}
            for path, before in lost.items():
                _restore(copy / path.relative_to(base), before)
            for path in self._unsafe:
                found = copy / path.relative_to(base)
                if found.exists() and chance.random() < 0.7:
                    os.truncate(found, chance.randrange(found.stat().st_size))
            for path, safe in self._grown.items():
                found = copy / path.relative_to(base)
                if found.exists() and path not in lost:
                    found.write_bytes(_mixed(found.read_bytes(), safe, chance))


def _grows(path: Path) -> bool:
    """Whether a file is written to in place."""
    return path.name == "index" or path.name.startswith("journal-")


def _restore(path: Path, before: bytes | None) -> None:
    if before is None:
        path.unlink(missing_ok=True)
    else:
        path.write_bytes(before)


def _mixed(now: bytes, safe: bytes, chance: random.Random) -> bytes:
    """Any sector of what was not synced may have reached the disk, or not."""
    safe = safe.ljust(len(now), b"\0")
    parts = [slice(start, start + SECTOR) for start in range(0, len(now), SECTOR)]
    return b"".join((now if chance.random() < 0.5 else safe)[part] for part in parts)


GOING, GONE = -2, -1
Crash: TypeAlias = tuple[Path, dict[str, int]]


async def commit_for_ever(adapter: FolderAdapter, name: str, acknowledged: dict[str, int]) -> None:
    """Runs of three calls, one after the other, and one beside them that goes on; some are deleted a little later."""
    await create(adapter, f"{name}-steady", acknowledged)
    for number in range(100_000):
        id = f"{name}-{number}"
        await create(adapter, id, acknowledged)
        for step in range(1, 4):
            await move_on(adapter, id, step, acknowledged)
        await move_on(adapter, f"{name}-steady", number + 1, acknowledged)
        if number % 4 == 3:
            old = f"{name}-{number - 2}"
            acknowledged[old] = GOING
            assert await adapter.delete_task_run(old)
            acknowledged[old] = GONE


async def create(adapter: FolderAdapter, id: str, acknowledged: dict[str, int]) -> None:
    await adapter.commit([Create(TaskRun(id=id, task_identifier="t", input="x" * 300, metadata=0))], id=id)
    acknowledged[id] = 0


async def move_on(adapter: FolderAdapter, id: str, step: int, acknowledged: dict[str, int]) -> None:
    call = StackRun(id=f"{id}.{step}", task_run_id=id, operation="a", result=["y" * 300, step])
    await adapter.commit([Create(call), Update(TaskRun, id, {"metadata": step})], id=f"{id}.{step}")
    acknowledged[id] = step


async def check(base: Path, acknowledged: dict[str, int]) -> None:
    async with FolderAdapter(base) as adapter:
        found = {run.id: run for run in await adapter.query_task_runs()}
        assert {id for id, step in acknowledged.items() if step >= 0} <= found.keys()
        assert not {id for id, step in acknowledged.items() if step == GONE} & found.keys()
        for id, run in found.items():
            calls = await adapter.query_stack_runs({"task_run_id": id})
            assert run.metadata >= acknowledged.get(id, 0)
            assert [call.result for call in calls] == [["y" * 300, step] for step in range(1, run.metadata + 1)]
            await adapter.commit([], id=id)  # known, or harmless
        assert len(await adapter.query_task_runs()) == len(found)


@pytest.fixture
def fragile(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Stores on fragile disks, which save and cut all the time."""
    monkeypatch.setattr(keeper, "SEGMENT", 15_000)
    monkeypatch.setattr(keeper, "DELAY", 0.005)
    monkeypatch.setattr(store, "Disk", FragileDisk)
    yield
    monkeypatch.undo()


async def crashes(adapters: Sequence[FolderAdapter], base: Path, copies: Path, chance: random.Random) -> list[Crash]:
    """What is left after each of a dozen power losses, and what was acknowledged by then."""
    acknowledged: dict[str, int] = {}
    disk = FragileDisk.made
    lanes = [
        asyncio.ensure_future(commit_for_ever(adapter, name, acknowledged))
        for adapter, name in zip(cycle(adapters), "abcd", strict=False)
    ]
    found = []
    for number in range(12):
        await asyncio.sleep(chance.random() / 8)
        known = dict(acknowledged)
        await asyncio.to_thread(disk.lose_power, base, copies / f"{number}", chance)
        for id, step in acknowledged.items():
            if step < 0 <= known.get(id, GOING):
                known[id] = GOING  # it was deleted while the power went
        found.append((copies / f"{number}", known))
    for lane in lanes:
        lane.cancel()
    await asyncio.gather(*lanes, return_exceptions=True)
    assert len(acknowledged) > 20
    return found


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("processes", [1, 2])
@pytest.mark.usefixtures("fragile")
async def test_what_was_acknowledged_is_there(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, processes: int, seed: int
) -> None:
    """While runs are created, moved on and deleted, files written, the journal cut and the index rewritten; and while
    each of two processes puts into the index what the other has in memory.
    """
    if seed % 2:
        monkeypatch.setattr(index, "_SLACK", -1_000_000)  # write it anew each time
    disk = FragileDisk()
    monkeypatch.setattr(store, "Disk", lambda: disk)
    async with AsyncExitStack() as stack:
        adapters = [await stack.enter_async_context(FolderAdapter(base)) for _ in range(processes)]
        found = await crashes(adapters, base, tmp_path, random.Random(seed))
    monkeypatch.undo()
    for copy, known in found:
        await check(copy, known)


async def test_a_run_that_is_deleted_while_the_journal_is_cut(
    base: Path,
    tmp_path: Path,
    checkpoint: Callable[[FolderAdapter], Awaitable[None]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its files are made safe before the index names it: the deletion may be what a power loss takes."""
    monkeypatch.setattr(store, "Disk", FragileDisk)
    async with FolderAdapter(base, durability="process") as adapter:
        await create(adapter, "a", {})
        await asyncio.to_thread(adapter._use().keeper.saving.save)
        loop, disk = asyncio.get_running_loop(), FragileDisk.made

        def delete_then(paths: Sequence[Path]) -> None:
            """The first sync of a checkpoint: what it writes and lists is settled, and nothing of it is written."""
            FragileDisk.sync_paths(disk, paths)
            monkeypatch.setattr(disk, "sync_paths", partial(FragileDisk.sync_paths, disk))
            assert asyncio.run_coroutine_threadsafe(adapter.delete_task_run("a"), loop).result(timeout=30)

        monkeypatch.setattr(disk, "sync_paths", delete_then)
        await checkpoint(adapter)
        for seed in range(20):
            await asyncio.to_thread(disk.lose_power, base, tmp_path / f"{seed}", random.Random(seed))
    monkeypatch.undo()
    for seed in range(20):
        await check(tmp_path / f"{seed}", {})


@pytest.mark.parametrize("killed", [False, True])
async def test_a_run_that_another_process_has_put_into_the_index(
    base: Path,
    tmp_path: Path,
    checkpoint: Callable[[FolderAdapter], Awaitable[None]],
    monkeypatch: pytest.MonkeyPatch,
    killed: bool,
) -> None:
    """Its file is replaced by a safe one only, by those too who know the run from the journal: that has it no more.
    So it is when the other was killed before it dropped the journal.
    """
    monkeypatch.setattr(keeper, "DELAY", 1000)
    async with FolderAdapter(base) as other:
        monkeypatch.setattr(store, "Disk", FragileDisk)
        async with FolderAdapter(base) as adapter:
            disk = FragileDisk.made
            await create(adapter, "a", {})
            with monkeypatch.context() as patch:
                if killed:
                    patch.setattr(other._use().store.disk, "remove", lambda path: False)
                await checkpoint(other)
            await move_on(adapter, "a", 1, {})
            await asyncio.to_thread(adapter._use().keeper.saving.save)
            for seed in range(20):
                await asyncio.to_thread(disk.lose_power, base, tmp_path / f"{seed}", random.Random(seed))
    monkeypatch.undo()
    for seed in range(20):
        await check(tmp_path / f"{seed}", {"a": 1})


async def test_a_commit_that_comes_while_the_index_is_written_anew(
    base: Path,
    tmp_path: Path,
    checkpoint: Callable[[FolderAdapter], Awaitable[None]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The index does not know it: where a power loss takes it from the journal, it can be made once more."""
    monkeypatch.setattr(index, "_SLACK", -1_000_000)
    monkeypatch.setattr(store, "Disk", FragileDisk)
    async with FolderAdapter(base, durability="process") as adapter:
        loop, disk = asyncio.get_running_loop(), FragileDisk.made

        def commit_then(paths: Sequence[Path]) -> None:
            """The first sync of a checkpoint is that of the journal."""
            FragileDisk.sync_paths(disk, paths)
            monkeypatch.setattr(disk, "sync_paths", partial(FragileDisk.sync_paths, disk))
            asyncio.run_coroutine_threadsafe(create(adapter, "a", {}), loop).result(timeout=30)

        monkeypatch.setattr(disk, "sync_paths", commit_then)
        await create(adapter, "b", {})
        await checkpoint(adapter)
        for seed in range(20):
            await asyncio.to_thread(disk.lose_power, base, tmp_path / f"{seed}", random.Random(seed))
    monkeypatch.undo()
    for seed in range(20):
        async with FolderAdapter(tmp_path / f"{seed}") as adapter:
            await create(adapter, "a", {})
        await check(tmp_path / f"{seed}", {"a": 0, "b": 0})


@pytest.mark.usefixtures("fragile")
async def test_without_sync_each_commit_is_whole(base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`durability="process"`: a power loss may take the last commits, never a half of one, and never the store."""
    async with FolderAdapter(base, durability="process") as adapter:
        found = await crashes([adapter], base, tmp_path, random.Random(9))
    monkeypatch.undo()
    for copy, _ in found:
        await check(copy, {})
