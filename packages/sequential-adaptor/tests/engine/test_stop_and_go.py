"""The documented use without a worker: the executor moves one task, the processor performs what tasks wait for."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from sequential_adaptor import (
    CallResults,
    Completed,
    ConfigurationError,
    Engine,
    FolderAdapter,
    RecordNotFound,
    ServiceClient,
    StackProcessor,
    Suspended,
    TaskBusy,
    TaskExecutor,
    TaskFailed,
    TaskFunctionNotFound,
    TaskRun,
)

CODE = """
import asyncio
async def main(user):
    profile = await call_host_tool("users", "get", [user])
    a, b = await asyncio.gather(call_host_tool("users", "rank", [user]), call_host_tool("users", "age", [user]))
    return [profile, a, b]
"""


def users(method: str, params: list[Any]) -> Any:
    return f"{method} {params[0]}"


@pytest.fixture
async def services() -> AsyncIterator[ServiceClient]:
    async with ServiceClient() as client:
        client.register_service("users", users)
        yield client


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[FolderAdapter]:
    async with FolderAdapter(tmp_path, durability="process") as adapter:
        yield adapter


def run(**fields: Any) -> TaskRun:
    return TaskRun(id="run", task_identifier="look-up", input=7, **fields)


async def test_it_stops_at_each_standstill_and_goes_on_a_round_at_a_time(
    store: FolderAdapter, services: ServiceClient
) -> None:
    executor, processor = TaskExecutor(store, services), StackProcessor(store, services)
    stopped = await executor.execute(run(), CODE)
    assert isinstance(stopped, Suspended)
    assert [(call.sequence, call.operation, call.input) for call in stopped.calls] == [(1, "users.get", [7])]
    assert [row.id for row in await store.get_pending_stack_runs()] == ["run.1"]
    assert await processor.process_pending() == 2  # the call, and the frame that waited for it
    assert [row.id for row in await store.get_pending_stack_runs()] == ["run.2", "run.3"]
    assert await processor.process_pending() == 3
    assert await executor.execute("run") == Completed(["get 7", "rank 7", "age 7"])
    assert await processor.process_pending() == 0


async def test_the_claim_is_given_back_whenever_it_returns(store: FolderAdapter, services: ServiceClient) -> None:
    await TaskExecutor(store, services).execute(run(), CODE)
    frame = await store.get_stack_run("run")
    assert frame is not None
    assert (frame.worker, frame.lease_expires_at, frame.status) == (None, None, "suspended_waiting_child")


@pytest.mark.parametrize("value", [0, False, "", [], {}, None], ids=repr)
async def test_a_value_from_outside_is_the_outcome_of_the_one_call_that_waits(
    value: Any, store: FolderAdapter, services: ServiceClient
) -> None:
    executor = TaskExecutor(store, services)
    await executor.execute(run(), CODE)
    await executor.resume("run", value, CODE, "run")
    call = await store.get_stack_run("run.1")
    assert call is not None
    assert (repr(call.result), call.status, call.position) == (repr(value), "completed", 0)
    assert await executor.resume("run", CallResults({2: 1, 3: 2})) == Completed([value, 1, 2])


async def test_an_error_from_outside_is_raised_in_the_task_at_its_line(
    store: FolderAdapter, services: ServiceClient
) -> None:
    executor = TaskExecutor(store, services)
    await executor.execute(run(), CODE)
    error = {"type": "ServiceError", "message": "no such user"}
    with pytest.raises(TaskFailed, match="no such user") as raised:
        await executor.resume("run", CallResults(errors={1: error}))
    assert 'profile = await call_host_tool("users", "get", [user])' in (raised.value.traceback or "")


async def test_one_value_for_several_calls_is_refused_and_names_them(
    store: FolderAdapter, services: ServiceClient
) -> None:
    executor = TaskExecutor(store, services)
    await executor.execute(run(), CODE)
    await executor.resume("run", "profile")
    with pytest.raises(ConfigurationError, match=r"2 \(users.rank\), 3 \(users.age\)"):
        await executor.resume("run", "which?")


async def test_an_outcome_that_is_stored_already_stands(store: FolderAdapter, services: ServiceClient) -> None:
    executor = TaskExecutor(store, services)
    await executor.execute(run(), CODE)
    await StackProcessor(store, services).process_stack_run("run.1")
    await executor.resume("run", CallResults({1: "too late", 2: "r", 3: "a"}))
    assert await executor.execute("run") == Completed(["get 7", "r", "a"])


async def test_a_run_that_was_stored_by_itself_is_executed(store: FolderAdapter, services: ServiceClient) -> None:
    await store.create_task_run(run())
    assert isinstance(await TaskExecutor(store, services).execute("run", CODE), Suspended)
    stored = await store.get_task_run("run")
    assert stored is not None
    assert (stored.status, len(stored.version)) == ("suspended", 64)


async def test_what_only_this_process_can_do_is_done_in_place(store: FolderAdapter, services: ServiceClient) -> None:
    code = "async def main(n):\n    def double(x):\n        return x * 2\n    return await step(double, n)"
    assert await TaskExecutor(store, services).execute(run(), code) == Completed(14)


async def test_a_run_that_another_worker_holds_is_busy(store: FolderAdapter, services: ServiceClient) -> None:
    async with Engine(store, services=services) as engine:
        await engine.publish("look-up", CODE)
        await engine.submit("look-up", 7, id="run")
    await store.claim_stack_runs("somebody", lease=60)
    with pytest.raises(TaskBusy, match="held by somebody, at least until"):
        await TaskExecutor(store, services).execute("run")


async def test_a_frame_whose_lease_ended_is_recovered(store: FolderAdapter, services: ServiceClient) -> None:
    await store.store_task_function("look-up", CODE)
    async with Engine(store, services=services) as engine:
        handle = await engine.submit("look-up", 7)
    [claim] = await store.claim_stack_runs("dead", lease=0.05)
    processor = StackProcessor(store, services)
    assert await processor.process_pending() == 0
    while not await processor.process_pending():
        assert (await handle.record()).status == "pending"
    assert claim.stack_run.id == handle.id
    while await processor.process_pending():
        pass
    assert (await handle.record()).status == "completed"


async def test_what_is_not_there_is_named(store: FolderAdapter, services: ServiceClient) -> None:
    executor = TaskExecutor(store, services)
    with pytest.raises(RecordNotFound, match="no TaskRun 'run'"):
        await executor.execute("run")
    with pytest.raises(TaskFunctionNotFound, match="'look-up'"):
        await executor.execute(run())
