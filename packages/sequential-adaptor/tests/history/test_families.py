"""Parents and children: results and errors are the child's own, and a parent that ends takes its children along."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from sequential_adaptor import Engine, TaskCancelled, TaskFailed
from sequential_adaptor.engine import rules

WAITING = "async def main(n=None):\n    return await wait_for_event('go')\n"
PARENT = "async def main():\n    return await run_task('child')\n"


async def statuses(engine: Engine, *ids: str) -> list[str]:
    return [(await engine.handle(id).record()).status for id in ids]


# ---- results and errors


async def test_many_at_once_by_gather_and_by_task_group_give_their_own_results(engine: Engine) -> None:
    code = """
import asyncio
async def main(n):
    gathered = await asyncio.gather(*(run_task("child", i) for i in range(n)))
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(run_task("child", i)) for i in range(n)]
    return [gathered, [task.result() for task in tasks]]
"""
    await engine.publish("child", "async def main(n):\n    await sleep(0.001 * (7 - n))\n    return n * 2\n")
    await engine.publish("parent", code)
    assert await engine.run("parent", 7, timeout=60) == [[n * 2 for n in range(7)]] * 2


async def test_an_error_comes_back_as_the_childs_own_with_its_type_and_its_lines(engine: Engine) -> None:
    code = """
from sequential_adaptor import TaskFailed
async def main():
    try:
        await run_task("child", -1)
    except TaskFailed as failed:
        return [failed.run_id, failed.error["type"], failed.error["message"], failed.traceback]
"""
    await engine.publish("child", "async def main(n):\n    raise ValueError(f'{n} is negative')\n")
    await engine.publish("parent", code)
    run_id, kind, message, trace = await engine.run("parent", id="p")
    assert (run_id, kind, message) == ("p--1", "ValueError", "-1 is negative")
    assert "raise ValueError" in trace


async def test_a_child_that_is_cancelled_is_task_cancelled_in_its_parent(engine: Engine) -> None:
    code = """
from sequential_adaptor import TaskCancelled
async def main():
    try:
        await run_task("child")
    except TaskCancelled as cancelled:
        return cancelled.run_id
"""
    await engine.publish("child", WAITING)
    await engine.publish("parent", code)
    for force in (False, True):
        run = await engine.submit("parent", id=f"p{force:d}")
        await engine.work(until_idle=True)
        await engine.handle(f"{run.id}--1").cancel(force=force)
        await engine.work(until_idle=True)
        assert await run.result(10) == f"{run.id}--1"


# ---- a parent that ends takes its children along

FAILS = """
import asyncio
async def main():
    child = asyncio.create_task(run_task("child"))
    await run_task("child", id="free", detached=True)
    await wait_for_event("fail")
    raise ValueError("enough")
"""


async def test_a_parent_that_fails_takes_its_children_along_but_for_detached_ones(engine: Engine) -> None:
    await engine.publish("child", WAITING)
    await engine.publish("parent", FAILS)
    run = await engine.submit("parent", id="p")
    await engine.work(until_idle=True)
    assert await statuses(engine, "p", "p--2", "free") == ["suspended"] * 3
    await run.send("fail")
    await engine.work(until_idle=True)
    with pytest.raises(TaskFailed, match="enough"):
        await run.result(10)
    assert await statuses(engine, "p--2", "free") == ["cancelled", "suspended"]


async def test_grandchildren_go_along_as_well(engine: Engine) -> None:
    await engine.publish("grandchild", WAITING)
    await engine.publish("child", "async def main():\n    return await run_task('grandchild')\n")
    await engine.publish("parent", PARENT)
    for force in (False, True):
        run = await engine.submit("parent", id=f"p{force:d}")
        await engine.work(until_idle=True)
        await run.cancel(force=force)
        await engine.work(until_idle=True)
        assert await statuses(engine, run.id, f"{run.id}--1", f"{run.id}--1--1") == ["cancelled"] * 3


async def test_a_parent_that_is_cancelled_before_it_begins_begins_no_child(engine: Engine) -> None:
    await engine.publish("child", WAITING)
    await engine.publish("parent", PARENT)
    run = await engine.submit("parent", id="p")
    await run.cancel()
    await asyncio.wait_for(engine.work(until_idle=True), 20)
    with pytest.raises(TaskCancelled):
        await run.result(10)
    children = await engine.adapter.query_task_runs({"task_identifier": "child"})
    assert [child.status for child in children] in ([], ["cancelled"])


async def test_a_parent_that_dies_takes_its_children_along_and_tells_its_own_parent(engine: Engine) -> None:
    await engine.publish("grandchild", WAITING)
    await engine.publish("child", "async def main():\n    return await run_task('grandchild')\n")
    await engine.publish("parent", PARENT)
    run = await engine.submit("parent", id="p")
    await engine.work(until_idle=True)
    kills = rules.CLAIMS_WITHOUT_PROGRESS + 1  # as if a worker had died under each of so many claims
    frame = await engine.adapter.get_stack_run("p--1")
    assert frame is not None
    await engine.adapter.update_stack_run(frame.id, token=frame.token + kills, due_at=await engine.adapter.now())
    await engine.work(until_idle=True)
    with pytest.raises(TaskFailed, match="DeadTask: .* claimed 27 times .* sequential retry p--1"):
        await run.result(10)
    assert await statuses(engine, "p--1", "p--1--1") == ["failed", "cancelled"]
    open_rows = await engine.adapter.query_stack_runs({"status": ["in_progress", "suspended_waiting_child", "pending"]})
    assert open_rows == []


async def test_a_dead_run_goes_on_where_it_was(engine: Engine, desk: Any) -> None:
    code = """
async def main():
    first = await call_host_tool("desk", "give", [1])
    return [first, await wait_for_event("go"), await call_host_tool("desk", "give", [2])]
"""
    await engine.publish("long", code)
    run = await engine.submit("long", id="run")
    await engine.work(until_idle=True)
    frame = await engine.adapter.get_stack_run("run")
    assert frame is not None
    await engine.adapter.update_stack_run("run", token=frame.token + 40, due_at=await engine.adapter.now())
    await engine.work(until_idle=True)
    assert (await run.record()).status == "failed"
    await run.retry()
    await run.send("go", "on")
    await engine.work(until_idle=True)
    assert await run.result(10) == [1, "on", 2]
    assert desk.times(1, 2) == [1, 1]


async def test_a_child_without_code_fails_in_its_parent(engine: Engine) -> None:
    await engine.publish("child", WAITING)
    await engine.publish("parent", PARENT)
    run = await engine.submit("parent", id="p")
    await engine.work(until_idle=True)
    await engine.adapter.update_task_run("p--1", version="0" * 64)
    await engine.handle("p--1").send("go", 1)
    async with Engine(engine.adapter) as other:  # the first one remembers the code
        await other.work(until_idle=True)
    with pytest.raises(TaskFailed, match="no version 000000000000 of task function 'child' is stored"):
        await run.result(10)


async def test_cancelling_by_force_again_ends_what_was_begun_meanwhile(engine: Engine) -> None:
    """A holder may have started a child between the look at its calls and the commit that ends it."""
    await engine.publish("child", WAITING)
    await engine.publish("parent", PARENT)
    run = await engine.submit("parent", id="p")
    store = engine.adapter
    frame = await store.get_stack_run("p")
    assert frame is not None
    query = type(store).query_stack_runs
    seen = []

    async def stale(self: Any, filter: Any = None, **options: Any) -> Any:
        found = await query(self, filter, **options)
        if not seen and filter == {"task_run_id": "p"}:
            seen.append(json.dumps(filter))
            await engine.work(until_idle=True)  # the parent begins, and so does its child
        return found

    type(store).query_stack_runs = stale  # type: ignore[method-assign]  # undone below
    try:
        await run.cancel(force=True)
    finally:
        type(store).query_stack_runs = query  # type: ignore[method-assign]  # as it was
    assert seen
    await engine.work(until_idle=True)
    assert await statuses(engine, "p", "p--1") == ["cancelled", "cancelled"]
