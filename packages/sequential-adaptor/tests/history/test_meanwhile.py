"""Somebody else acts between what is read and what is committed: nothing is lost, run twice, or an error of storage."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from sequential_adaptor import CannotGoBack, Engine, RecordExists, RecordNotFound, RunPruned
from sequential_adaptor.engine import rules
from sequential_adaptor.engine.retention.pruning import Pruned
from sequential_adaptor.engine.retention.tombstones import tombstone_id

GIVES = 'async def main(n):\n    return await call_host_tool("desk", "give", [n])\n'
PARENT = 'async def main(n):\n    return await run_task("gives", n)\n'
ROW = 'async def main(n):\n    return [await call_host_tool("desk", "give", [i]) for i in range(n)]\n'
WAITS = GIVES.replace("return ", "got = ") + '    return [got, await wait_for_event("go")]\n'
NOTHING = timedelta(0)

Meanwhile = Callable[..., None]


@pytest.fixture
async def ready(engine: Engine) -> Engine:
    for name, code in (("gives", GIVES), ("parent", PARENT), ("row", ROW), ("waits", WAITS)):
        await engine.publish(name, code)
    return engine


async def failed(engine: Engine, desk: Any, task: str, id: str, **options: Any) -> None:
    """A run that has failed, and would not fail again."""
    desk.broken.add("1")
    await engine.submit(task, 1, id=id, **options)
    await engine.work(until_idle=True)
    assert (await engine.handle(id).record()).status == "failed"
    desk.broken.clear()


# ---- prune


async def test_a_run_that_is_retried_after_it_was_found_is_not_pruned(
    ready: Engine, desk: Any, meanwhile: Meanwhile
) -> None:
    await failed(ready, desk, "gives", "run")
    meanwhile(ready.adapter, "query_task_runs", lambda: ready.retry("run"), after=True)
    found = await ready.prune(NOTHING, status="failed")
    assert (found.runs, found.kept) == ([], {"run": "somebody goes on with it"})
    await ready.work(until_idle=True)
    assert await ready.handle("run").result(10) == 1


async def test_another_run_that_has_the_id_by_then_is_not_pruned(ready: Engine, meanwhile: Meanwhile) -> None:
    await ready.run("gives", 1, id="run")

    async def used_again() -> None:
        await ready.adapter.delete_task_run("run")
        await ready.submit("gives", 2, id="run")

    meanwhile(ready.adapter, "query_task_runs", used_again, after=True)
    assert (await ready.prune(NOTHING, status="completed")).runs == []
    await ready.work(until_idle=True)
    assert await (await ready.submit("gives", 2, id="run")).result(10) == 2


async def test_an_id_that_somebody_sets_free_by_deleting_its_run_stays_free(
    ready: Engine, meanwhile: Meanwhile
) -> None:
    await ready.run("gives", 1, id="run")
    await ready.run("gives", 1, id="other")
    meanwhile(ready.adapter, "query_task_runs", lambda: ready.adapter.delete_task_run("run"), after=True)
    found = await ready.prune(NOTHING, status="completed")
    assert (found.runs, found.kept) == (["other"], {})
    assert await ready.run("gives", 2, id="run") == 2


async def test_two_prunes_at_once_forget_everything_once(ready: Engine, desk: Any, meanwhile: Meanwhile) -> None:
    for id in ("a", "b", "c"):
        await failed(ready, desk, "gives", id)
    others: list[str] = []

    async def other() -> None:
        others.extend((await ready.prune(NOTHING)).runs)

    meanwhile(ready.adapter, "commit", other)
    assert await ready.prune(NOTHING) == Pruned()
    assert sorted(others) == ["a", "b", "c"]
    assert list(await ready.adapter.query_task_runs()) == []


# ---- ids


@pytest.mark.parametrize("look", ["get_task_run", "get_stack_run"])
@pytest.mark.parametrize("way", ["submit", "fork"])
async def test_an_id_that_is_pruned_meanwhile_is_not_used_again(
    ready: Engine, desk: Any, meanwhile: Meanwhile, look: str, way: str
) -> None:
    await ready.run("gives", 1, id="old")
    await ready.run("row", 1, id="original")
    looked_for = ("old", tombstone_id("old"))
    meanwhile(ready.adapter, look, lambda: ready.prune(NOTHING, task="gives"), looked_for.__contains__, after=True)
    if way == "submit":
        await ready.submit("gives", 1, id="old")  # it was there
    else:
        with pytest.raises(RecordExists, match="it is not this fork of original"):
            await ready.fork("original", 1, id="old")
    await ready.work(until_idle=True)
    assert desk.times(1, 0) == [1, 1]
    await ready.prune(NOTHING, task="gives")
    with pytest.raises(RunPruned):
        await ready.submit("gives", 1, id="old")
    with pytest.raises(RunPruned):
        await ready.fork("original", 1, id="old")


# ---- retry


async def test_a_run_that_another_retry_has_moved_on_goes_on_by_itself(
    ready: Engine, desk: Any, meanwhile: Meanwhile
) -> None:
    await failed(ready, desk, "waits", "run")

    async def other() -> None:
        await ready.retry("run")
        await ready.work(until_idle=True)

    meanwhile(ready.adapter, "get_task_run", other, after=True)
    with pytest.raises(CannotGoBack, match="run run has not ended; it is suspended, and goes on by itself"):
        await ready.retry("run")
    await ready.handle("run").send("go", 2)
    await ready.work(until_idle=True)
    assert await ready.handle("run").result(10) == [1, 2]


async def test_a_run_whose_queue_is_deleted_meanwhile_goes_on_without(
    ready: Engine, desk: Any, meanwhile: Meanwhile
) -> None:
    await ready.set_queue("line")
    await failed(ready, desk, "gives", "run", queue="line")
    meanwhile(
        ready.adapter, "get_stack_run", lambda: ready.delete_queue("line"), lambda id: id == "queue-line", after=True
    )
    fork = await ready.fork("run", 1, id="fork")
    await ready.set_queue("line")
    meanwhile(
        ready.adapter, "get_stack_run", lambda: ready.delete_queue("line"), lambda id: id == "queue-line", after=True
    )
    await ready.retry("run")
    await ready.work(until_idle=True)
    assert [await fork.result(10), await ready.handle("run").result(10)] == [1, 1]


async def test_a_child_that_is_deleted_meanwhile_begins_anew(ready: Engine, desk: Any, meanwhile: Meanwhile) -> None:
    await failed(ready, desk, "parent", "run")
    meanwhile(
        ready.adapter,
        "get_task_run",
        lambda: ready.adapter.delete_task_run("run--1"),
        lambda id: id == "run--1",
        after=True,
    )
    await ready.retry("run")
    await ready.work(until_idle=True)
    assert await ready.handle("run").result(10) == 1
    assert await ready.adapter.get_task_run("run--1") is None


async def test_a_run_that_is_deleted_meanwhile_is_not_there(ready: Engine, desk: Any, meanwhile: Meanwhile) -> None:
    await failed(ready, desk, "gives", "run")
    meanwhile(ready.adapter, "commit", lambda: ready.adapter.delete_task_run("run"))
    with pytest.raises(RecordNotFound, match="no TaskRun 'run'"):
        await ready.retry("run")


async def test_an_error_that_stays_is_raised(ready: Engine, desk: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    await failed(ready, desk, "gives", "run")

    async def refuses(*_: Any, **__: Any) -> None:
        raise RecordNotFound("StackRun", "gone")

    monkeypatch.setattr(ready.adapter, "commit", refuses)
    for going in (ready.retry("run"), ready.fork("run", 1)):
        with pytest.raises(RecordNotFound, match="gone"):
            await asyncio.wait_for(going, 20)


CHILD = """
async def main(n):
    try:
        return await call_host_tool("desk", "give", [n])
    except Exception:
        {before_it_fails}
        raise
"""


@pytest.mark.parametrize("takes_it", [False, True])
async def test_a_child_that_failed_just_before_it_was_asked_to_end_goes_on(
    ready: Engine, desk: Any, takes_it: bool
) -> None:
    """The cancel is over with the failure of the parent, whether the child has taken it before it failed or not."""
    cleans_up = 'try:\n            await wait_for_event("never")\n        except BaseException:\n            pass'
    await ready.publish("child", CHILD.format(before_it_fails=cleans_up if takes_it else "pass"))
    await ready.publish("together", 'async def main(_):\n    return await run_task("child", "child")\n')
    desk.broken.add("'child'")
    await ready.submit("together", id="run")
    await ready.work(until_idle=True)
    if takes_it:
        await ready.handle("run--1").cancel()
        await ready.work(until_idle=True)
    else:
        await ready.adapter.commit(rules.cancel_asked("run--1", await ready.adapter.now()), id="late")
    assert [(await ready.handle(id).record()).status for id in ("run", "run--1")] == ["failed", "failed"]
    desk.broken.clear()
    await ready.retry("run")
    await ready.work(until_idle=True)
    assert await ready.handle("run").result(10) == "child"
