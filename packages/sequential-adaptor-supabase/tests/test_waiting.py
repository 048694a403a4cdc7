"""Waiting for work, where it is given up and where the server is away."""

from __future__ import annotations

import asyncio
import gc
from typing import Any

import pytest
from parts.stores import Stores

from sequential_adaptor.errors import StorageClosed
from sequential_adaptor.registry import create_adapter


async def test_a_look_that_fails_when_nobody_waits_any_more_is_nobodys_business(
    stores18: Stores, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker's wait is cancelled all the time; the look that it began goes on, and nothing of it is logged."""
    said: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda loop, context: said.append(context))
    async with create_adapter("supabase", dsn=stores18.dsn()) as adapter:
        looked, go_on = asyncio.Event(), asyncio.Event()

        async def fail() -> Any:
            looked.set()
            await go_on.wait()
            raise OSError("the server is away")

        monkeypatch.setattr(adapter._waiter, "_read", fail)  # type: ignore[attr-defined]
        waiting = asyncio.create_task(adapter.wait_for_work(60))
        await looked.wait()
        waiting.cancel()
        await asyncio.wait((waiting,))
        go_on.set()
        await asyncio.sleep(0.01)
        assert waiting.cancelled()
        del waiting  # what it was doing knows of the look
        gc.collect()
    assert said == []


async def test_who_waits_while_it_is_closed_is_told_and_not_cancelled(
    stores18: Stores, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A look is on its way when the adapter is closed: that is an error like any other, and no end of the task."""
    async with create_adapter("supabase", dsn=stores18.dsn()) as adapter:
        looked = asyncio.Event()

        async def look() -> Any:
            looked.set()
            await asyncio.sleep(60)

        monkeypatch.setattr(adapter._waiter, "_read", look)  # type: ignore[attr-defined]
        waiting = asyncio.create_task(adapter.wait_for_work(60))
        await looked.wait()
    with pytest.raises(StorageClosed):
        await waiting
