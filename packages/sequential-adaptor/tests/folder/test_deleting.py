"""A deleted run is gone: from files, index and every process, at whatever instant a process dies."""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeAlias

import pytest

from sequential_adaptor.backends.folder import FolderAdapter, answers
from sequential_adaptor.errors import StorageDamaged
from sequential_adaptor.records import StackRun, TaskRun
from sequential_adaptor.storage import Create

Checkpoint: TypeAlias = Callable[[FolderAdapter], Awaitable[None]]
CALLS = 405
"""Three files of calls."""


async def fill(adapter: FolderAdapter, id: str, calls: int = CALLS, mark: str = "old") -> None:
    rows = [
        StackRun(task_run_id=id, parent_stack_run_id=id, sequence=n, operation="a.b", result=mark, status="completed")
        for n in range(1, calls + 1)
    ]
    run = TaskRun(id=id, task_identifier="task", input=mark)
    await adapter.commit([Create(run), Create(StackRun(id=id, task_run_id=id)), *map(Create, rows)], id=f"{id}-{mark}")


async def there(adapter: FolderAdapter) -> dict[str, tuple[Any, int]]:
    """Each run's input, and how many stack runs it has, whose results all are from the same life of the run."""
    found = {}
    for run in await adapter.query_task_runs():
        rows = await adapter.query_stack_runs({"task_run_id": run.id})
        assert {row.result for row in rows} <= {run.input, None}
        found[run.id] = (run.input, len(rows))
    orphans = {row.task_run_id for row in await adapter.query_stack_runs()} - found.keys()
    assert not orphans
    return found


def files(base: Path) -> list[str]:
    return sorted(path.name for path in (base / "runs").iterdir())


async def save(adapter: FolderAdapter) -> None:
    await asyncio.to_thread(adapter._use().keeper.saving.save)


@pytest.mark.parametrize("cold", [False, True])
async def test_its_files_go(base: Path, checkpoint: Checkpoint, cold: bool) -> None:
    """Whoever writes the readable files removes all those of a deleted run, and no others."""
    async with FolderAdapter(base) as adapter:
        await fill(adapter, "gone")
        await fill(adapter, "kept", 1)
        await save(adapter)
        if cold:
            await checkpoint(adapter)
        assert await adapter.delete_task_run("gone")
        await save(adapter)
        assert files(base) == ["kept.calls.json", "kept.json"]
        await checkpoint(adapter)
        assert await there(adapter) == {"kept": ("old", 2)}
        assert len(adapter._use().store.state.schedule) == 1
    async with FolderAdapter(base) as adapter:
        assert await there(adapter) == {"kept": ("old", 2)}


@pytest.mark.parametrize("again", [None, 1, 250])
async def test_making_the_index_again_brings_nothing_back(base: Path, again: int | None) -> None:
    """After ``.store`` was deleted the run is away, or has what its second life had."""
    async with FolderAdapter(base) as adapter:
        await fill(adapter, "gone")
        await fill(adapter, "kept", 1)
    async with FolderAdapter(base) as adapter:
        assert await adapter.delete_task_run("gone")
        if again is not None:
            await fill(adapter, "gone", again, "new")
    expected = {"kept": ("old", 2)} | ({} if again is None else {"gone": ("new", again + 1)})
    shutil.rmtree(base / ".store")
    async with FolderAdapter(base) as adapter:
        assert await there(adapter) == expected


@pytest.mark.parametrize("again", [None, 0, 250])
async def test_a_process_that_is_behind_follows(base: Path, checkpoint: Checkpoint, again: int | None) -> None:
    """One that has yet to read what was written to the run before it was deleted finds its files gone, or new."""
    async with FolderAdapter(base) as adapter:
        await fill(adapter, "gone")
        await fill(adapter, "kept", 1)
        await checkpoint(adapter)
    async with FolderAdapter(base) as behind, FolderAdapter(base) as adapter:
        await adapter.update_stack_run(f"gone.{CALLS}", result="old", attempts=1)
        await adapter.create_stack_run({"task_run_id": "gone", "sequence": CALLS + 1, "operation": "a.b"})
        assert await adapter.delete_task_run("gone")
        if again is not None:
            await fill(adapter, "gone", again, "new")
        await save(adapter)
        expected = {"kept": ("old", 2)} | ({} if again is None else {"gone": ("new", again + 1)})
        assert await there(behind) == expected
        assert await there(adapter) == expected
        await checkpoint(behind)
        assert await there(adapter) == expected
    async with FolderAdapter(base) as adapter:
        assert await there(adapter) == expected


async def test_a_query_that_is_overtaken_finds_it_gone(
    base: Path, checkpoint: Checkpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Files that vanish between a look at the index and at them are no damage; those that nobody deleted are."""
    async with FolderAdapter(base) as adapter:
        await fill(adapter, "gone", 1)
        await fill(adapter, "kept", 1)
        await checkpoint(adapter)
    loop, read_group = asyncio.get_running_loop(), answers.read_group
    async with FolderAdapter(base) as slow, FolderAdapter(base) as quick:

        def overtaken(paths: Any, id: str, parts: int) -> Any:
            asyncio.run_coroutine_threadsafe(quick.delete_task_run("gone"), loop).result()
            asyncio.run_coroutine_threadsafe(save(quick), loop).result()
            return read_group(paths, id, parts)

        monkeypatch.setattr(answers, "read_group", overtaken)
        assert {row.task_run_id for row in await slow.query_stack_runs()} == {"kept"}
        monkeypatch.undo()
        (base / "runs" / "kept.json").unlink()
        with pytest.raises(StorageDamaged, match=r"kept\.json"):
            await quick.get_task_run("kept")


@pytest.mark.parametrize("again", [None, 201])
async def test_a_process_that_dies_at_any_instant(
    base: Path, tmp_path: Path, checkpoint: Checkpoint, again: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At each write, rename and removal: the run is there whole, or not at all, with its index or without."""
    async with FolderAdapter(base) as adapter:
        await fill(adapter, "gone")
        await fill(adapter, "kept", 1)
        await checkpoint(adapter)
    copies: list[Path] = []

    def dying(name: str) -> None:
        real = getattr(os, name)

        def step(*arguments: Any, **options: Any) -> Any:
            copies.append(tmp_path / f"copy-{len(copies)}")
            shutil.copytree(base, copies[-1])
            return real(*arguments, **options)

        monkeypatch.setattr(os, name, step)

    async with FolderAdapter(base) as adapter:
        for name in ("pwrite", "replace", "unlink"):
            dying(name)
        await adapter.update_stack_run("gone.1", attempts=1)
        await adapter.delete_task_run("gone")
        if again is not None:
            await fill(adapter, "gone", again, "new")
        await save(adapter)
        await checkpoint(adapter)
        monkeypatch.undo()
    assert len(copies) > 6
    kept, lives = {"kept": ("old", 2)}, [{"gone": ("old", CALLS + 1)}, {}, {"gone": ("new", (again or 0) + 1)}]
    reached = 0
    for copy in copies:
        index = copy / ".store" / "index"
        for drop_index in (False, True):
            if drop_index:
                index.unlink()
            async with FolderAdapter(copy) as adapter:
                found = await there(adapter)
            assert found in [kept | life for life in lives[reached:]]
            reached = max(reached, [kept | life for life in lives].index(found))
    assert reached == (1 if again is None else 2)
