"""A run that goes through a queue goes through it once more when it is retried, and so does a fork of it."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from sequential_adaptor import Engine

CODE = """
async def main(n):
    return await call_host_tool("desk", "give", [n])
"""


@pytest.mark.parametrize("key", [None, "one"])
async def test_retries_and_forks_wait_for_their_turn(engine: Engine, desk: Any, key: str | None) -> None:
    await engine.set_queue("narrow", limit=1)
    await engine.publish("give", CODE)
    await engine.publish("holds", "async def main():\n    return await wait_for_event('go')\n")
    desk.broken.add("1")
    run = await engine.submit("give", 1, id="run", queue="narrow", key=key, priority=3)
    await engine.work(until_idle=True)
    assert (await run.record()).status == "failed"
    desk.broken.clear()
    holder = await engine.submit("holds", id="holder", queue="narrow", key=key)
    await engine.work(until_idle=True)
    await run.retry()
    fork = await run.fork(at=1, changes={"result": "x"})
    working = asyncio.create_task(engine.work())
    await asyncio.sleep(0.5)
    assert [(await one.record()).status for one in (holder, run, fork)] == ["suspended", "pending", "pending"]
    await holder.send("go")
    assert await run.result(20) == 1
    assert await fork.result(20) == "x"
    working.cancel()
    await asyncio.wait([working])
