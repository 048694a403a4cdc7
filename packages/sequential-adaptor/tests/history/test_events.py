"""Events reach the waits of a task in the order in which they were sent, early or late, once each; or time runs out."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sequential_adaptor import ConfigurationError, Engine, InvalidId, InvalidValue, RecordNotFound
from sequential_adaptor.ids import new_id
from sequential_adaptor.testing.strategies import json_values

MANY = """
async def main(n):
    return [await wait_for_event("news") for _ in range(n)]
"""


async def test_a_time_out_is_a_timeout_error_in_the_task_at_its_line(engine: Engine) -> None:
    code = """
from datetime import timedelta
async def main():
    try:
        await wait_for_event("approved", timeout=timedelta(seconds=0.05))
    except TimeoutError as error:
        return [type(error).__name__, str(error), await wait_for_event("approved")]
"""
    await engine.publish("waits", code)
    run = await engine.submit("waits")
    await engine.work(until_idle=True)
    await run.send("approved", 1)
    await engine.work(until_idle=True)
    assert await run.result(10) == ["TimeoutError", "no event 'approved' within 0.05 s", 1]


async def test_a_month_is_waited_for_in_storage_and_by_nobody(engine: Engine) -> None:
    code = "from datetime import timedelta\nasync def main():\n"
    code += "    return await wait_for_event('approved', timeout=timedelta(days=30))\n"
    await engine.publish("waits", code)
    run = await engine.submit("waits")
    await engine.work(until_idle=True)
    frame = await engine.adapter.get_stack_run(run.id)
    assert frame is not None
    assert frame.due_at is not None
    assert timedelta(days=29.9) < frame.due_at - datetime.now(UTC) < timedelta(days=30)
    assert (frame.worker, frame.lease_expires_at) == (None, None)
    await run.send("approved", "at last")
    await engine.work(until_idle=True)
    assert await run.result(10) == "at last"


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.lists(json_values(), min_size=1, max_size=6), early=st.integers(0, 6))
async def test_events_come_in_order_and_as_they_were_sent_however_many_are_early(
    quick: Engine, data: list[Any], early: int
) -> None:
    await quick.publish("many", MANY)
    run = await quick.submit("many", len(data), id=new_id())
    for value in data[:early]:
        await run.send("news", value)
    await quick.work(until_idle=True)
    for value in data[early:]:
        await run.send("news", value)
        await quick.work(until_idle=True)
    assert repr(await run.result(10)) == repr(data)


async def test_events_that_are_sent_while_the_task_works_are_all_taken_in_order(engine: Engine) -> None:
    await engine.publish("many", MANY)
    run = await engine.submit("many", 40)
    working = asyncio.create_task(engine.work(until_idle=False))
    for number in range(40):
        await run.send("news", number)
        if number % 7 == 0:
            await asyncio.sleep(0.01)
    assert await run.result(20) == list(range(40))
    working.cancel()
    await asyncio.wait([working])


async def test_two_waits_for_one_name_get_one_event_each_the_older_first(quick: Engine) -> None:
    code = """
import asyncio
async def main():
    return await asyncio.gather(wait_for_event("go"), wait_for_event("go"))
"""
    await quick.publish("two", code)
    run = await quick.submit("two")
    await quick.work(until_idle=True)
    await run.send("go", "first")
    await quick.work(until_idle=True)
    assert (await run.record()).status == "suspended"
    await run.send("go", "second")
    await quick.work(until_idle=True)
    assert await run.result(10) == ["first", "second"]


async def test_what_cannot_be_sent_is_refused_with_the_reason(quick: Engine, desk: Any) -> None:
    desk.broken.add("1")
    await quick.publish("fails", 'async def main():\n    return await call_host_tool("desk", "give", [1])\n')
    run = await quick.submit("fails", id="run")
    with pytest.raises(InvalidId):
        await run.send("no name")
    with pytest.raises(InvalidValue, match=r"\$.a: a set has no order"):
        await run.send("go", {"a": {1}})
    with pytest.raises(RecordNotFound):
        await quick.handle("nobody").send("go")
    await quick.work(until_idle=True)
    with pytest.raises(
        ConfigurationError, match="run run is failed: nobody .* Let it go on first: sequential retry run"
    ):
        await run.send("go")
