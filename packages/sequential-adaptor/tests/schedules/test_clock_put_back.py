"""The store's clock is put back while a worker works."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from sequential_adaptor import Engine, Worker

pytestmark = pytest.mark.backends("folder", "sqlite", "supabase")  # those with a URL

STEPS = """
from sequential_adaptor.task import step

def same(number):
    return number

async def main(input):
    return [await step(same, number) for number in range(input)]
"""


async def test_what_is_submitted_afterwards_is_performed(engine: Engine, set_clock: Callable[[datetime], None]) -> None:
    """By a worker that was there before; its leases are those of the clock as it is."""
    noon = datetime(2026, 5, 4, 12, tzinfo=UTC)
    await engine.publish("steps", STEPS)
    set_clock(noon)
    worker = Worker(engine.adapter, lease=2.0)
    job = asyncio.create_task(worker.run())
    try:
        assert await (await engine.submit("steps", 3)).result(10) == [0, 1, 2]
        set_clock(noon - timedelta(hours=1))
        assert await (await engine.submit("steps", 4)).result(20) == [0, 1, 2, 3]
    finally:
        worker.stop()
        await job
