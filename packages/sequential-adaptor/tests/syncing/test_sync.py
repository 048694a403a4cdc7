"""``sync``: what has ended is copied, what has not goes on at the target, and nothing is lost or runs twice."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from sequential_adaptor import values
from sequential_adaptor.engine import Engine
from sequential_adaptor.errors import RecordNotFound, StorageUnavailable
from sequential_adaptor.records import StackRun, TaskRun
from sequential_adaptor.storage import StorageAdapter
from sequential_adaptor.syncing import RunsInFlight, Selection, rules, sync

Pair = tuple[StorageAdapter, StorageAdapter]
Publish = Callable[[StorageAdapter], Awaitable[None]]
FALSY: tuple[Any, ...] = (0, False, "", [], {}, None, -0.0)
SOME_TIME = datetime(2024, 2, 29, 1, 2, 3, 4, tzinfo=UTC)


async def records(store: StorageAdapter) -> dict[tuple[str, str], Any]:
    """All records but for the commit that wrote them."""
    rows = [*await store.query_task_runs(), *(row.replace(last_commit=None) for row in await store.query_stack_runs())]
    return {(type(row).__name__, row.id): row for row in rows}


async def suspend(store: StorageAdapter, task: str, input: Any, id: str) -> None:
    """Submit a run, and work on it until nothing can be done."""
    async with Engine(store) as engine:
        await engine.submit(task, input, id=id)
        await engine.work(until_idle=True)


def runnable(rows: list[StackRun]) -> bool:
    """Whether a worker may ever take up something of it."""
    return any(not rules.has_ended(row) and rules.move_of_parked(row) is None for row in rows)


async def test_what_has_ended_is_the_same_at_the_target(pair: Pair, publish: Publish) -> None:
    """Runs, calls, functions in every version that is used, and keys are the same, to the last falsy value."""
    source, target = pair
    await publish(source)
    async with Engine(source) as engine:
        await engine.run("greet", {"names": ["Ada", "Bo"]}, id="greeting")
        await engine.publish("greet", "async def main(input):\n    return 'new'\n")
        await engine.publish("greet", "async def main(input):\n    return 'newest'\n")
    for number, value in enumerate(FALSY):
        await source.set_keystore(f"Key.{number}", value)
        fields: dict[str, Any] = {"status": "completed", "created_at": SOME_TIME, "ended_at": SOME_TIME}
        await source.create_task_run({"id": f"f{number}", "task_identifier": "echo", "result": value, **fields})
        await source.create_stack_run(
            {"id": f"f{number}.1", "task_run_id": f"f{number}", "operation": "a.b", "state": value, **fields}
        )
    summary = await sync(source, target)
    assert (summary.copied, summary.moved, summary.refused) == (1 + len(FALSY), [], {})
    assert await records(target) == await records(source)
    for number, value in enumerate(FALSY):
        assert values.identical(await target.get_keystore(f"Key.{number}"), value)
        run = await target.get_task_run(f"f{number}")
        assert run is not None
        assert values.identical(run.result, value)
    assert await target.list_task_functions() == await source.list_task_functions()
    assert await target.get_task_function("greet") == await source.get_task_function("greet")
    used = (await source.query_task_runs({"id": "greeting"}))[0].version
    assert await target.get_task_function("greet", used) == await source.get_task_function("greet", used)


async def test_run_twice_it_does_nothing_more(pair: Pair, publish: Publish) -> None:
    """A second sync writes nothing, at either side, also when a moved run has gone on meanwhile."""
    source, target = pair
    await publish(source)
    async with Engine(source) as engine:
        await engine.run("greet", {"names": ["Ada"]}, id="greeting")
    await suspend(source, "waiting", 1, "open")
    await source.set_keystore("key", None)
    await sync(source, target)
    async with Engine(target) as engine:
        await engine.handle("open").send("approve", "yes")
        await engine.work(until_idle=True)
    before = await records(source), await records(target)
    summary = await sync(source, target)
    assert (summary.copied, summary.moved, summary.there) == (0, [], 2)
    assert (summary.functions, summary.keys, summary.kept, summary.refused) == (0, 0, [], {})
    assert (await records(source), await records(target)) == before


async def test_a_suspended_run_goes_on_at_the_target(pair: Pair, publish: Publish) -> None:
    """Runs that wait for an event, for a timer, and for nothing yet go on there, and nothing of them is left here."""
    source, target = pair
    await publish(source)
    await suspend(source, "waiting", {"é": 0}, "event")
    await suspend(source, "sleeping", 3600, "timer")
    async with Engine(source) as engine:
        await engine.handle("event").send("approve", False)
        await engine.submit("echo", [], id="new")
    before = await records(source)
    summary = await sync(source, target, where="there")
    assert sorted(summary.moved) == ["event", "new", "timer"]
    assert await records(target) == before
    for id in summary.moved:
        run = await source.get_task_run(id)
        assert run is not None
        assert (run.status, run.error["type"], run.error["to"]) == ("cancelled", "Moved", "there")
    assert await source.claim_stack_runs("worker", limit=9) == []
    await target.update_stack_run("timer", due_at=SOME_TIME)
    async with Engine(target) as engine:
        await engine.work(until_idle=True)
        assert await engine.handle("event").result(timeout=20) == [{"é": 0}, 2, False, 4]
        assert await engine.handle("new").result(timeout=20) == []
    timer = await target.get_stack_run("timer")
    assert timer is not None
    assert timer.status != "failed"


async def test_calls_that_wait_for_a_worker_travel(folders: Pair) -> None:
    """A pending call keeps its time and its attempts, and can be claimed at the target only."""
    source, target = folders
    await source.create_task_run(TaskRun(id="r", task_identifier="t", status="suspended"))
    await source.create_stack_run(StackRun(id="r", task_run_id="r", status="suspended_waiting_child", token=3))
    call = StackRun(
        id="r.1", task_run_id="r", parent_stack_run_id="r", sequence=1, operation="a.b", attempts=2, token=7
    )
    stored = await source.create_stack_run(call.replace(due_at=SOME_TIME))
    await sync(source, target)
    assert await source.get_pending_stack_runs() == []
    found = await target.get_pending_stack_runs()
    assert [row.replace(last_commit=None) for row in found] == [stored]
    assert [claim.token for claim in await target.claim_stack_runs("worker", limit=5)] == [8]


async def test_what_is_held_is_refused(folders: Pair, publish: Publish) -> None:
    """While a worker holds a run nothing is written; when it has given it back the run moves."""
    source, target = folders
    await publish(source)
    async with Engine(source) as engine:
        await engine.submit("echo", 1, id="held")
        await engine.run("echo", 1, id="ended")
    claim = (await source.claim_stack_runs("some-worker"))[0]
    with pytest.raises(RunsInFlight, match=r"held .*some-worker"):
        await sync(source, target)
    assert await records(target) == {}
    assert await target.list_task_functions() == []
    summary = await sync(source, target, Selection(ended_only=True))
    assert (summary.copied, summary.left_open, summary.moved) == (1, 1, [])
    await source.update_stack_run(claim.stack_run.id, worker=None, lease_expires_at=None)
    assert (await sync(source, target)).moved == ["held"]


async def test_a_selection_takes_nothing_else(folders: Pair, publish: Publish) -> None:
    """``task`` and ``run`` choose runs; their functions and the keystore come along, other functions do not."""
    source, target = folders
    await publish(source)
    async with Engine(source) as engine:
        for id in ("one", "two"):
            await engine.run("echo", id, id=id)
        await engine.run("greet", {"names": []}, id="three")
    await sync(source, target, Selection(run="one"))
    assert [run.id for run in await target.query_task_runs()] == ["one"]
    await sync(source, target, Selection(task="echo"))
    assert {run.id for run in await target.query_task_runs()} == {"one", "two"}
    assert await target.list_task_functions() == ["echo"]
    with pytest.raises(RecordNotFound):
        await sync(source, target, Selection(run="none"))


async def test_parent_and_child_move_together(folders: Pair, publish: Publish) -> None:
    """Whoever waits for a run goes with it, and gets its result at the target."""
    source, target = folders
    await publish(source)
    await suspend(source, "parent", 5, "p")
    children = [run.id for run in await source.query_task_runs() if run.id != "p"]
    summary = await sync(source, target, Selection(task="waiting"))
    assert sorted(summary.moved) == sorted(["p", *children])
    async with Engine(target) as engine:
        await engine.handle(children[0]).send("approve", "go")
        await engine.work(until_idle=True)
        assert await engine.handle("p").result(timeout=20) == {"child": [5, 2, "go", 4]}


async def test_a_run_may_be_moved_back(folders: Pair, publish: Publish) -> None:
    """Moved there, and back again with what has happened to it meanwhile."""
    source, target = folders
    await publish(source)
    await suspend(source, "waiting", 1, "r")
    await sync(source, target)
    async with Engine(target) as engine:
        await engine.handle("r").send("approve", "there")
    assert (await sync(target, source)).moved == ["r"]
    async with Engine(source) as engine:
        await engine.work(until_idle=True)
        assert await engine.handle("r").result(timeout=20) == [1, 2, "there", 4]


async def test_what_the_target_has_of_its_own_is_never_replaced(folders: Pair, publish: Publish) -> None:
    """Another run of the same id, a key with another value, and a version published later stay as they are."""
    source, target = folders
    await publish(source)
    async with Engine(source) as engine:
        await engine.run("echo", 1, id="ended")
        await engine.submit("echo", 1, id="open")
    await source.set_keystore("key", "source")
    await target.set_keystore("key", None)
    newest = await target.store_task_function("echo", "async def main(input):\n    return 'later'\n")
    for id in ("ended", "open"):
        await target.create_task_run(TaskRun(id=id, task_identifier="other"))
    before = await records(target)
    summary = await sync(source, target)
    assert set(summary.refused) == {"ended", "open"}
    assert summary.kept == ["key"]
    assert await records(target) == before
    assert await target.get_keystore("key") is None
    assert await target.get_task_function("echo") == newest
    assert runnable(list(await source.query_stack_runs({"task_run_id": "open"})))


class Dying:
    """Two stores whose commits are counted; the one of that number fails, before it is written or afterwards."""

    def __init__(self, stores: Pair, number: int, written: bool, monkeypatch: pytest.MonkeyPatch) -> None:
        self.left, self.written = number, written
        for store in stores:
            monkeypatch.setattr(store, "commit", self.counted(store.commit))

    def counted(self, commit: Any) -> Any:
        async def counted(*arguments: Any, **options: Any) -> None:
            self.left -= 1
            if self.left == 0 and not self.written:
                raise StorageUnavailable("the process dies here")
            await commit(*arguments, **options)
            if self.left == 0:
                raise StorageUnavailable("the process dies here")

        return counted


@pytest.mark.parametrize("written", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("number", range(1, 8))
async def test_killed_at_any_commit_and_run_again(
    folders: Pair, publish: Publish, number: int, written: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Wherever it ends, no run can be taken up at both sides; run again, everything is as if it had not ended."""
    source, target = folders
    await publish(source)
    monkeypatch.setattr("sequential_adaptor.syncing.runs.PAGE", 2)
    await suspend(source, "parent", 5, "p")
    async with Engine(source) as engine:
        await engine.run("greet", {"names": ["Ada", "Bo", "Cy"]}, id="greeting")
    before = await records(source)
    with monkeypatch.context() as patched:
        dying = Dying(folders, number, written, patched)
        try:
            await sync(source, target)
        except StorageUnavailable:
            assert dying.left == 0
    for run in await source.query_task_runs():
        sides = [list(await store.query_stack_runs({"task_run_id": run.id})) for store in folders]
        assert not (runnable(sides[0]) and runnable(sides[1])), f"{run.id} would run twice"
    summary = await sync(source, target)
    assert summary.refused == {}
    after = await records(target)
    assert after == before
    assert not runnable(list(await source.query_stack_runs()))


async def test_what_happens_meanwhile_is_not_lost(
    folders: Pair, publish: Publish, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An event that is sent at the source just before the run leaves it arrives with the run."""
    source, target = folders
    await publish(source)
    await suspend(source, "waiting", 1, "r")
    commit, sent = source.commit, False

    async def late(*arguments: Any, **options: Any) -> None:
        nonlocal sent
        if not sent:
            sent = True
            async with Engine(source) as engine:
                await engine.handle("r").send("approve", "in time")
        await commit(*arguments, **options)

    monkeypatch.setattr(source, "commit", late)
    assert (await sync(source, target)).moved == ["r"]
    async with Engine(target) as engine:
        await engine.work(until_idle=True)
        assert await engine.handle("r").result(timeout=20) == [1, 2, "in time", 4]
