"""What running costs in durable writes: counted, not timed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from sequential_adaptor import Engine, FolderAdapter, ServiceClient, StorageAdapter
from sequential_adaptor.engine.holding import moving, tools
from sequential_adaptor.engine.holding.tools import Tools
from sequential_adaptor.engine.working import listening
from sequential_adaptor.testing.memory import MemoryAdapter

ROW = "async def main(n):\n    for i in range(n):\n        await call_host_tool('echo', 'give', [i])"
SIDE_BY_SIDE = (
    "import asyncio\nasync def main(n):\n"
    "    await asyncio.gather(*(call_host_tool('echo', 'give', [i]) for i in range(n)))"
)


async def give(method: str, params: Any) -> Any:
    return params


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a busy machine too a submission waits for its first turn."""
    monkeypatch.setattr(moving, "_MOMENT", 60.0)


@pytest.mark.parametrize("steps", [0, 1, 10, 40])
async def test_a_step_in_a_row_is_one_durable_write(steps: int, tmp_path: Path) -> None:
    """One for the submission and the first call, one for each further call, one for the end; a single one for all."""
    async with (
        ServiceClient() as services,
        FolderAdapter(tmp_path) as store,
        Engine(store, services=services) as engine,
    ):
        services.register_service("echo", give)
        await engine.publish("row", ROW)
        before, _ = store.syncs
        await engine.run("row", steps)
        assert store.syncs[0] - before == steps + 1


async def test_a_run_that_is_carried_through_here_asks_the_store_for_nothing_it_knows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The function at the start, then commits only: no claim, no record read again, no result polled."""
    asked: list[str] = []
    monkeypatch.setattr(listening, "_MOMENT", 60.0)  # a run that takes longer also listens to what others do
    for name in (
        "claim_stack_runs",
        "get_task_run",
        "get_stack_run",
        "query_stack_runs",
        "get_task_function",
        "commit",
    ):
        monkeypatch.setattr(FolderAdapter, name, counted(asked, name))
    async with (
        ServiceClient() as services,
        FolderAdapter(tmp_path) as store,
        Engine(store, services=services) as engine,
    ):
        services.register_service("echo", give)
        await engine.publish("row", ROW)
        await engine.run("row", 0)  # by now the code is known
        asked.clear()
        await engine.run("row", 3)
    assert asked == ["get_task_function", *["commit"] * 4]


def counted(asked: list[str], name: str, kind: type[StorageAdapter] = FolderAdapter) -> Any:
    method = getattr(kind, name)

    async def called(self: StorageAdapter, *args: Any, **options: Any) -> Any:
        asked.append(name)
        return await method(self, *args, **options)

    return called


async def test_the_clock_of_the_store_is_read_once_for_runs_that_follow_each_other(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[str] = []
    monkeypatch.setattr(MemoryAdapter, "now", counted(asked, "now", MemoryAdapter))
    async with MemoryAdapter() as store, ServiceClient() as services:
        known = Tools(store, services)
        first = await known.clock()
        assert await known.clock() is first
        assert len(asked) == 1
        monkeypatch.setattr(tools, "_FRESH", 0.0)
        assert await known.clock() is not first
        assert len(asked) == 2


async def test_calls_side_by_side_share_durable_writes(tmp_path: Path) -> None:
    async with (
        ServiceClient() as services,
        FolderAdapter(tmp_path) as store,
        Engine(store, services=services) as engine,
    ):
        services.register_service("echo", give)
        await engine.publish("many", SIDE_BY_SIDE)
        before, _ = store.syncs
        await engine.run("many", 32)
        assert store.syncs[0] - before <= 19


async def test_an_idle_worker_writes_nothing(tmp_path: Path) -> None:
    async with FolderAdapter(tmp_path) as store, Engine(store) as engine:
        before = store.syncs
        await engine.work(until_idle=True)
        assert store.syncs == before
