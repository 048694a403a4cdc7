"""Schedules as people see them: made, changed, looked at, deleted."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from sequential_adaptor import ids
from sequential_adaptor.engine.queues import desk as queues
from sequential_adaptor.engine.schedules import firing
from sequential_adaptor.engine.schedules.clerk import SCHEDULE
from sequential_adaptor.engine.schedules.firing import Progress
from sequential_adaptor.engine.schedules.settings import ScheduleSettings, name_of, schedule_id
from sequential_adaptor.errors import (
    ConfigurationError,
    Conflict,
    RecordExists,
    RecordNotFound,
    ScheduleNotFound,
    TaskFunctionNotFound,
)
from sequential_adaptor.records import StackRun, TaskRun
from sequential_adaptor.storage.changes import Create, Update

if TYPE_CHECKING:
    from sequential_adaptor.storage import StorageAdapter

RUNNER: Final = "schedule"
"""The runner, and the task, of the runs that schedules are."""
_TRIES: Final = 20


@dataclass(frozen=True, slots=True)
class Schedule:
    """A schedule as it is now.

    ``next`` is when it fires next, ``None`` while it is paused; ``last_run`` is the id of the run that it started last,
    ``problem`` why it could not start one, where it could not.
    """

    name: str
    settings: ScheduleSettings
    next: datetime | None
    last_run: str | None
    problem: str | None


async def set_schedule(store: StorageAdapter, name: str, settings: ScheduleSettings) -> Schedule:
    """Make a schedule, or put other settings in the place of those it has."""
    await _check_needs(store, settings)
    for _ in range(_TRIES):  # others may make and delete it meanwhile
        frame = await store.get_stack_run(schedule_id(name))
        with contextlib.suppress(ScheduleNotFound):
            if frame is None and await _made(store, name, settings):
                return await find(store, name)
            return await change(store, name, lambda _: settings)
    raise _in_the_way(schedule_id(name), name)


async def change(store: StorageAdapter, name: str, changed: Callable[[ScheduleSettings], ScheduleSettings]) -> Schedule:
    """Other settings, from now on: a firing is by the old ones or by the new ones, never by both."""
    while True:
        frame = await _frame(store, name)
        settings = changed(_settings(frame, name))
        now = await store.now()
        progress = firing.begun(settings, Progress.from_json(frame.state), now)
        fields = {
            "options": {SCHEDULE: settings.to_json()},
            "state": progress.to_json(),
            "due_at": None if settings.paused else progress.next,
        }
        expect = {"options": frame.options, "state": frame.state}
        try:
            await store.commit((Update(StackRun, frame.id, fields, expect),), id=ids.new_id())
        except (Conflict, RecordNotFound):  # it fires, or somebody else changes or deletes it, at this very moment
            continue
        return _seen(frame.replace(**fields), name)


async def find(store: StorageAdapter, name: str) -> Schedule:
    """The schedule of that name, or :class:`ScheduleNotFound`."""
    return _seen(await _frame(store, name), name)


async def find_all(store: StorageAdapter) -> list[Schedule]:
    """All schedules, by name."""
    found: list[Schedule] = []
    for name in await names(store):
        with contextlib.suppress(ScheduleNotFound):  # it was deleted meanwhile
            found.append(await find(store, name))
    return found


async def names(store: StorageAdapter) -> list[str]:
    """The names of the schedules there are, sorted."""
    runs = await store.query_task_runs({"task_identifier": RUNNER, "runner": RUNNER, "status": "suspended"})
    return sorted(name_of(run.id) for run in runs)


async def coming(store: StorageAdapter, name: str, count: int) -> list[datetime]:
    """The next times at which it fires; none while it is paused."""
    schedule = await find(store, name)
    found: list[datetime] = []
    time = schedule.next
    while time is not None and len(found) < count:
        found.append(time)
        time = schedule.settings.times.after(time)
    return found


async def delete(store: StorageAdapter, name: str) -> None:
    """Forget a schedule; the runs that it has started stay as they are."""
    await change(store, name, lambda settings: replace(settings, paused=True))
    await store.delete_task_run(schedule_id(name))


async def _check_needs(store: StorageAdapter, settings: ScheduleSettings) -> None:
    """What is missing now would be missing when it fires."""
    function = await store.get_task_function(settings.task)
    if function is None:
        raise TaskFunctionNotFound(settings.task)
    place = queues.place_of(function.metadata, settings.queue, settings.priority, settings.key)
    if place is not None:
        await queues.find(store, place.queue)


async def _made(store: StorageAdapter, name: str, settings: ScheduleSettings) -> bool:
    id, progress = schedule_id(name), firing.begun(settings, None, await store.now())
    run = TaskRun(id=id, task_identifier=RUNNER, runner=RUNNER, status="suspended")
    frame = StackRun(
        id=id,
        task_run_id=id,
        status="suspended_waiting_child",
        options={SCHEDULE: settings.to_json()},
        state=progress.to_json(),
        due_at=None if settings.paused else progress.next,
    )
    try:
        await store.commit((Create(run), Create(frame)), id=ids.new_id())
    except RecordExists:
        return False
    return True


async def _frame(store: StorageAdapter, name: str) -> StackRun:
    frame = await store.get_stack_run(schedule_id(name))
    if frame is None:
        raise ScheduleNotFound(name, await names(store))
    return frame


def _seen(frame: StackRun, name: str) -> Schedule:
    settings, progress = _settings(frame, name), Progress.from_json(frame.state)
    next = None if settings.paused else progress.next
    return Schedule(name, settings, next, progress.last_run, progress.problem)


def _settings(frame: StackRun, name: str) -> ScheduleSettings:
    found: Mapping[str, Any] | None = frame.options.get(SCHEDULE) if isinstance(frame.options, dict) else None
    if found is None:
        raise _in_the_way(frame.id, name)
    return ScheduleSettings.from_json(found)


def _in_the_way(run_id: str, name: str) -> ConfigurationError:
    return ConfigurationError(f"run {run_id} is in the way of a schedule {name!r}; give the schedule another name")
