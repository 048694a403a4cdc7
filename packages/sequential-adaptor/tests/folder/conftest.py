"""Stores to be damaged, and what was acknowledged in them."""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from sequential_adaptor.backends.folder import FolderAdapter
from sequential_adaptor.backends.folder.rows import unseal
from sequential_adaptor.backends.folder.store import Store
from sequential_adaptor.records import StackRun, TaskRun
from sequential_adaptor.storage import Create, Update


@dataclass(frozen=True)
class Written:
    """A store that nobody has open, its journal, and where in it each acknowledged commit ends."""

    base: Path
    journal: Path
    ends: list[int]

    def data(self) -> bytes:
        return self.journal.read_bytes()


@pytest.fixture
def base(tmp_path: Path) -> Path:
    return tmp_path / "tasks"


@pytest.fixture
async def adapter(base: Path) -> AsyncIterator[FolderAdapter]:
    async with FolderAdapter(base) as adapter:
        yield adapter


@pytest.fixture
async def written(tmp_path: Path) -> Written:
    """Commit n creates call n, whose result is ``[n, ...]``, and says in the run's metadata that it was there."""
    base = tmp_path / "written"
    ends: list[int] = []
    adapter = FolderAdapter(base)
    await adapter.init()
    store = adapter._use().store
    await adapter.create_task_run(TaskRun(id="run-1", task_identifier="task", metadata=0))
    for number in range(1, 6):
        call = StackRun(
            task_run_id="run-1",
            parent_stack_run_id="run-1",
            sequence=number,
            operation="a.b",
            result=[number, "é" * 10 * number],
        )
        await adapter.commit([Create(call), Update(TaskRun, "run-1", {"metadata": number})], id=f"commit-{number}")
        ends.append(store.journal.position)
    journal = store.paths.segment(1)
    kept = tmp_path / "kept"
    shutil.copytree(base, kept)
    await adapter.close()
    shutil.rmtree(base)
    kept.rename(base)
    os.truncate(journal, ends[-1] + 4096)  # less to copy; what it holds is NUL
    return Written(base, journal, ends)


@pytest.fixture
def numbers() -> Callable[[Path], list[int]]:
    """What a store says was committed: the numbers of the calls, the last of which the run's metadata must name."""

    def numbers(base: Path) -> list[int]:
        store = Store(base, power=False)
        try:
            store.open()
            with store.state.lock:
                run = store.state.task_run("run-1")
                rows = [store.state.stack_run(f"run-1.{number}") for number in range(1, 6)]
            found = [unseal(row).result[0] for row in rows if row is not None]
            assert run is not None
            assert [unseal(run).metadata] == (found[-1:] or [0])
            return found
        finally:
            store.close()

    return numbers


@pytest.fixture
def checkpoint() -> Callable[[FolderAdapter], Awaitable[None]]:
    """Have an adapter cut the journal now, as it does by itself when the journal is long or old."""

    async def checkpoint(adapter: FolderAdapter) -> None:
        await asyncio.to_thread(adapter._use().keeper.checkpoint)

    return checkpoint
