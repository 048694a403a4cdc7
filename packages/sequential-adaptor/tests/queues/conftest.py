"""Stores, and tasks that go through queues."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import AsyncExitStack
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from sequential_adaptor import Engine, TaskRun, create_adapter
from sequential_adaptor.storage import StorageAdapter

CODES = {
    "work": """
from sequential_adaptor.task import step

def twice(number):
    return 2 * number

async def main(input):
    return await step(twice, input)
""",
    "fail": "async def main(input):\n    raise ValueError(input)\n",
    "wait": """
from sequential_adaptor.task import wait_for_event

async def main(input):
    return await wait_for_event("go")
""",
    "parent": """
import asyncio
from sequential_adaptor.task import run_task

async def main(input):
    return await asyncio.gather(*(run_task("work", n, queue=input["queue"], key=input.get("key")) for n in range(4)))
""",
}

OpenEngine = Callable[[], Awaitable[Engine]]


@pytest.fixture
async def open_engine(
    backend: str, options_of: Callable[[str, Path], dict[str, Any]], tmp_path: Path
) -> AsyncIterator[OpenEngine]:
    """``await open_engine()``: each call opens the same store once more, as another process would."""
    options = options_of(backend, tmp_path / "tasks")
    async with AsyncExitStack() as stack:

        async def open_engine() -> Engine:
            adapter: StorageAdapter = await stack.enter_async_context(create_adapter(backend, **options))
            return await stack.enter_async_context(Engine(adapter))

        yield open_engine


@pytest.fixture
async def engine(open_engine: OpenEngine) -> Engine:
    """An engine whose store has the tasks of these tests."""
    engine = await open_engine()
    for identifier, code in CODES.items():
        await engine.publish(identifier, code)
    return engine


@pytest.fixture
def most_at_once() -> Callable[[Iterable[TaskRun]], int]:
    """How many of the runs were on their way at the same time."""

    def most_at_once(runs: Iterable[TaskRun]) -> int:
        ends: list[tuple[datetime, int]] = []
        for run in runs:
            assert run.started_at is not None
            assert run.ended_at is not None
            ends += [(run.started_at, 1), (run.ended_at, -1)]
        most = now = 0
        for _, change in sorted(ends):
            now += change
            most = max(most, now)
        return most

    return most_at_once


@pytest.fixture
def in_order_of_start() -> Callable[[Iterable[TaskRun]], list[Any]]:
    """The inputs of the runs, in the order in which they were taken up."""

    def in_order_of_start(runs: Iterable[TaskRun]) -> list[Any]:
        return [run.input for run in sorted(runs, key=lambda run: (run.started_at or run.created_at, run.id))]

    return in_order_of_start
