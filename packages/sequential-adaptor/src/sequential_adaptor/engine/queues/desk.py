"""Queues as people see them: made, changed, looked at, deleted."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

from sequential_adaptor import ids
from sequential_adaptor.engine.queues import passes, places
from sequential_adaptor.engine.queues.entrance import Entrance
from sequential_adaptor.engine.queues.settings import Place, QueueSettings, Rate, name_of, queue_id
from sequential_adaptor.engine.rules import lanes
from sequential_adaptor.errors import ConfigurationError, Conflict, QueueNotFound, RecordExists, RecordNotFound
from sequential_adaptor.records import StackRun, TaskRun
from sequential_adaptor.storage.changes import Create, Update, Wake

if TYPE_CHECKING:
    from sequential_adaptor.storage import StorageAdapter

RUNNER: Final = "queue"
"""The runner, and the task, of the runs that queues are: nobody's code, and of no use to those who list runs."""
MOST_COUNTED: Final = 1_000
_TRIES: Final = 20


@dataclass(frozen=True, slots=True)
class Queue:
    """A queue as it is now.

    - ``on_their_way``: how many of its runs were admitted and have not ended; in a queue without a limit, how many
      were admitted and are not yet taken up.
    - ``waiting``: how many may be next, counted up to 1,000. Those whose start time has not come, or that wait for
      another of their key, are not among them.
    """

    name: str
    settings: QueueSettings
    on_their_way: int
    waiting: int


async def set_queue(store: StorageAdapter, name: str, changes: Mapping[str, Any]) -> QueueSettings:
    """Make a queue, or change what is named; it holds for whatever is admitted after this returns."""
    wanted = {**changes}
    if isinstance(wanted.get("rate"), tuple):
        wanted["rate"] = rate_of(wanted["rate"])
    for _ in range(_TRIES):  # others may make and delete it meanwhile
        if (settings := await _changed(store, name, wanted)) is not None:
            return settings
        new = QueueSettings(**wanted)
        if await _made(store, queue_id(name), new):
            return new
    raise _in_the_way(queue_id(name), name)


async def change(store: StorageAdapter, name: str, changes: Mapping[str, Any]) -> QueueSettings:
    """Change what is named of a queue that there is, or :class:`QueueNotFound`."""
    settings = await _changed(store, name, changes)
    if settings is None:
        raise await not_found(store, name)
    return settings


def rate_of(given: object) -> Rate:
    """A rate from a count and a period."""
    if isinstance(given, tuple) and len(given) == 2 and isinstance(given[1], timedelta):
        return Rate(given[0], given[1])
    raise ConfigurationError(f"rate is {given!r}; it is a count and a timedelta: rate=(100, timedelta(minutes=1))")


async def find(store: StorageAdapter, name: str) -> Queue:
    """The queue of that name, or :class:`QueueNotFound`."""
    id = queue_id(name)
    settings = _settings(await _frame(store, name), name)
    seen = await Entrance(store, id).seen()
    waiting = [lanes.lane(id, lanes.waiting(priority)) for priority in seen.priorities]
    rows = await store.query_stack_runs({"parent_stack_run_id": waiting}, limit=MOST_COUNTED)
    return Queue(name, settings, len(seen.inside), sum(not passes.has_ended(row) for row in rows))


async def find_all(store: StorageAdapter) -> list[Queue]:
    """All queues, by name."""
    found: list[Queue] = []
    for name in await names(store):
        with contextlib.suppress(QueueNotFound):  # it was deleted meanwhile
            found.append(await find(store, name))
    return found


async def names(store: StorageAdapter) -> list[str]:
    """The names of the queues there are, sorted."""
    runs = await store.query_task_runs({"task_identifier": RUNNER, "runner": RUNNER, "status": "suspended"})
    return sorted(name_of(run.id) for run in runs)


async def not_found(store: StorageAdapter, name: str) -> QueueNotFound:
    """The error that says which queues there are."""
    return QueueNotFound(name, await names(store))


async def check_place(store: StorageAdapter, place: Place) -> None:
    """:class:`QueueNotFound` where there is no such queue."""
    if await store.get_stack_run(place.queue_id) is None:
        raise await not_found(store, place.queue)


async def ahead(store: StorageAdapter, frame: StackRun) -> int | None:
    """How many are to be admitted before a run that waits, counted up to 1,000; ``None`` for one that does not."""
    id = lanes.queue_of(frame)
    if id is None or lanes.is_admitted(frame) or lanes.is_later(frame):
        return None
    seen = await Entrance(store, id).seen()
    before = [priority for priority in seen.priorities if priority >= passes.priority_of(frame)]
    rows = await Entrance(store, id).waiting(replace(seen, priorities=before), (), MOST_COUNTED)
    return sum(passes.order(row) < passes.order(frame) for row in rows)


async def delete(store: StorageAdapter, name: str) -> None:
    """Forget a queue through which nothing goes any more."""
    _settings(await _frame(store, name), name)  # any other run of that id stays
    id = queue_id(name)
    if inside := await Entrance(store, id).everybody():
        on_their_way = sum(map(lanes.is_admitted, inside))
        raise ConfigurationError(
            f"queue {name!r} has {len(inside) - on_their_way} waiting and {on_their_way} on their way;"
            " let them end, or cancel them, before it is deleted"
        )
    await store.delete_task_run(id)
    await _let_go(store, id)


def place_of(metadata: Any, queue: str | None, priority: int | None, key: str | None) -> Place | None:
    """The place that is asked for: in the queue that is named, else in the function's own; ``None`` for no queue."""
    own = metadata.get("queue") if isinstance(metadata, dict) else None
    name = queue if queue is not None else own
    if name is None:
        for what, value in (("priority", priority), ("key", key)):
            if value is not None:
                raise ConfigurationError(f"{what}={value!r} is an order among the runs of a queue; name one: queue=...")
        return None
    return Place(name, 0 if priority is None else priority, key)


async def _frame(store: StorageAdapter, name: str) -> StackRun:
    frame = await store.get_stack_run(queue_id(name))
    if frame is None:
        raise await not_found(store, name)
    return frame


async def _let_go(store: StorageAdapter, id: str) -> None:
    """Whoever came in the last moment of a queue goes on without it, and nobody who has ended is kept for it.

    Those who wait for their start time are let go then, and those who were admitted need the queue no more.
    """
    now = await store.now()
    inside = await Entrance(store, id).everybody()
    left = [row for row in inside if not lanes.is_admitted(row) and not lanes.is_later(row)]
    ended = await store.query_stack_runs({"parent_stack_run_id": lanes.lane(id, lanes.RELEASED)})
    for change in (*(places.outside(row, now) for row in left), *passes.released(ended)):
        with contextlib.suppress(Conflict, RecordNotFound):  # it went its own way meanwhile
            await store.commit((change,), id=ids.new_id())


async def _changed(store: StorageAdapter, name: str, changes: Mapping[str, Any]) -> QueueSettings | None:
    """The settings with these changes, stored; ``None`` where there is no such queue."""
    id = queue_id(name)
    while (frame := await store.get_stack_run(id)) is not None:
        settings = replace(_settings(frame, name), **changes)
        update = Update(StackRun, id, {"options": {passes.GATE: settings.to_json()}}, {"options": frame.options})
        with contextlib.suppress(Conflict, RecordNotFound):  # somebody else changes it too, or deletes it
            await store.commit((update, Wake(id)), id=ids.new_id())
            return settings
    return None


async def _made(store: StorageAdapter, id: str, settings: QueueSettings) -> bool:
    """Make a queue; it looks at once whether anybody waits, as one of its name may have been deleted."""
    run = TaskRun(id=id, task_identifier=RUNNER, runner=RUNNER, status="suspended")
    frame = StackRun(id=id, task_run_id=id, status="suspended_waiting_child", options={passes.GATE: settings.to_json()})
    try:
        await store.commit((Create(run), Create(frame), Wake(id)), id=ids.new_id())
    except RecordExists:
        return False
    return True


def _settings(frame: StackRun, name: str) -> QueueSettings:
    found = frame.options.get(passes.GATE) if isinstance(frame.options, dict) else None
    if found is None:
        raise _in_the_way(frame.id, name)
    return QueueSettings.from_json(found)


def _in_the_way(run_id: str, name: str) -> ConfigurationError:
    return ConfigurationError(f"run {run_id} is in the way of a queue {name!r}; give the queue another name")
