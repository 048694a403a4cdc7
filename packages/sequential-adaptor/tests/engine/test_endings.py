"""Whoever waits in the process in which a run ends hears of it at once, and of nothing that is not stored."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from sequential_adaptor import Engine, FolderAdapter, TaskFailed
from sequential_adaptor.engine import handle
from sequential_adaptor.engine.endings import endings_of

LISTS = "async def main(value):\n    return [value, {'of': [value]}]"
FAILS = "async def main():\n    raise ValueError('no')"


@pytest.fixture(autouse=True)
def storage_is_hardly_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("_FIRST_LOOK", "_LONGEST_LOOK"):
        monkeypatch.setattr(handle, name, 60.0)


async def test_a_result_is_heard_of_without_asking_the_store(tmp_path: Path) -> None:
    async with FolderAdapter(tmp_path) as store, Engine(store) as submitting, Engine(store) as working:
        await submitting.publish("lists", LISTS)
        handles = [await submitting.submit("lists", number) for number in range(20)]
        results = asyncio.gather(*(one.result(timeout=30) for one in handles))
        await asyncio.sleep(0)
        await working.work(until_idle=True)
        assert await results == [[number, {"of": [number]}] for number in range(20)]


async def test_the_error_of_a_run_is_heard_of_in_the_same_way(tmp_path: Path) -> None:
    async with Engine(f"folder:{tmp_path}") as engine:
        await engine.publish("fails", FAILS)
        waiting = asyncio.create_task((await engine.submit("fails")).result(timeout=30))
        await asyncio.sleep(0)
        await engine.work(until_idle=True)
        with pytest.raises(TaskFailed, match="ValueError: no"):
            await waiting


async def test_each_who_waits_gets_a_copy(tmp_path: Path) -> None:
    async with Engine(f"folder:{tmp_path}") as engine:
        await engine.publish("lists", LISTS)
        run = await engine.submit("lists", 1)
        waiting = [asyncio.create_task(run.result(timeout=30)) for _ in range(2)]
        await asyncio.sleep(0)
        await engine.work(until_idle=True)
        first, second = await asyncio.gather(*waiting)
        first[1]["of"].clear()
        assert second == await run.result() == [1, {"of": [1]}]


async def test_waiting_on_another_event_loop_is_heard_too(tmp_path: Path) -> None:
    async with Engine(f"folder:{tmp_path}") as engine:
        await engine.publish("lists", LISTS)
        run = await engine.submit("lists", 2)
        began = asyncio.Event()
        loop = asyncio.get_running_loop()

        async def wait() -> Any:
            with endings_of(engine.adapter).awaited(run.id) as ending:
                loop.call_soon_threadsafe(began.set)
                return (await asyncio.wait_for(ending, 30)).result

        elsewhere = asyncio.create_task(asyncio.to_thread(asyncio.run, wait()))
        await began.wait()
        await engine.work(until_idle=True)
        assert await elsewhere == [2, {"of": [2]}]


async def test_nobody_is_remembered_who_has_gone(tmp_path: Path) -> None:
    async with Engine(f"folder:{tmp_path}") as engine:
        await engine.publish("lists", LISTS)
        run = await engine.submit("lists", 3)
        for _ in range(3):
            with pytest.raises(TimeoutError):
                await run.result(timeout=0.01)
        assert not endings_of(engine.adapter)._waiting
        await engine.work(until_idle=True)
        assert await run.result() == [3, {"of": [3]}]
