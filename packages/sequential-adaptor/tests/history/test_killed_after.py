"""A run that was taken back, or forked, is as durable as any other: also where its worker dies at any boundary."""

from __future__ import annotations

import asyncio
import itertools
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from sequential_adaptor import Engine, Worker, create_adapter

CODE = """
import asyncio
from pathlib import Path

def note(folder, text):
    with open(f"{folder}/notes", "a") as file:
        file.write(text + "\\n")
    return text

def pay(folder):
    note(folder, "pay")
    if not Path(f"{folder}/open").exists():
        raise ConnectionError("closed")
    return "paid"

async def main(folder):
    try:
        first, beside = await asyncio.gather(step(note, folder, "first"), run_task("child", folder))
        return [first, beside, await step(pay, folder), await step(note, folder, "last")]
    except Exception:
        await step(note, folder, "sorry")
        raise
"""
CHILD = CODE.partition("async def main")[0] + 'async def main(folder):\n    return await step(note, folder, "child")\n'


@pytest.mark.slow
async def test_what_goes_on_after_a_retry_or_a_fork_goes_on_after_a_kill(
    tmp_path: Path, was_killed: Callable[..., Awaitable[bool]], options_of: Callable[..., dict[str, Any]]
) -> None:
    for number in itertools.count(1):
        folder = tmp_path / str(number)
        config = options_of("folder", folder)
        folder.mkdir(exist_ok=True)
        async with create_adapter("folder", **config) as store, Engine(store) as engine:
            await engine.publish("child", CHILD)
            await engine.publish("parent", CODE)
            run = await engine.submit("parent", str(folder), id="run")
            await engine.work(until_idle=True)
            assert (await run.record()).status == "failed"
            (folder / "open").touch()
            fork = await run.fork(at=3, id="fork")
            assert await run.retry() == ["run.3"]
        killed = await was_killed("folder", config, number)
        async with create_adapter("folder", **config) as store, Engine(store) as engine:
            await asyncio.wait_for(Worker(store).run(until_idle=True), 60)
            run, fork = engine.handle("run"), engine.handle("fork")
            right = ["first", "child", "paid", "last"]
            assert [await run.result(10), await fork.result(10)] == [right, right], number
            calls = [call.id for call in await run.calls() if call.sequence is not None]
            assert calls == ["run.1", "run.2", "run.3", "run.4r1"], number
        notes = Counter((folder / "notes").read_text().split("\n"))
        assert [notes[text] for text in ("first", "child", "sorry")] == [1, 1, 1], number
        assert notes["pay"] >= 3, number
        assert notes["last"] >= 2, number
        assert notes["pay"] + notes["last"] <= 5 + 2, number  # one call of each run was on its way when the worker died
        if not killed:
            break
    assert number > 8
