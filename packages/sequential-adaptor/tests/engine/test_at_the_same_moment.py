"""What others do between two looks of a holder, at the moments that hurt."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from sequential_adaptor import (
    Engine,
    FolderAdapter,
    RecordNotFound,
    StorageUnavailable,
    TaskBusy,
    TaskExecutor,
    TaskRun,
    Worker,
)
from sequential_adaptor.engine import rules
from sequential_adaptor.engine.holding import workbench
from sequential_adaptor.engine.holding.holder import Holder
from sequential_adaptor.outcomes import Outcome

Meanwhile = Callable[..., None]

ECHO = "async def main(input):\n    return input\n"


@pytest.fixture
async def engine(tmp_path: Path) -> AsyncIterator[Engine]:
    """An engine on a folder, with a task that gives back its input."""
    async with FolderAdapter(tmp_path / "tasks", durability="process") as adapter, Engine(adapter) as engine:
        await engine.publish("echo", ECHO)
        yield engine


@pytest.fixture
def done(tmp_path: Path) -> Path:
    """What steps write down when they begin, a letter each."""
    path = tmp_path / "done"
    path.write_text("")
    return path


@asynccontextmanager
async def working(engine: Engine, lease: float) -> AsyncIterator[Worker]:
    worker = Worker(engine.adapter, lease=lease)
    job = asyncio.create_task(worker.run())
    try:
        yield worker
    finally:
        worker.stop()
        await job


def steps(done: Path, main: str) -> str:
    """The code of a task whose steps ``one`` and ``two`` take as many seconds as they are given."""
    return f"""
import asyncio
from sequential_adaptor.task import run_task, step

async def one(seconds):
    with open({str(done)!r}, "a") as file:
        file.write("1")
    await asyncio.sleep(seconds)
    return 1

async def two(seconds):
    with open({str(done)!r}, "a") as file:
        file.write("2")
    await asyncio.sleep(seconds)
    return 2

async def main(input):
{main}
"""


async def test_a_heartbeat_while_a_history_is_read_is_heeded(
    engine: Engine, done: Path, meanwhile: Meanwhile, caplog: pytest.LogCaptureFixture
) -> None:
    """And the lease of another run beside it goes on being extended."""
    await engine.publish("slow", steps(done, "    return await step(one, 2)"))
    await engine.submit("echo", 1, id="first")
    second = await engine.submit("slow", 1, id="second")
    meanwhile(
        engine.adapter,
        "query_stack_runs",
        lambda: asyncio.sleep(0.5),
        lambda filter=None, **more: (filter or {}).get("parent_stack_run_id") == "first",
    )
    async with working(engine, lease=0.6):
        assert await second.result(15) == 1
    assert done.read_text() == "1"
    assert "could not be extended" not in caplog.text


async def test_a_holder_that_fails_at_a_heartbeat_does_not_end_those_of_others(
    engine: Engine, done: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await engine.publish("slow", steps(done, "    return await step(one, 2)"))

    def fail(self: Holder, claim: Any) -> None:
        monkeypatch.undo()
        raise RuntimeError("a fault of ours")

    monkeypatch.setattr(Holder, "extended", fail)
    handle = await engine.submit("slow", 1)
    async with working(engine, lease=0.6):
        assert await handle.result(15) == 1
    assert done.read_text() == "1"


class Stumbling:
    """A service whose method is cancelled from within."""

    async def stumble(self, number: int) -> None:
        """Await what somebody has cancelled."""
        task = asyncio.create_task(asyncio.sleep(10))
        await asyncio.sleep(0)
        task.cancel()
        await task


@pytest.mark.parametrize("hand_out", [False, True])
async def test_a_call_that_is_cancelled_from_within_has_failed(engine: Engine, hand_out: bool) -> None:
    """Its code awaited something that somebody has cancelled; that is no reason for the run to wait for ever."""

    engine.services.register_service("mine", Stumbling())
    await engine.publish("calls", "async def main():\n    return await call_host_tool('mine', 'stumble', [1])\n")
    handle = await engine.submit("calls")
    if hand_out:
        await TaskExecutor(engine.adapter, engine.services).execute(handle.id)
    await engine.work(until_idle=True)
    record = await handle.record()
    assert record.status == "failed"
    assert "mine.stumble was cancelled from within" in record.error["message"]


async def test_an_outcome_that_somebody_else_stores_stands_and_the_holder_goes_on(engine: Engine, done: Path) -> None:
    await engine.publish("two", steps(done, "    return [await step(one, 1), await step(two, 1.5)]"))
    handle = await engine.submit("two", 1, id="both")
    async with working(engine, lease=30):
        while not done.read_text():
            await asyncio.sleep(0.02)
        call = await engine.adapter.get_stack_run("both.1")
        after = rules.call_ended(call, Outcome(result="given"), await engine.adapter.now())
        await engine.adapter.commit(rules.outcome_stored(call, after), id="given")
        assert await handle.result(10) == ["given", 2]
    assert done.read_text() == "12"


async def test_nothing_is_given_to_a_run_that_a_worker_holds(engine: Engine, done: Path) -> None:
    await engine.publish("two", steps(done, "    return await step(one, 1)"))
    handle = await engine.submit("two", 1)
    async with working(engine, lease=30):
        while not done.read_text():
            await asyncio.sleep(0.02)
        with pytest.raises(TaskBusy):
            await TaskExecutor(engine.adapter).resume(handle.id, "given")
        assert await handle.result(10) == 1


async def test_a_child_whose_id_is_taken_at_the_last_moment(engine: Engine, done: Path, meanwhile: Meanwhile) -> None:
    """What is stored decides; the calls before it are not made again."""
    code = "    await step(one, 0)\n    return await run_task('echo', 5, id='kid', detached=True)"
    await engine.publish("parent", steps(done, code))
    meanwhile(
        engine.adapter,
        "commit",
        lambda: engine.run("echo", 5, id="kid"),
        lambda changes, **more: any(getattr(getattr(one, "record", None), "id", None) == "kid" for one in changes),
    )
    handle = await engine.submit("parent", 1)
    async with working(engine, lease=30):
        assert await handle.result(10) == "kid"
    assert done.read_text() == "1"


async def test_two_children_of_one_turn_with_the_same_id(engine: Engine, done: Path) -> None:
    """The second is told that the id is taken, as it would be a turn later."""
    code = (
        "    twins = [run_task('echo', n, id='twin') for n in range(2)]\n"
        "    return [str(one) for one in await asyncio.gather(*twins, return_exceptions=True)]"
    )
    await engine.publish("parent", steps(done, code))
    async with asyncio.timeout(20):
        first, second = await engine.run("parent", 1)
    assert first == "0"
    assert "twin" in second


async def test_a_run_that_ends_before_it_can_be_claimed_is_not_busy(engine: Engine, meanwhile: Meanwhile) -> None:
    await engine.submit("echo", 42, id="one")
    meanwhile(engine.adapter, "claim_stack_runs", lambda: engine.work(until_idle=True))
    assert (await TaskExecutor(engine.adapter).execute("one")).result == 42


async def test_a_run_that_is_deleted_when_it_has_been_claimed(
    engine: Engine, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The claim is lost, which is no fault; and who executes it is told that there is no such run."""

    async def delete() -> None:
        await engine.handle("one").cancel(force=True)
        await engine.adapter.delete_task_run("one")

    await engine.submit("echo", 1, id="one")
    looks: list[str] = []
    look = engine.adapter.get_task_run

    async def late(id: str) -> Any:
        looks.append(id)
        if len(looks) == 2:
            await delete()
        return await look(id)

    monkeypatch.setattr(engine.adapter, "get_task_run", late)
    with pytest.raises(RecordNotFound):
        await TaskExecutor(engine.adapter).execute("one")
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]


async def test_a_submission_to_a_store_that_is_away_ends(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    async def away(*given: Any, **named: Any) -> None:
        raise StorageUnavailable("the store is away")

    monkeypatch.setattr(engine.adapter, "commit", away)
    monkeypatch.setattr(workbench, "_PATIENCE", 0.2)
    async with asyncio.timeout(10):
        with pytest.raises(StorageUnavailable):
            await TaskExecutor(engine.adapter).execute(TaskRun(id="x", task_identifier="echo", input=1))


async def test_a_run_that_nobody_has_begun_is_cancelled_by_force(engine: Engine) -> None:
    """It was stored by itself, and has no frame to end."""
    await engine.adapter.create_task_run(TaskRun(id="alone", task_identifier="echo", input=1))
    async with asyncio.timeout(10):
        await engine.handle("alone").cancel(force=True)
    assert (await engine.handle("alone").record()).status == "cancelled"
