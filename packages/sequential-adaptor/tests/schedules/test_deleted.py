"""Schedules that somebody deletes, or whose queue somebody deletes, at whatever moment."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from sequential_adaptor import Engine, ScheduleNotFound, TaskRun
from sequential_adaptor.errors import ConfigurationError

pytestmark = pytest.mark.backends("folder", "sqlite", "supabase")  # those with a URL

SetClock = Callable[[datetime], None]
Meanwhile = Callable[..., None]

SCHEDULE = "schedule-hourly"
NOON = datetime(2026, 5, 4, 12, 0, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)


def of_the_clerk(*_: object, claims: Any = (), **__: object) -> bool:
    """Whether a commit is that of the schedule's clerk."""
    return any(claim.stack_run.id == SCHEDULE for claim in claims)


def said(caplog: pytest.LogCaptureFixture) -> list[str]:
    """What people are told that it went wrong."""
    return [record.getMessage() for record in caplog.records if record.levelname in ("WARNING", "ERROR")]


async def test_a_schedule_that_is_deleted_while_it_fires_is_no_error(
    engine: Engine, set_clock: SetClock, meanwhile: Meanwhile, caplog: pytest.LogCaptureFixture
) -> None:
    """A deletion is two steps, and the clerk comes in between."""

    async def pause_and_delete() -> None:
        await engine.pause_schedule("hourly")
        delete = engine.adapter.delete_task_run
        meanwhile(engine.adapter, "get_stack_run", lambda: delete(SCHEDULE), lambda id: id == SCHEDULE)

    set_clock(NOON - HOUR / 2)
    await engine.schedule("hourly", "note", cron="0 * * * *")
    set_clock(NOON)
    meanwhile(engine.adapter, "commit", pause_and_delete, of_the_clerk)
    await engine.work(until_idle=True)
    assert (await engine.schedules(), said(caplog)) == ([], [])


async def test_a_schedule_whose_queue_is_deleted_while_it_fires_says_so_at_once(
    engine: Engine, set_clock: SetClock, meanwhile: Meanwhile
) -> None:
    set_clock(NOON - HOUR / 2)
    await engine.set_queue("mail")
    await engine.schedule("hourly", "note", cron="0 * * * *", queue="mail")
    set_clock(NOON)
    meanwhile(engine.adapter, "commit", lambda: engine.delete_queue("mail"), of_the_clerk)
    working = asyncio.create_task(engine.work(lease=30.0))
    async with asyncio.timeout(10):
        while (problem := (await engine.find_schedule("hourly")).problem) is None:
            await asyncio.sleep(0.05)
    working.cancel()
    assert "no queue 'mail'" in problem


async def test_schedules_are_listed_while_one_of_them_is_deleted(engine: Engine, meanwhile: Meanwhile) -> None:
    for name in ("hourly", "other"):
        await engine.schedule(name, "note", every=HOUR)
    delete = engine.adapter.delete_task_run
    meanwhile(engine.adapter, "get_stack_run", lambda: delete(SCHEDULE), lambda id: id == SCHEDULE)
    assert [schedule.name for schedule in await engine.schedules()] == ["other"]


async def test_a_schedule_that_is_deleted_while_it_is_changed_is_not_found(
    engine: Engine, meanwhile: Meanwhile
) -> None:
    await engine.schedule("hourly", "note", every=HOUR)
    meanwhile(engine.adapter, "commit", lambda: engine.adapter.delete_task_run(SCHEDULE))
    with pytest.raises(ScheduleNotFound):
        await engine.pause_schedule("hourly")
    assert await engine.schedules() == []


async def test_a_schedule_that_is_deleted_while_it_is_set_is_made_again(engine: Engine, meanwhile: Meanwhile) -> None:
    await engine.schedule("hourly", "note", every=HOUR)
    meanwhile(engine.adapter, "commit", lambda: engine.adapter.delete_task_run(SCHEDULE))
    schedule = await engine.schedule("hourly", "note", every=2 * HOUR)
    assert schedule.settings.every == 2 * HOUR
    assert await engine.schedules() == [schedule]


async def test_a_run_without_a_frame_is_in_the_way_of_a_schedule(engine: Engine) -> None:
    await engine.adapter.create_task_run(TaskRun(id=SCHEDULE, task_identifier="note"))
    async with asyncio.timeout(20):
        with pytest.raises(ConfigurationError, match="in the way of a schedule 'hourly'"):
            await engine.schedule("hourly", "note", every=HOUR)
