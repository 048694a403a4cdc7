"""What running costs in durable writes: counted, not timed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from sequential_adaptor import Engine, FolderAdapter, ServiceClient

ROW = "async def main(n):\n    for i in range(n):\n        await call_host_tool('echo', 'give', [i])"
SIDE_BY_SIDE = (
    "import asyncio\nasync def main(n):\n"
    "    await asyncio.gather(*(call_host_tool('echo', 'give', [i]) for i in range(n)))"
)


async def give(method: str, params: Any) -> Any:
    return params


@pytest.mark.parametrize("steps", [0, 1, 10, 40])
async def test_a_step_in_a_row_is_one_durable_write(steps: int, tmp_path: Path) -> None:
    """One for the submission, one for the first call, one for each further call, one for the end."""
    async with (
        ServiceClient() as services,
        FolderAdapter(tmp_path) as store,
        Engine(store, services=services) as engine,
    ):
        services.register_service("echo", give)
        await engine.publish("row", ROW)
        before, _ = store.syncs
        await engine.run("row", steps)
        assert store.syncs[0] - before == 1 + steps + 1


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
        assert store.syncs[0] - before <= 20


async def test_an_idle_worker_writes_nothing(tmp_path: Path) -> None:
    async with FolderAdapter(tmp_path) as store, Engine(store) as engine:
        before = store.syncs
        await engine.work(until_idle=True)
        assert store.syncs == before
