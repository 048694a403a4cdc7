"""Runs that ended long ago are forgotten whole, but for those that something needs, and their ids are not reused."""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from sequential_adaptor import (
    CannotGoBack,
    ConfigurationError,
    Conflict,
    Engine,
    NotOffered,
    RecordNotFound,
    RunPruned,
    TaskExecutor,
    TaskFailed,
    Worker,
    create_adapter,
)
from sequential_adaptor.engine.retention.housekeeping import Housekeeper
from sequential_adaptor.engine.retention.policy import Retention
from sequential_adaptor.engine.retention.tombstones import HOUSE

SAME = 'async def main(n):\n    return await call_host_tool("desk", "give", [n])\n'
NOTHING = timedelta(0)
MONTH = timedelta(days=30)


async def ran(engine: Engine, id: str | None, n: Any = 0, *, days: float = 0) -> str:
    """A run that ended so many days ago."""
    handle = await engine.submit("same", n, id=id)
    await engine.carry(handle)
    if days:
        ended = datetime.now(UTC) - timedelta(days=days)
        await engine.adapter.update_task_run(handle.id, ended_at=ended)
    return handle.id


async def left(engine: Engine) -> list[str]:
    return sorted(run.id for run in await engine.adapter.query_task_runs())


@pytest.fixture
async def published(engine: Engine) -> Engine:
    await engine.publish("same", SAME)
    return engine


async def test_what_ended_long_ago_is_forgotten_whole_and_nothing_else(published: Engine) -> None:
    await ran(published, "old", days=40)
    await ran(published, "young", days=20)
    await published.submit("same", 1, id="pending")
    found = await published.prune(MONTH)
    assert (found.runs, found.kept) == (["old"], {})
    assert await left(published) == ["pending", "young"]
    assert await published.adapter.query_stack_runs({"task_run_id": "old"}) == []
    assert (await published.prune(MONTH)).runs == []


async def test_by_status_and_by_task(published: Engine, desk: Any) -> None:
    desk.broken.add("1")
    await published.publish("other", SAME)
    await ran(published, "completed", 0)
    await ran(published, "failed", 1)
    cancelled = await published.submit("same", id="cancelled")
    await cancelled.cancel(force=True)
    await published.run("other", 0, id="other")
    assert (await published.prune(NOTHING, status="failed")).runs == ["failed"]
    assert (await published.prune(NOTHING, status=["cancelled"], task="same")).runs == ["cancelled"]
    assert (await published.prune(NOTHING, task="other")).runs == ["other"]
    assert await left(published) == ["completed"]
    for wrong in ("running", [], ["completed", "pending"]):
        with pytest.raises(ConfigurationError, match="it is a list of some of: cancelled, completed, failed"):
            await published.prune(NOTHING, status=wrong)
    with pytest.raises(ConfigurationError, match=r"as in timedelta\(days=30\)"):
        await published.prune(timedelta(days=-1))


@pytest.mark.parametrize("days", [999_999, 99_999_999])
async def test_a_time_longer_than_the_calendar_keeps_everything(published: Engine, days: int) -> None:
    """``keep`` is any time, and a worker does not end by it."""
    await ran(published, "old", days=40)
    assert (await published.prune(timedelta(days=days))).runs == []
    await Worker(published.adapter, retention=timedelta(days=days)).run(until_idle=True)
    assert await left(published) == ["old"]


async def test_a_dry_run_says_what_would_go_and_forgets_nothing(published: Engine) -> None:
    await ran(published, "old", days=40)
    seen: list[int] = []
    found = await published.prune(MONTH, dry_run=True, progress=lambda found: seen.append(len(found.runs)))
    assert found.runs == ["old"]
    assert seen[-1] == 1
    assert await left(published) == ["old"]
    await published.submit("same", 0, id="old")


# ---- what something needs


async def test_a_child_stays_as_long_as_its_parent_has_not_ended(published: Engine) -> None:
    code = "async def main():\n    one = await run_task('same', 7)\n    await wait_for_event('go')\n    return one\n"
    await published.publish("parent", code)
    run = await published.submit("parent", id="p")
    await published.work(until_idle=True)
    found = await published.prune(NOTHING)
    assert (found.runs, found.kept) == ([], {"p--1": "its parent p has not ended"})
    await run.send("go")
    await published.work(until_idle=True)
    assert await run.result(10) == 7
    assert sorted((await published.prune(NOTHING)).runs) == ["p", "p--1"]


async def test_a_fork_and_a_detached_child_need_nothing_of_the_pruned(published: Engine) -> None:
    code = """
async def main():
    one = await run_task('same', 7)
    await run_task('waits', detached=True, id='free')
    return [one, await call_host_tool("desk", "give", [8])]
"""
    await published.publish("waits", "async def main():\n    return await wait_for_event('go')\n")
    await published.publish("parent", code)
    await published.run("parent", id="p")
    fork = await published.handle("p").fork(at=3, id="fork")
    await published.prune(NOTHING)
    assert await left(published) == ["fork", "free"]
    await published.handle("free").send("go", 1)
    await published.work(until_idle=True)
    assert (await fork.result(10), await published.handle("free").result(10)) == ([7, 8], 1)


async def test_a_run_that_has_moved_elsewhere_stays_for_sync_to_finish(published: Engine) -> None:
    await published.submit("same", id="moved")
    await published.handle("moved").cancel(force=True)
    await published.adapter.update_task_run("moved", error={"type": "Moved", "message": "moved", "move": "m"})
    assert list((await published.prune(NOTHING)).kept) == ["moved"]


async def test_a_run_that_is_retried_while_it_is_pruned_stays(published: Engine, desk: Any) -> None:
    """Whoever is first wins: a retry before the condemning commit keeps the run, one after it is refused."""
    desk.broken.add("1")
    for id in ("first", "second"):
        await ran(published, id, 1)
    desk.broken.clear()
    store = published.adapter
    commit = store.commit

    async def retried_just_before(changes: Any, **options: Any) -> None:
        store.commit = commit  # type: ignore[method-assign]  # once
        await published.retry("first")
        await commit(changes, **options)

    store.commit = retried_just_before  # type: ignore[method-assign]  # undone by itself
    found = await published.prune(NOTHING)
    assert (found.runs, found.kept) == (["second"], {"first": "somebody goes on with it"})
    await published.work(until_idle=True)
    assert await published.handle("first").result(10) == 1

    desk.broken.add("2")
    await ran(published, "third", 2)
    delete = store.delete_task_run
    store.delete_task_run = _refused  # type: ignore[method-assign]  # killed between the two
    with pytest.raises(Conflict):
        await published.prune(NOTHING, status="failed")
    store.delete_task_run = delete  # type: ignore[method-assign]  # as it was
    with pytest.raises(CannotGoBack, match="run third is being pruned"):
        await published.retry("third")
    assert (await published.prune(NOTHING, status="failed")).runs == ["third"]


async def _refused(id: str) -> bool:
    raise Conflict("TaskRun", id, "status", 1, 2)


async def test_an_adapter_that_deletes_nothing_is_refused_with_its_name(quick: Engine, monkeypatch: Any) -> None:
    monkeypatch.delattr(type(quick.adapter), "delete_task_run")
    with pytest.raises(NotOffered, match="FolderAdapter does not offer to delete runs"):
        await quick.prune(MONTH)
    with pytest.raises(NotOffered, match="FolderAdapter does not offer to delete runs"):
        await Worker(quick.adapter, retention=MONTH).run(until_idle=True)


# ---- ids


async def test_the_id_of_a_pruned_run_is_refused_until_it_is_set_free(published: Engine) -> None:
    await ran(published, "mine")
    await published.prune(NOTHING)
    with pytest.raises(RecordNotFound):
        await published.handle("mine").result(10)
    refusal = "a run 'mine' of same was there, ended as completed, and was pruned on .*: sequential prune --forget mine"
    with pytest.raises(RunPruned, match=refusal):
        await published.submit("same", 0, id="mine")
    with pytest.raises(RunPruned):
        await published.run("same", 0, id="mine")
    with pytest.raises(RunPruned):
        await TaskExecutor(published.adapter).execute({"id": "mine", "task_identifier": "same"})
    await ran(published, "other")
    with pytest.raises(RunPruned):
        await published.handle("other").fork(at=1, id="mine")
    await published.publish("parent", "async def main():\n    return await run_task('same', 1, id='mine')\n")
    with pytest.raises(TaskFailed, match="RunPruned: a run 'mine'"):
        await published.run("parent")
    assert await published.reuse_id("mine") is True
    assert await published.reuse_id("mine") is False
    await ran(published, "mine", 5)
    await published.prune(NOTHING)
    with pytest.raises(RunPruned):
        await published.submit("same", 5, id="mine")


async def test_ids_that_nobody_chose_leave_nothing_behind(published: Engine) -> None:
    await published.publish("parent", "async def main():\n    return await run_task('same', 1)\n")
    handle = await published.submit("parent")
    await published.carry(handle)
    assert len((await published.prune(NOTHING)).runs) == 2
    assert await published.adapter.query_stack_runs() == []


# ---- killed


@pytest.mark.slow
@pytest.mark.backends("folder", "sqlite", "supabase")
async def test_a_prune_that_is_killed_at_any_boundary_leaves_whole_runs(
    backend: str, tmp_path: Path, was_killed: Callable[..., Awaitable[bool]], options_of: Callable[..., dict[str, Any]]
) -> None:
    code = "def f(n):\n    return n\nasync def main(n):\n    return [await step(f, 1), await step(f, n)]\n"
    for number in itertools.count(1):
        config = options_of(backend, tmp_path / str(number))
        async with create_adapter(backend, **config) as store, Engine(store) as engine:
            await engine.publish("same", code)
            for id in ("a", "b", None):
                await engine.run("same", 0, id=id)
        killed = await was_killed(backend, config, number, "prune")
        async with create_adapter(backend, **config) as store, Engine(store) as engine:
            for run in await store.query_task_runs():
                assert len(await store.query_stack_runs({"task_run_id": run.id})) == 3, number
            await engine.prune(NOTHING)
            assert await store.query_task_runs() == []
            assert len(await store.query_stack_runs()) == 2, number  # the two ids
            for id in ("a", "b"):
                with pytest.raises(RunPruned):
                    await engine.submit("same", 0, id=id)
        if not killed:
            break
    assert number > 8


# ---- workers


async def test_workers_forget_beside_their_work_one_of_them_at_a_time(
    published: Engine, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "sequential_adaptor")
    for _ in range(5):
        await ran(published, None, days=40)
    await ran(published, "young", days=20)
    workers = [Worker(published.adapter, retention=MONTH) for _ in range(3)]
    working = [asyncio.create_task(worker.run()) for worker in workers]
    async with asyncio.timeout(20):
        while await left(published) != ["young"]:
            await asyncio.sleep(0.02)
    for worker in workers:
        worker.stop()
    await asyncio.wait_for(asyncio.gather(*working), 20)
    assert [record.message.partition(" runs")[0] for record in caplog.records if "pruned" in record.message] in (
        [],  # stopped before the round was over
        ["pruned 5"],
    )


async def test_the_turn_of_a_worker_that_died_passes_on(published: Engine, monkeypatch: Any) -> None:
    monkeypatch.setattr("sequential_adaptor.engine.retention.housekeeping.TURN", timedelta(seconds=0.5))
    monkeypatch.setattr("sequential_adaptor.engine.retention.housekeeping._LONGEST_REST", 0.1)
    await ran(published, "old", days=40)
    policy = Retention(MONTH)
    dead, heir = Housekeeper(published.adapter, policy), Housekeeper(published.adapter, policy)
    assert await dead._turn(timedelta(seconds=0.5)) == 0
    assert 0 < await heir._turn(timedelta(seconds=0.5)) <= 0.5
    async with heir.at_work(), asyncio.timeout(20):
        while await left(published):
            await asyncio.sleep(0.02)


async def test_of_all_who_take_the_turn_at_once_one_has_it(published: Engine) -> None:
    keepers = [Housekeeper(published.adapter, Retention(MONTH)) for _ in range(8)]
    for _ in range(2):  # where there is no record yet, and where there is one
        taken = await asyncio.gather(*(keeper._turn(timedelta(hours=1)) for keeper in keepers))
        assert taken.count(0.0) == 1
        await published.adapter.update_stack_run(HOUSE, suspended_at=datetime.now(UTC))
        for keeper in keepers:
            keeper._mine = None


async def test_a_bite_is_bounded_and_rests_are_longer_than_bites(quick: Engine, monkeypatch: Any) -> None:
    await quick.publish("same", SAME)
    monkeypatch.setattr("sequential_adaptor.engine.retention.pruning.BITE", 3)
    for n in range(10):
        await ran(quick, None, n)
    steps: list[float | str] = []
    store, keeper = quick.adapter, Housekeeper(quick.adapter, Retention(NOTHING))
    delete = store.delete_task_run

    async def slow(id: str) -> bool:
        await asyncio.sleep(0.02)
        steps.append("gone")
        return await delete(id)

    async def rest(seconds: float) -> None:
        steps.append(seconds)

    monkeypatch.setattr(store, "delete_task_run", slow)
    monkeypatch.setattr(keeper, "_rest", rest)
    assert await keeper._turn(timedelta(seconds=60)) == 0
    assert await keeper._round() is True
    assert [isinstance(step, float) for step in steps].count(False) == 10
    for rests, bite in ((step, steps[index - 1]) for index, step in enumerate(steps) if isinstance(step, float)):
        assert rests >= 0.05
        assert bite != "gone" or rests >= 0.02 * 9
