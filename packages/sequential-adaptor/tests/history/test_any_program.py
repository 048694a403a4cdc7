"""Whatever a task does: a fork at any of its calls ends as it did, and a retry ends as if nothing had ever failed."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sequential_adaptor import Engine, TaskFailed
from sequential_adaptor.ids import new_id

CODE = """
import asyncio

async def main(program):
    return await done(program)

async def done(part):
    kind, what = part
    if kind == "call":
        return await call_host_tool("desk", "give", [what])
    if kind == "row":
        return [await done(one) for one in what]
    if kind == "all":
        return list(await asyncio.gather(*(done(one) for one in what)))
    if kind == "group":
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(done(one)) for one in what]
        return [task.result() for task in tasks]
    if kind == "sleep":
        await (sleep(what / 1000) if what % 2 else asyncio.sleep(what / 1000))
        return what
    if kind == "wait":
        return await wait_for_event("news")
    if kind == "limit":
        try:
            async with asyncio.timeout(0.02):
                return await call_host_tool("desk", "hang", [])
        except TimeoutError:
            return "late"
    if kind == "clean":
        try:
            return await done(what)
        finally:
            await call_host_tool("desk", "give", ["cleaned"])
    return await run_task("program", what)
"""
LEAVES = (
    st.tuples(st.just("call"), st.integers(0, 9))
    | st.tuples(st.just("sleep"), st.integers(0, 3))
    | st.just(("wait", None))
    | st.just(("limit", None))
)


def _larger(parts: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    several = st.lists(parts, min_size=1, max_size=4)
    return st.tuples(st.sampled_from(["row", "all", "group"]), several) | st.tuples(st.just("clean"), parts)


PROGRAMS = st.recursive(LEAVES, _larger, max_leaves=8).flatmap(
    lambda part: st.sampled_from([part, ("row", [part, ("child", ("call", 5)), part])])
)
ONE_BY_ONE = settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))


def as_json(part: Any) -> Any:
    return [as_json(one) for one in part] if isinstance(part, list | tuple) else part


async def submitted(engine: Engine, program: Any) -> Any:
    """A run of the program, with more events than it waits for."""
    await engine.publish("program", CODE)
    run = await engine.submit("program", as_json(program), id=f"r{new_id()}")
    for _ in range(repr(program).count("wait")):
        await run.send("news", "news")
    return run


@ONE_BY_ONE
@given(program=PROGRAMS, data=st.data())
async def test_a_fork_at_any_call_ends_as_the_original(quick: Engine, program: Any, data: st.DataObject) -> None:
    run = await submitted(quick, program)
    await quick.carry(run)
    result = await run.result(10)
    calls = [call for call in await run.calls() if call.sequence is not None]
    if not calls:
        return
    call = data.draw(st.sampled_from(calls))
    fork = await run.fork(at=call.id)
    for _ in range(repr(program).count("wait")):
        await fork.send("news", "news")
    await quick.carry(fork)
    assert await fork.result(10) == result


@ONE_BY_ONE
@given(program=PROGRAMS, broken=st.sets(st.integers(0, 9), min_size=1))
async def test_a_retry_ends_as_if_nothing_had_ever_failed(
    quick: Engine, desk: Any, program: Any, broken: set[int]
) -> None:
    right = await submitted(quick, program)
    await quick.carry(right)
    desk.broken |= {repr(number) for number in broken}
    run = await submitted(quick, program)
    await quick.carry(run)
    desk.broken.clear()
    if (await run.record()).status == "failed":
        with pytest.raises(TaskFailed, match="today|sub-exception"):
            await run.result(10)
        assert await run.retry() != []
        await quick.carry(run)
    assert await run.result(10) == await right.result(10)
