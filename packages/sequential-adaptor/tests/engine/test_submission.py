"""A run that is submitted and carried in one: stored with its first turn, or before it if that takes long."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sequential_adaptor import (
    Conflict,
    Engine,
    FolderAdapter,
    StackRun,
    StorageError,
    StorageUnavailable,
    TaskFailed,
    TaskRun,
)
from sequential_adaptor.engine import rules
from sequential_adaptor.engine.holding import moving
from sequential_adaptor.storage import Change, Create, Update
from sequential_adaptor.testing.memory import MemoryAdapter

UNTIL_THERE = """
async def main(path):
    import pathlib
    while not pathlib.Path(path).exists():
        pass
    return "done"
"""
NOW = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
async def engine(tmp_path: Path) -> AsyncIterator[Engine]:
    async with Engine(f"folder:{tmp_path}") as engine:
        yield engine


# ---- when it is stored


async def test_a_first_turn_that_takes_long_does_not_keep_its_run_from_being_stored(
    engine: Engine, tmp_path: Path
) -> None:
    await engine.publish("slow", UNTIL_THERE)
    gate = tmp_path / "gate"
    running = asyncio.create_task(engine.run("slow", str(gate)))
    while not (found := await engine.adapter.query_task_runs()):
        await asyncio.sleep(0.01)
    assert not running.done()
    frame = await engine.adapter.get_stack_run(found[0].id)
    assert frame is not None
    assert frame.worker is not None
    gate.touch()
    await running
    assert [run.status for run in await engine.adapter.query_task_runs()] == ["completed"]


async def test_a_run_without_a_call_is_one_commit_and_all_of_it_is_there(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(moving, "_MOMENT", 60.0)
    await engine.publish("quick", "async def main(n):\n    print('here')\n    return n + 1")
    assert await engine.run("quick", 41) == 42
    [run] = await engine.adapter.query_task_runs()
    frame = await engine.adapter.get_stack_run(run.id)
    assert frame is not None
    assert (run.status, run.result, run.input) == ("completed", 42, 41)
    assert run.created_at is not None
    assert run.started_at is not None
    assert run.ended_at is not None
    assert run.updated_at is not None
    assert run.created_at <= run.started_at <= run.ended_at <= run.updated_at
    assert (frame.status, frame.log, frame.worker, frame.token) == ("completed", ["here"], None, 1)
    assert await engine.handle(run.id).result() == 42


async def test_a_first_turn_that_fails_is_stored_too(engine: Engine) -> None:
    await engine.publish("broken", "async def main():\n    raise ValueError('no')")
    with pytest.raises(TaskFailed, match="no"):
        await engine.run("broken")
    [run] = await engine.adapter.query_task_runs()
    assert run.status == "failed"


async def test_a_run_that_is_given_up_in_its_first_turn_is_for_the_next_worker(
    engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(moving, "_MOMENT", 60.0)
    gate = tmp_path / "gate"
    await engine.publish("slow", UNTIL_THERE)
    running = asyncio.create_task(engine.run("slow", str(gate)))
    await asyncio.sleep(0.1)
    running.cancel()
    gate.touch()
    with pytest.raises(asyncio.CancelledError):
        await running
    await engine.work(until_idle=True)
    assert [run.result for run in await engine.adapter.query_task_runs()] == ["done"]


# ---- when it cannot be stored


class Refusing(FolderAdapter):
    """A folder on which commits fail."""

    error: Exception | None = None

    async def commit(self, *args: Any, **options: Any) -> None:
        if self.error is not None:
            raise self.error
        await super().commit(*args, **options)


@pytest.mark.parametrize("code", ["async def main():\n    return 1", "async def main():\n    await step(int)"])
async def test_what_keeps_a_run_from_being_stored_is_told_to_who_submits_it(
    code: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.ERROR)
    async with Refusing(tmp_path) as store, Engine(store) as engine:
        await engine.publish("task", code)
        store.error = StorageError("no space is left")
        with pytest.raises(StorageError, match="no space is left"):
            await engine.run("task", timeout=30)
        store.error = None
        assert await engine.adapter.query_task_runs() == []
        assert caplog.records == []


async def test_a_store_that_is_away_for_a_moment_is_waited_for(tmp_path: Path) -> None:
    class Late(FolderAdapter):
        left = 2

        async def commit(self, *args: Any, **options: Any) -> None:
            self.left -= 1
            if self.left >= 0:
                raise StorageUnavailable("it is away")
            await super().commit(*args, **options)

    async with Late(tmp_path) as store, Engine(store) as engine:
        await engine.publish("task", "async def main():\n    return 1")
        assert await engine.run("task") == 1


class Away(FolderAdapter):
    """A folder that is away until it is told otherwise; with ``loses_reply`` it does write the first commit."""

    is_away = False
    loses_reply = False

    async def commit(self, *args: Any, **options: Any) -> None:
        if self.is_away:
            if self.loses_reply:
                self.loses_reply = False
                await super().commit(*args, **options)
            raise StorageUnavailable("it is away")
        await super().commit(*args, **options)


@pytest.mark.parametrize("loses_reply", [True, False])
@pytest.mark.parametrize(
    "code", ["async def main(n):\n    return n", "async def main(n):\n    return await step(abs, n)"]
)
async def test_a_store_that_is_away_for_longer_than_a_lease_leaves_nobody_waiting(
    code: str, loses_reply: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was stored although its reply was lost goes on, once; what was not is said to whoever submits it."""
    async with Away(tmp_path) as store, Engine(store) as engine:
        await engine.publish("task", code)
        monkeypatch.setattr(engine, "_carrying", lambda handle: type(engine)._carrying(engine, handle, 0.5))
        store.is_away, store.loses_reply = True, loses_reply
        running = asyncio.create_task(engine.run("task", 7))
        await asyncio.sleep(1.2)
        store.is_away = False
        if loses_reply:
            assert await asyncio.wait_for(running, 30) == 7
            assert [run.status for run in await store.query_task_runs()] == ["completed"]
        else:
            with pytest.raises(StorageUnavailable):
                await asyncio.wait_for(running, 30)
            assert await store.query_task_runs() == []


async def test_a_refusal_because_of_another_record_keeps_no_run_from_being_stored(tmp_path: Path) -> None:
    """Two runs whose first turns start a child of the same id at the same moment: one gets it, the other is told."""
    parent = (
        "async def main():\n    try:\n        return await run_task('child', 7, id='same')\n"
        "    except Exception as error:\n        return type(error).__name__"
    )
    async with Engine(f"folder:{tmp_path}") as engine:
        await engine.publish("child", "async def main(n):\n    return n")
        await engine.publish("parent", parent)
        results = await asyncio.gather(*(engine.run("parent", timeout=25) for _ in range(2)))
        assert sorted(map(str, results)) == ["7", "CallFailed"]


async def test_leases_are_not_extended_of_what_is_not_stored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It would be taken for lost."""
    monkeypatch.setattr(moving, "_MOMENT", 60.0)
    gate = tmp_path / "gate"
    async with Engine(f"folder:{tmp_path / 'store'}") as engine:
        await engine.publish("slow", UNTIL_THERE)
        monkeypatch.setattr(engine, "_carrying", lambda handle: type(engine)._carrying(engine, handle, 0.3))
        running = asyncio.create_task(engine.run("slow", str(gate)))
        await asyncio.sleep(0.25)
        gate.touch()
        assert await running == "done"


# ---- fewer changes that do the same


@st.composite
def commits(draw: st.DrawFn) -> list[Change]:
    """The creation of a run, its frame and calls, with updates of each behind it."""
    creates: list[Change] = [
        Create(TaskRun(id="run", task_identifier="t", created_at=NOW)),
        Create(StackRun(id="run", task_run_id="run", created_at=NOW, due_at=NOW)),
    ]
    calls = draw(st.integers(0, 2))
    for number in range(1, calls + 1):
        call = StackRun(
            id=f"run.{number}", task_run_id="run", parent_stack_run_id="run", sequence=number, operation="s.m",
            status="in_progress", created_at=NOW,
        )  # fmt: skip
        creates.append(Create(call))
    changes = list(creates)
    for _ in range(draw(st.integers(0, 6))):
        target: Callable[..., Change] = draw(
            st.sampled_from([on_run, on_frame, *[on_call(number) for number in range(1, calls + 1)]])
        )
        changes.append(target(draw(st.sampled_from([None, 0, "", [1], {"a": 1}]))))
    return changes


def on_run(value: Any) -> Change:
    return Update(TaskRun, "run", {"status": "running", "result": value, "started_at": NOW + timedelta(seconds=1)})


def on_frame(value: Any) -> Change:
    return Update(StackRun, "run", {"status": "in_progress", "state": value, "due_at": None}, {"wakes": 0})


def on_call(number: int) -> Callable[[Any], Change]:
    return lambda value: Update(StackRun, f"run.{number}", {"status": "completed", "result": value, "position": 3})


@given(commits())
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
async def test_a_folded_commit_leaves_the_same_records(changes: list[Change]) -> None:
    folded = rules.folded(changes, NOW)
    assert all(isinstance(change, Create) for change in folded)
    assert await stored(folded) == await stored(changes)


def test_what_is_not_created_in_the_same_commit_is_left_as_it_is() -> None:
    other = Update(StackRun, "other", {"due_at": NOW})
    assert rules.folded([other, *CREATED, other], NOW) == [other, *CREATED, other]


def test_an_update_that_expects_something_else_is_a_conflict() -> None:
    with pytest.raises(Conflict):
        rules.folded([*CREATED, Update(StackRun, "run", {"due_at": NOW}, {"wakes": 1})], NOW)


CREATED = (Create(TaskRun(id="run")), Create(StackRun(id="run", task_run_id="run")))


async def stored(changes: list[Change]) -> list[Any]:
    async with MemoryAdapter() as store:
        await store.commit(changes, id="commit")
        records = [*await store.query_task_runs(), *await store.query_stack_runs()]
    return [record.replace(updated_at=None) for record in records]
