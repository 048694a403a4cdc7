"""Queues over real stores: what a person asks for is what happens, on every backend."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from sequential_adaptor import Engine, QueueNotFound, RunHandle, TaskCancelled, TaskFailed, TaskRun
from sequential_adaptor.errors import ConfigurationError, InvalidId, InvalidValue

OpenEngine = Callable[[], Awaitable[Engine]]
MostAtOnce = Callable[[Iterable[TaskRun]], int]
InOrder = Callable[[Iterable[TaskRun]], list[Any]]


async def records(handles: Iterable[RunHandle]) -> list[TaskRun]:
    return [await handle.record() for handle in handles]


async def lanes(engine: Engine, handles: Iterable[RunHandle]) -> set[str | None]:
    """Where the root frames are."""
    frames = [await engine.adapter.get_stack_run(handle.id) for handle in handles]
    return {frame.parent_stack_run_id for frame in frames if frame is not None}


# ---- how many


@pytest.mark.parametrize("limit", [1, 3])
async def test_never_more_at_once_than_the_limit_over_all_workers(
    engine: Engine, open_engine: OpenEngine, most_at_once: MostAtOnce, limit: int
) -> None:
    await engine.set_queue("mail", limit=limit)
    handles = [await engine.submit("work", n, queue="mail") for n in range(20)]
    others = [await open_engine() for _ in range(2)] if engine.adapter.atomic else []
    async with asyncio.timeout(60):
        await asyncio.gather(*(one.work(until_idle=True) for one in (engine, *others)))
    runs = await records(handles)
    assert [run.result for run in runs] == [2 * n for n in range(20)]
    assert most_at_once(runs) <= limit
    assert await lanes(engine, handles) == {None}
    queue = await engine.queue("mail")
    assert (queue.on_their_way, queue.waiting) == (0, 0)


async def test_a_run_that_fails_or_is_cancelled_gives_its_slot_back(engine: Engine) -> None:
    await engine.set_queue("mail", limit=1)
    failing = await engine.submit("fail", "no", queue="mail")
    asked, forced = [await engine.submit("wait", queue="mail") for _ in range(2)]
    last = await engine.submit("work", 1, queue="mail")
    working = asyncio.create_task(engine.work())
    try:
        with pytest.raises(TaskFailed):
            await failing.result(30)
        await _until(asked, "suspended")
        await asked.cancel()
        await _until(forced, "suspended")
        await forced.cancel(force=True)
        assert await last.result(30) == 2
    finally:
        working.cancel()
    assert (await engine.queue("mail")).on_their_way == 0


async def _until(handle: RunHandle, status: str) -> None:
    async with asyncio.timeout(30):
        while (await handle.record()).status != status:
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("force", [False, True])
async def test_a_run_that_waits_is_cancelled_without_being_started(engine: Engine, force: bool) -> None:
    await engine.set_queue("mail", limit=1, paused=True)
    handle = await engine.submit("work", 1, queue="mail", key="k")
    await handle.cancel(force=force)
    await engine.work(until_idle=True)
    with pytest.raises(TaskCancelled):
        await handle.result(5)
    record = await handle.record()
    assert record.started_at is None
    assert await handle.calls() == [] if force else len(await handle.calls()) == 1
    assert (await engine.queue("mail")).waiting == 0


async def test_a_lower_limit_holds_for_whoever_is_admitted_after_it_was_set(engine: Engine) -> None:
    await engine.set_queue("mail", limit=3)
    handles = [await engine.submit("wait", n, queue="mail") for n in range(5)]
    await engine.work(until_idle=True)
    assert [run.status for run in await records(handles)] == ["suspended"] * 3 + ["pending"] * 2
    await engine.set_queue("mail", limit=2)
    await handles[0].send("go", 1)
    await engine.work(until_idle=True)
    assert [run.status for run in await records(handles)][3:] == ["pending"] * 2
    await handles[1].send("go", 1)
    await engine.work(until_idle=True)
    assert [run.status for run in await records(handles)][3:] == ["suspended", "pending"]
    await engine.set_queue("mail", limit=None)
    await engine.work(until_idle=True)
    assert (await handles[4].record()).status == "suspended"


async def test_a_paused_queue_admits_nobody_and_what_is_on_its_way_goes_on(engine: Engine) -> None:
    await engine.set_queue("mail", limit=1)
    begun, waiting = [await engine.submit("wait", n, queue="mail") for n in range(2)]
    await engine.work(until_idle=True)
    await engine.pause_queue("mail")
    await begun.send("go", "done")
    await engine.work(until_idle=True)
    assert (await begun.record()).result == "done"
    assert (await waiting.record()).status == "pending"
    await engine.resume_queue("mail")
    await engine.work(until_idle=True)
    assert (await waiting.record()).status == "suspended"


async def test_no_more_are_admitted_in_a_period_than_the_rate_says(engine: Engine) -> None:
    await engine.set_queue("mail", rate=(2, timedelta(seconds=0.4)))
    began = await engine.adapter.now()
    handles = [await engine.submit("work", n, queue="mail") for n in range(5)]
    await engine.work(until_idle=True)
    runs = await records(handles)
    assert [run.result for run in runs] == [0, 2, 4, 6, 8]
    times = sorted(run.started_at - began for run in runs if run.started_at is not None)
    assert times[2] >= timedelta(seconds=0.4)
    assert times[4] >= timedelta(seconds=0.8)


async def test_a_worker_carries_no_more_of_a_queue_than_it_may(engine: Engine, most_at_once: MostAtOnce) -> None:
    await engine.set_queue("heavy", per_worker=2)
    handles = [await engine.submit("work", n, queue="heavy") for n in range(12)]
    async with asyncio.timeout(60):
        await engine.work(until_idle=True)
    runs = await records(handles)
    assert sorted(run.result for run in runs) == [2 * n for n in range(12)]
    assert most_at_once(runs) <= 2


# ---- in which order


async def test_the_highest_priority_goes_first_and_among_equals_the_oldest(
    engine: Engine, in_order_of_start: InOrder
) -> None:
    await engine.set_queue("mail", limit=1, paused=True)
    priorities = [0, 5, -100, 5, 0, 100]
    handles = [
        await engine.submit("work", [place, priority], queue="mail", priority=priority)
        for place, priority in enumerate(priorities)
    ]
    await engine.resume_queue("mail")
    await engine.work(until_idle=True)
    order = in_order_of_start(await records(handles))
    assert order == [[5, 100], [1, 5], [3, 5], [0, 0], [4, 0], [2, -100]]


async def test_runs_of_one_key_go_one_by_one_and_hold_up_nobody_else(
    engine: Engine, most_at_once: MostAtOnce, in_order_of_start: InOrder
) -> None:
    await engine.set_queue("mail", limit=4, paused=True)
    same = [await engine.submit("work", n, queue="mail", key="ключ 7") for n in range(6)]
    others = [await engine.submit("work", n, queue="mail", key=str(n)) for n in range(3)]
    await engine.resume_queue("mail")
    await engine.work(until_idle=True)
    runs = await records(same)
    assert most_at_once(runs) == 1
    assert in_order_of_start(runs) == [*range(6)]
    last_of_same = max(run.started_at for run in runs if run.started_at is not None)
    assert all(run.started_at is not None and run.started_at < last_of_same for run in await records(others))
    assert await lanes(engine, [*same, *others]) == {None}


async def test_a_key_is_held_until_the_run_has_ended_also_without_a_limit(engine: Engine) -> None:
    await engine.set_queue("mail")
    first, second = [await engine.submit("wait", queue="mail", key="k") for _ in range(2)]
    third = await engine.submit("wait", queue="mail", key="another")
    await engine.work(until_idle=True)
    assert [run.status for run in await records([first, second, third])] == ["suspended", "pending", "suspended"]
    await first.send("go", 1)
    await engine.work(until_idle=True)
    assert [run.status for run in await records([first, second])] == ["completed", "suspended"]


async def test_a_key_is_given_on_when_one_that_waited_for_it_is_cancelled(engine: Engine) -> None:
    await engine.set_queue("mail", limit=5)
    handles = [await engine.submit("wait", n, queue="mail", key="k") for n in range(3)]
    await engine.work(until_idle=True)
    await handles[1].cancel()
    await engine.work(until_idle=True)
    await handles[0].cancel(force=True)
    await engine.work(until_idle=True)
    assert [run.status for run in await records(handles)] == ["cancelled", "cancelled", "suspended"]


async def test_a_long_queue_keeps_no_other_from_its_turn(engine: Engine) -> None:
    """A run of another queue starts before the runs of a long one that were not taken up when it came."""
    await engine.set_queue("long")
    await engine.set_queue("short")
    many = [await engine.submit("work", n, queue="long") for n in range(300)]
    one = await engine.submit("work", 1, queue="short")
    await engine.work(concurrency=4, until_idle=True)
    started = (await one.record()).started_at
    before = sum(run.started_at < started for run in await records(many) if run.started_at and started)
    assert before < 150


# ---- when


async def test_a_run_does_not_start_before_its_time_whatever_wakes_it(engine: Engine) -> None:
    far = await engine.adapter.now() + timedelta(days=1)
    handle = await engine.submit("wait", at=far)
    await handle.send("go", 0)
    await engine.work(until_idle=True)
    record, frame = await handle.record(), await engine.adapter.get_stack_run(handle.id)
    assert (record.status, record.started_at) == ("pending", None)
    assert frame is not None
    assert frame.due_at == far
    await handle.cancel()
    await engine.work(until_idle=True)
    assert (await handle.record()).status == "cancelled"


@pytest.mark.parametrize("queue", [None, "mail"])
async def test_a_run_starts_at_its_time(engine: Engine, queue: str | None) -> None:
    await engine.set_queue("mail", limit=1)
    at = await engine.adapter.now() + timedelta(seconds=0.5)
    handle = await engine.submit("work", 4, at=at.astimezone(), queue=queue)
    await engine.work(until_idle=True)
    record = await handle.record()
    assert record.result == 8
    assert record.started_at is not None
    assert record.started_at >= at


async def test_a_time_that_is_past_is_now(engine: Engine) -> None:
    handle = await engine.submit("work", 1, at=datetime(2000, 1, 1, tzinfo=UTC))
    await engine.work(until_idle=True)
    assert await handle.result(5) == 2


# ---- who


async def test_a_function_has_a_queue_of_its_own(engine: Engine, most_at_once: MostAtOnce) -> None:
    await engine.publish("alone", "async def main(input):\n    return input\n", limit=1)
    assert (await engine.queue("alone")).settings.limit == 1
    handles = [await engine.submit("alone", n) for n in range(4)]
    assert await lanes(engine, handles) == {"queue-alone.w0"}
    await engine.work(until_idle=True)
    assert most_at_once(await records(handles)) == 1


async def test_children_go_through_queues(engine: Engine, most_at_once: MostAtOnce) -> None:
    await engine.set_queue("mail", limit=1)
    assert await engine.run("parent", {"queue": "mail", "key": "k"}) == [0, 2, 4, 6]
    children = await engine.adapter.query_task_runs({"task_identifier": "work"})
    assert most_at_once(children) == 1


async def test_a_child_of_a_queue_that_there_is_not_fails_at_its_call(engine: Engine) -> None:
    with pytest.raises(TaskFailed, match="no queue 'nowhere'"):
        await engine.run("parent", {"queue": "nowhere"})


async def test_engine_run_carries_a_run_through_its_queue(engine: Engine) -> None:
    await engine.publish("mine", "async def main(input):\n    return [input]\n", limit=2)
    assert await engine.run("mine", 0) == [0]
    handle = await engine.submit("mine", 1)
    await engine.carry(engine.handle(handle.id))
    assert await handle.result(5) == [1]


async def test_the_same_id_is_the_same_run_wherever_it_is(engine: Engine) -> None:
    await engine.set_queue("mail", limit=1, paused=True)
    for _ in range(2):
        await engine.submit("work", 1, id="monday", queue="mail", priority=3)
    assert (await engine.queue("mail")).waiting == 1
    await engine.resume_queue("mail")
    await engine.work(until_idle=True)
    assert await (await engine.submit("work", 1, id="monday", queue="mail", priority=3)).result(5) == 2


# ---- what cannot be


async def test_a_queue_that_there_is_not_is_named_with_those_there_are(engine: Engine) -> None:
    await engine.set_queue("mail")
    with pytest.raises(QueueNotFound, match=r"no queue 'male' \(there are: mail\). Make it: sequential queue set male"):
        await engine.submit("work", 1, id="lost", queue="male")
    assert await engine.adapter.get_task_run("lost") is None
    for asking in (engine.queue("male"), engine.pause_queue("male"), engine.delete_queue("male")):
        with pytest.raises(QueueNotFound):
            await asking


@pytest.mark.parametrize(
    ("asked", "error", "said"),
    [
        ({"priority": 1}, ConfigurationError, "name one: queue="),
        ({"key": "k"}, ConfigurationError, "name one: queue="),
        ({"queue": "mail", "priority": 101}, ConfigurationError, "from -100 to 100"),
        ({"queue": "mail", "priority": True}, ConfigurationError, "from -100 to 100"),
        ({"queue": "mail", "key": ""}, ConfigurationError, "1 to 255 characters"),
        ({"queue": "mail", "key": 7}, ConfigurationError, "1 to 255 characters"),
        ({"queue": "../x"}, InvalidId, "queue name"),
        ({"queue": ""}, InvalidId, "queue name"),
        ({"queue": "a.b"}, InvalidId, "queue name"),
        ({"queue": "x" * 59}, InvalidId, "queue name"),
        ({"at": datetime.fromisoformat("2030-01-01")}, InvalidValue, "no time zone"),
    ],
)
async def test_what_cannot_be_asked_for_is_refused_and_stores_nothing(
    engine: Engine, asked: dict[str, Any], error: type[Exception], said: str
) -> None:
    await engine.set_queue("mail")
    with pytest.raises(error, match=said):
        await engine.submit("work", 1, id="lost", **asked)
    assert await engine.adapter.get_task_run("lost") is None


@pytest.mark.parametrize("queue", ["male", "own"])
async def test_a_run_with_a_start_time_needs_its_queue_too(engine: Engine, queue: str) -> None:
    await engine.publish("mine", "async def main(input):\n    return input\n", limit=1, queue="own")
    await engine.delete_queue("own")
    tomorrow = await engine.adapter.now() + timedelta(days=1)
    with pytest.raises(QueueNotFound, match=f"no queue '{queue}'"):
        await engine.submit("mine", 1, id="lost", queue=None if queue == "own" else queue, at=tomorrow)
    assert await engine.adapter.get_task_run("lost") is None


async def test_a_queue_with_runs_is_not_deleted(engine: Engine) -> None:
    await engine.set_queue("mail", paused=True)
    handle = await engine.submit("work", 1, queue="mail")
    with pytest.raises(ConfigurationError, match="1 waiting"):
        await engine.delete_queue("mail")
    await handle.cancel(force=True)
    await engine.delete_queue("mail")
    assert await engine.queues() == []


async def test_settings_changed_by_two_at_once_are_both_kept(engine: Engine) -> None:
    await engine.set_queue("mail")
    await asyncio.gather(engine.set_queue("mail", limit=7), engine.set_queue("mail", per_worker=2))
    settings = (await engine.queue("mail")).settings
    assert (settings.limit, settings.per_worker) == (7, 2)
