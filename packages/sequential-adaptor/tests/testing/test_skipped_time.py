"""Skipped time: the outcome and the order are those of real time, and it takes milliseconds."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sequential_adaptor import CallFailed, ConfigurationError, Engine, FolderAdapter, ServiceClient
from sequential_adaptor.testing import MemoryAdapter, SkippingEngine, Stalled, skipped_time

START = datetime(2030, 1, 31, 12, tzinfo=UTC)
DAY = 86_400

BRANCHES = """
import asyncio

async def branch(name, pauses, seen):
    for pause in pauses:
        await asyncio.sleep(pause)
        seen.append(name)

async def main(branches):
    seen = []
    async with asyncio.TaskGroup() as group:
        for name, pauses in enumerate(branches):
            group.create_task(branch(name, pauses, seen))
    return seen
"""

APPROVAL = """
import asyncio

async def main(days):
    started = time.time()
    try:
        data = await wait_for_event("approved", timeout=days * 86_400)
    except TimeoutError:
        data = "nobody did"
    return [data, round((time.time() - started) / 86_400)]

import time
"""


@pytest.fixture
def services() -> ServiceClient:
    client = ServiceClient()
    client.failures = []  # type: ignore[attr-defined]  # what the service below is told by its test

    async def shop(method: str, params: Any) -> Any:
        if method == "slow":
            await asyncio.sleep(params)
            return "done"
        if client.failures:  # type: ignore[attr-defined]
            raise client.failures.pop()  # type: ignore[attr-defined]
        return method

    client.register_service("shop", shop)
    return client


async def test_thirty_days_take_no_time(skipping_engine: SkippingEngine) -> None:
    """Sleeps, time-outs and the task's own clock agree on how long it was."""
    began = time.monotonic()
    async with skipping_engine as engine:
        await engine.publish("approval", APPROVAL)
        before = engine.now
        assert await engine.run("approval", 30) == ["nobody did", 30]
        assert timedelta(days=30) <= engine.now - before < timedelta(days=30, minutes=5)
    assert time.monotonic() - began < 60


async def test_time_stands_until_somebody_lets_it_go_on(skipping_engine: SkippingEngine) -> None:
    """What is sent before the time-out is there in time, and what comes later is too late."""
    async with skipping_engine as engine:
        await engine.publish("approval", APPROVAL)
        early, late = await engine.submit("approval", 30), await engine.submit("approval", 20)
        await engine.advance(timedelta(days=25))
        assert (await early.record()).status == "suspended"
        await early.send("approved", "the boss")
        assert await early.result() == ["the boss", 25]
        assert await late.result() == ["nobody did", 20]
        assert engine.now < (await early.record()).ended_at + timedelta(days=1)  # type: ignore[operator]


@given(st.lists(st.lists(st.integers(1, 40), min_size=1, max_size=4), min_size=1, max_size=4))
@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_the_order_is_that_of_real_time(branches: list[list[int]]) -> None:
    """Whatever sleeps side by side wakes up in the order of time. (Branches are set so that none wake together.)"""
    days = [[pause * DAY + 600 * name for pause in pauses] for name, pauses in enumerate(branches, 1)]
    wakes = sorted((sum(pauses[: n + 1]), name) for name, pauses in enumerate(days) for n in range(len(pauses)))
    async with SkippingEngine() as engine:
        await engine.publish("branches", BRANCHES)
        found = await engine.run("branches", days)
    tied = {at for at, _ in wakes if [one for one, _ in wakes].count(at) > 1}
    if not tied:
        assert found == [name for _, name in wakes]
    assert sorted(found) == sorted(name for _, name in wakes)


async def test_the_same_as_in_real_time(skipping_engine: SkippingEngine) -> None:
    """One workflow, in real time and skipped: the same result, and the same calls in the same order."""
    branches = [[0.2, 0.6], [0.5], [0.1, 0.9]]
    seen = []
    async with Engine(MemoryAdapter()) as real, skipping_engine as skipping:
        for engine in (real, skipping):
            await engine.publish("branches", BRANCHES)
            handle = await engine.submit("branches", branches, id="one")
            await engine.carry(handle)
            seen.append((await handle.result(), [call.operation for call in await handle.calls()]))
    assert seen[0] == seen[1]


async def test_runs_that_wake_each_other(skipping_engine: SkippingEngine) -> None:
    """Other runs of the store go on too, each at its time: a child, and one that nobody waits for."""
    child = "import asyncio\nasync def main(days):\n    await asyncio.sleep(days * 86_400)\n    return days"
    parent = """
import asyncio
async def main():
    async with asyncio.timeout(3 * 86_400):
        quick = await run_task("child", 2)
    try:
        async with asyncio.timeout(86_400):
            await run_task("child", 5)
    except TimeoutError:
        return [quick, "too slow"]
"""
    async with skipping_engine as engine:
        await engine.publish("child", child)
        await engine.publish("parent", parent)
        beside = await engine.submit("child", 1)
        assert await engine.run("parent") == [2, "too slow"]
        assert (await beside.record()).status == "completed"
        await engine.work()


async def test_retries_back_off_on_the_skipped_clock(services: ServiceClient) -> None:
    """Four failures cost 1, 2, 4 and 8 seconds less jitter, none of them real."""
    async with SkippingEngine(services=services) as engine:
        services.failures += [CallFailed("not now", retryable=True)] * 4  # type: ignore[attr-defined]
        await engine.publish("buys", 'async def main():\n    return await call_host_tool("shop", "buy", 1)')
        before = engine.now
        assert await engine.run("buys", id="one") == "buy"
        assert timedelta(seconds=7) < engine.now - before < timedelta(seconds=60)
        (call,) = await engine.handle("one").calls()
        assert call.attempts == 4


async def test_time_does_not_jump_while_a_call_is_out(services: ServiceClient) -> None:
    """A call takes the time it really takes: no time-out of a second goes off within a tenth of one."""
    code = """
import asyncio
async def main():
    async with asyncio.timeout(3600):
        return await call_host_tool("shop", "slow", 0.3)
"""
    async with SkippingEngine(services=services) as engine:
        await engine.publish("slow", code)
        await engine.publish("naps", "import asyncio\nasync def main():\n    await asyncio.sleep(86_400)\n    return 1")
        naps, before = await engine.submit("naps"), engine.now
        assert await engine.run("slow") == "done"
        assert engine.now - before < timedelta(minutes=30)
        assert await naps.result() == 1


async def test_no_moment_is_taken_for_a_standstill(services: ServiceClient) -> None:
    """Calls that are over in an instant, side by side with sleeps and retries in place: no time-out around any of them
    goes off, whichever of the many moments between two standstills the clock is asked at."""
    code = """
import asyncio
async def branch(n):
    for i in range(4):
        async with asyncio.timeout(3600):
            await step(instant, n, i)
            await call_host_tool("shop", f"{n}-{i}", {"token": secret("key")})
        await asyncio.sleep(86_400 + n)
async def instant(n, i):
    for _ in range((n * 7 + i) % 5):
        await asyncio.sleep(0)
async def main(n):
    await asyncio.gather(*(branch(10 * n + m) for m in range(5)))
"""
    services.failures += [CallFailed("not now", retryable=True) for _ in range(20)]  # type: ignore[attr-defined]
    async with SkippingEngine(services=services) as engine:
        await engine.adapter.set_keystore("key", "s3cret")
        await engine.publish("branches", code)
        before = engine.now
        await asyncio.gather(*[(await engine.submit("branches", n)).result() for n in range(4)])
        assert timedelta(days=4) <= engine.now - before < timedelta(days=5)


async def test_what_would_wait_for_ever_says_so(skipping_engine: SkippingEngine) -> None:
    """In real time the test would hang."""
    async with skipping_engine as engine:
        await engine.publish("waits", 'async def main():\n    return await wait_for_event("paid")')
        run = await engine.submit("waits")
        with pytest.raises(Stalled, match="for ever for the event 'paid': `await run.send"):
            await run.result()
        with pytest.raises(TimeoutError):
            await run.result(timeout=7 * DAY)
        await run.send("paid", 0)
        assert await run.result() == 0


async def test_results_that_are_waited_for_together(skipping_engine: SkippingEngine) -> None:
    """Several may let time go on at once, each to its own end."""
    async with skipping_engine as engine:
        await engine.publish("approval", APPROVAL)
        runs = [await engine.submit("approval", days) for days in (3, 1, 2)]
        assert [days for _, days in await asyncio.gather(*(run.result() for run in runs))] == [3, 1, 2]


async def test_a_flow_s_after() -> None:
    """Deadlines of statecharts are skipped like any other."""
    code = """
graph = {
    "id": "order", "initial": "waiting",
    "states": {
        "waiting": {"on": {"PAID": "paid"}, "after": {"1209600000": "expired"}},
        "paid": {"type": "final"}, "expired": {"type": "final"},
    },
}
"""
    async with SkippingEngine(start=START) as engine:
        await engine.publish("order", code, runner="flow")
        run = await engine.submit("order")
        await engine.advance(timedelta(days=13))
        assert (await run.record()).status == "suspended"
        await run.result()
        assert timedelta(days=14) <= engine.now - START < timedelta(days=14, minutes=5)


@pytest.mark.parametrize("kind", ["folder", "memory"])
async def test_any_adapter_and_another_engine_on_it(kind: str, tmp_path: Any) -> None:
    """The store outlives its engine, and another one goes on at the time at which the first one left."""
    async with FolderAdapter(tmp_path / "tasks") if kind == "folder" else MemoryAdapter() as adapter:
        store = skipped_time(adapter, start=START)
        async with SkippingEngine(store) as engine:
            await engine.publish("approval", APPROVAL)
            await engine.submit("approval", 30, id="one")
            await engine.advance(timedelta(days=10))
        async with SkippingEngine(store) as engine:
            assert engine.now >= START + timedelta(days=10)
            await engine.handle("one").send("approved")
            assert await engine.handle("one").result() == [None, 10]
            assert (await engine.handle("one").record()).started_at.date() == START.date()  # type: ignore[union-attr]


async def test_forks_queues_and_start_times(skipping_engine: SkippingEngine) -> None:
    """Whatever else waits for its time does so here too: a fork, a queue of one, a rate, a start time."""
    code = "import asyncio\nasync def main(days):\n    await asyncio.sleep(days * 86_400)\n    return days"
    async with skipping_engine as engine:
        await engine.publish("naps", code)
        await engine.set_queue("one", limit=1)
        began = engine.now
        runs = [await engine.submit("naps", 2, queue="one") for _ in range(3)]
        later = await engine.submit("naps", 1, at=began + timedelta(days=30))
        assert [await run.result() for run in runs] == [2, 2, 2]
        assert timedelta(days=6) <= engine.now - began < timedelta(days=7)
        assert await later.result() == 1
        assert timedelta(days=31) <= engine.now - began < timedelta(days=32)
        await engine.set_queue("slow", rate=(1, timedelta(days=7)))
        for run in [await engine.submit("naps", 0, queue="slow") for _ in range(3)]:
            await run.result()
        assert timedelta(days=44) <= engine.now - began < timedelta(days=47)
        await engine.publish("steps", "async def main():\n    return await step(len, [1])")
        first = await engine.submit("steps")
        await first.result()
        assert await (await first.fork(1, {"result": 7})).result() == 7


async def test_a_schedule_fires_each_night_of_its_zone() -> None:
    """Thirty nights, in one of which there is no half past two in Berlin."""
    async with SkippingEngine(start=datetime(2030, 3, 29, 12, tzinfo=UTC)) as engine:
        await engine.publish("report", "async def main(input):\n    return input")
        await engine.schedule("nightly", "report", 0, cron="30 2 * * *", zone="Europe/Berlin")
        await engine.advance(timedelta(days=30))
        runs = await engine.adapter.query_task_runs({"task_identifier": "report"})
    assert [(run.status, run.result) for run in runs] == [("completed", 0)] * 30
    assert [run.started_at.strftime("%d %H:%M") for run in runs if run.started_at][:3] == [
        "30 01:30",
        "31 01:00",
        "01 00:30",
    ]


async def test_what_cannot_be() -> None:
    """Time does not go back, a time needs its zone, an engine has to be open, and two cannot let one time go on."""
    store = skipped_time(MemoryAdapter())
    async with SkippingEngine(store) as one, SkippingEngine(store) as other:
        await one.publish("naps", "import asyncio\nasync def main():\n    await asyncio.sleep(5)\n    return 1")
        runs = [await engine.submit("naps") for engine in (one, other)]
        found = await asyncio.gather(*(run.result() for run in runs), return_exceptions=True)
    assert sorted(map(str, found)) == ["1", "another engine lets the time of this store go on: one at a time can"]
    with pytest.raises(ConfigurationError, match="no time zone"):
        SkippingEngine(start=datetime(2030, 1, 1))  # noqa: DTZ001 - this is what is refused
    with pytest.raises(ConfigurationError, match="async with SkippingEngine"):
        await SkippingEngine().advance(1)
    async with SkippingEngine() as engine:
        with pytest.raises(ConfigurationError, match="cannot go back by 0:00:01"):
            await engine.advance(-1)


def test_blocking_code_may_use_it_too() -> None:
    """Each ``..._sync`` opens the engine anew; the memory and the time stay."""
    engine = SkippingEngine(start=START)
    engine.publish_sync("approval", APPROVAL)
    assert engine.run_sync("approval", 30) == ["nobody did", 30]
    assert engine.run_sync("approval", 2) == ["nobody did", 2]
    assert engine.now >= START + timedelta(days=32)
