"""Schedules over real stores, by a clock that is set: each time fires exactly one run."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from sequential_adaptor import Engine, QueueNotFound, ScheduleNotFound, TaskFunctionNotFound
from sequential_adaptor.errors import ConfigurationError, InvalidId

pytestmark = pytest.mark.backends("folder", "sqlite", "supabase")  # those with a URL

SetClock = Callable[[datetime], None]
RunsOf = Callable[[Engine, str], Any]

NOON = datetime(2026, 5, 4, 12, 0, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)


async def work_at(engine: Engine, set_clock: SetClock, now: datetime) -> None:
    set_clock(now)
    await engine.work(until_idle=True)


async def test_each_time_fires_one_run(engine: Engine, set_clock: SetClock, runs_of: RunsOf) -> None:
    set_clock(NOON - timedelta(minutes=5))
    made = await engine.schedule("hourly", "note", {"n": 0}, cron="0 * * * *")
    assert made.next == NOON
    for moment in (NOON - timedelta(minutes=2), NOON, NOON + timedelta(seconds=1), NOON + HOUR):
        await work_at(engine, set_clock, moment)
    assert await runs_of(engine, "hourly") == ["20260504T120000Z", "20260504T130000Z"]
    handle = engine.handle("hourly-20260504T120000Z")
    assert await handle.result(5) == {"n": 0}
    assert (await handle.record()).metadata == {"schedule": "hourly", "time": "2026-05-04T12:00:00.000000Z"}
    assert (await engine.find_schedule("hourly")).last_run == "hourly-20260504T130000Z"


@pytest.mark.parametrize(
    ("missed", "late", "expected"),
    [
        ("latest", timedelta(minutes=10), ["150000"]),
        ("latest", timedelta(seconds=10), ["150000"]),
        ("skip", timedelta(minutes=10), []),
        ("skip", timedelta(seconds=10), ["150000"]),
        ("all", timedelta(minutes=10), ["120000", "130000", "140000", "150000"]),
    ],
)
async def test_times_that_nobody_was_there_for_are_made_up_as_was_said(
    engine: Engine, set_clock: SetClock, runs_of: RunsOf, missed: str, late: timedelta, expected: list[str]
) -> None:
    set_clock(NOON - timedelta(minutes=5))
    await engine.schedule("hourly", "note", cron="0 * * * *", missed=missed)
    for again in (timedelta(0), timedelta(minutes=1)):
        await work_at(engine, set_clock, NOON + 3 * HOUR + late + again)
    assert await runs_of(engine, "hourly") == [f"20260504T{time}Z" for time in expected]


async def test_no_more_than_a_hundred_are_made_up(engine: Engine, set_clock: SetClock, runs_of: RunsOf) -> None:
    set_clock(NOON)
    await engine.schedule("often", "note", every=timedelta(minutes=5), start=NOON, missed="all")
    await work_at(engine, set_clock, NOON + timedelta(days=300, seconds=30))
    found = await runs_of(engine, "often")
    assert len(found) == 100
    assert found[-1] == f"{NOON + timedelta(days=300):%Y%m%dT%H%M%SZ}"


async def test_a_schedule_that_is_paused_fires_nothing_and_makes_nothing_up(
    engine: Engine, set_clock: SetClock, runs_of: RunsOf
) -> None:
    set_clock(NOON - timedelta(minutes=5))
    await engine.schedule("hourly", "note", cron="0 * * * *", missed="all")
    assert (await engine.pause_schedule("hourly")).next is None
    assert await engine.next_times("hourly") == []
    await work_at(engine, set_clock, NOON + 2 * HOUR)
    assert (await engine.resume_schedule("hourly")).next == NOON + 3 * HOUR
    await work_at(engine, set_clock, NOON + 2 * HOUR + timedelta(seconds=10))
    assert await runs_of(engine, "hourly") == []
    await work_at(engine, set_clock, NOON + 3 * HOUR)
    assert await runs_of(engine, "hourly") == ["20260504T150000Z"]


@pytest.mark.parametrize(("overlap", "count"), [("skip", 1), ("allow", 3)])
async def test_a_run_that_has_not_ended_keeps_the_next_from_starting_where_that_is_said(
    engine: Engine, set_clock: SetClock, runs_of: RunsOf, overlap: str, count: int
) -> None:
    set_clock(NOON - timedelta(minutes=5))
    await engine.schedule("hourly", "slow", cron="0 * * * *", overlap=overlap)
    for hour in range(3):
        await work_at(engine, set_clock, NOON + hour * HOUR)
    assert len(await runs_of(engine, "hourly")) == count
    await engine.handle("hourly-20260504T120000Z").send("go", 1)
    await work_at(engine, set_clock, NOON + 2 * HOUR + timedelta(minutes=1))
    await work_at(engine, set_clock, NOON + 3 * HOUR)
    assert len(await runs_of(engine, "hourly")) == count + 1


async def test_runs_of_a_schedule_go_through_its_queue(engine: Engine, set_clock: SetClock) -> None:
    set_clock(NOON - timedelta(minutes=5))
    await engine.set_queue("one", limit=1)
    await engine.schedule("hourly", "slow", cron="0 * * * *", queue="one", priority=3, key="k")
    for hour in range(2):
        await work_at(engine, set_clock, NOON + hour * HOUR)
    statuses = [(await engine.handle(f"hourly-20260504T1{hour}0000Z").record()).status for hour in (2, 3)]
    assert statuses == ["suspended", "pending"]


async def test_a_schedule_that_was_changed_fires_as_it_is_now(
    engine: Engine, set_clock: SetClock, runs_of: RunsOf
) -> None:
    set_clock(NOON - timedelta(minutes=5))
    await engine.schedule("daily", "note", 1, cron="0 12 * * *")
    await engine.schedule("daily", "note", 2, cron="30 12 * * *")
    await work_at(engine, set_clock, NOON)
    assert await runs_of(engine, "daily") == []
    await work_at(engine, set_clock, NOON + timedelta(minutes=30))
    assert await engine.handle("daily-20260504T123000Z").result(5) == 2
    assert len(await engine.schedules()) == 1


async def test_what_is_missing_when_it_fires_is_said_and_the_run_is_made_up(
    engine: Engine, set_clock: SetClock, runs_of: RunsOf
) -> None:
    set_clock(NOON - timedelta(minutes=5))
    await engine.set_queue("gone")
    await engine.schedule("hourly", "note", cron="0 * * * *", queue="gone")
    await engine.delete_queue("gone")
    set_clock(NOON)
    working = asyncio.create_task(engine.work())
    async with asyncio.timeout(30):
        while (problem := (await engine.find_schedule("hourly")).problem) is None:
            await asyncio.sleep(0.05)
    working.cancel()
    assert "no queue 'gone'" in problem
    await engine.set_queue("gone")
    await work_at(engine, set_clock, NOON + timedelta(minutes=1))
    assert await runs_of(engine, "hourly") == ["20260504T120000Z"]
    assert (await engine.find_schedule("hourly")).problem is None


async def test_a_schedule_is_deleted_and_its_runs_stay(engine: Engine, set_clock: SetClock, runs_of: RunsOf) -> None:
    set_clock(NOON - timedelta(minutes=5))
    await engine.schedule("hourly", "note", cron="0 * * * *")
    await work_at(engine, set_clock, NOON)
    await engine.delete_schedule("hourly")
    await work_at(engine, set_clock, NOON + HOUR)
    assert await runs_of(engine, "hourly") == ["20260504T120000Z"]
    with pytest.raises(ScheduleNotFound, match=r"no schedule 'hourly' \(there are: none\)"):
        await engine.find_schedule("hourly")


@pytest.mark.parametrize(
    ("asked", "error", "said"),
    [
        ({}, ConfigurationError, "either a cron expression or an interval"),
        ({"cron": "0 0 * * *", "every": HOUR}, ConfigurationError, "either a cron expression or an interval"),
        ({"cron": "0 0 * * *", "zone": "Mars/Olympus"}, ConfigurationError, "no time zone 'Mars/Olympus'"),
        ({"every": timedelta(0)}, ConfigurationError, "whole seconds"),
        ({"every": HOUR, "missed": "never"}, ConfigurationError, "one of latest, skip, all"),
        ({"every": HOUR, "overlap": "wait"}, ConfigurationError, "one of allow, skip"),
        ({"every": HOUR, "queue": "nowhere"}, QueueNotFound, "no queue 'nowhere'"),
        ({"every": HOUR, "task": "nothing"}, TaskFunctionNotFound, "nothing"),
        ({"every": HOUR, "name": "a.b"}, InvalidId, "schedule name"),
        ({"every": HOUR, "name": "x" * 48}, InvalidId, "schedule name"),
    ],
)
async def test_what_cannot_be_scheduled_is_refused(
    engine: Engine, asked: dict[str, Any], error: type[Exception], said: str
) -> None:
    given = {"name": "some", "task": "note", **asked}
    with pytest.raises(error, match=said):
        await engine.schedule(given.pop("name"), given.pop("task"), **given)
    assert await engine.schedules() == []


async def test_the_longest_name_makes_ids_that_are_allowed(
    engine: Engine, set_clock: SetClock, runs_of: RunsOf
) -> None:
    set_clock(NOON)
    await engine.schedule("x" * 47, "note", every=HOUR)
    await work_at(engine, set_clock, NOON + HOUR)
    assert await runs_of(engine, "x" * 47) == ["20260504T130000Z"]
