"""Forks: runs that begin with the history of another, and go on from there by themselves."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from sequential_adaptor import ids, values
from sequential_adaptor.engine import rules
from sequential_adaptor.engine.history.points import Story, call_at, check_runner_goes_back, current_version, read_story
from sequential_adaptor.engine.history.readmission import Entry, entry
from sequential_adaptor.engine.history.replacing import replacement
from sequential_adaptor.engine.retention.tombstones import check_id_is_free
from sequential_adaptor.engine.rules.steps import GIVEN_BACK
from sequential_adaptor.errors import Conflict, RecordExists, RecordNotFound
from sequential_adaptor.lifecycles import TASK_RUN
from sequential_adaptor.records import StackRun
from sequential_adaptor.storage.changes import Update
from sequential_adaptor.values import JSON

if TYPE_CHECKING:
    from sequential_adaptor.storage import StorageAdapter

_CHANGES_A_COMMIT: Final = 1_000
_READS: Final = 10
_TRIES: Final = 10
_FORKER: Final = "sequential fork"
"""The ``worker`` of a root frame whose history is not all there yet."""
_HELD: Final[Mapping[str, Any]] = {"worker": _FORKER, "lease_expires_at": datetime(9999, 1, 1, tzinfo=UTC)}
_WAITING: Final = "suspended_waiting_child"  # pending would mean due


async def fork(
    store: StorageAdapter,
    run_id: str,
    *,
    at: int | str,
    changes: Mapping[str, Any] | None = None,
    id: str | None = None,
    latest: bool = False,
) -> str:
    """Make a run with the history of another up to a call, and give its id; see :meth:`RunHandle.fork`."""
    new_id = ids.check_run_id(id) if id is not None else ids.new_id()
    story = await _read(store, run_id)
    call = call_at(story, at)
    check_runner_goes_back(story, [call])
    request: dict[str, JSON] = {"run": run_id, "at": call.id}
    outcome = None if changes is None else replacement(call, changes)
    if outcome is not None:
        request |= {"result": outcome.result} if outcome.error is None else {"error": outcome.error}
    version = await current_version(store, story.run) if latest else story.run.version
    made = rules.Fork(story.run, story.frame, story.rows, call, outcome, request)
    await _store(store, made, new_id, version)
    return new_id


async def _read(store: StorageAdapter, run_id: str) -> Story:
    """The history at one point in time, although a run on its way may go on while its pages are read.

    Read the same twice, it was so in between. What has become of a run that never rests is known as far as it had come
    when it was read the last time but one.
    """
    story = await read_story(store, run_id)
    if story.run.status in TASK_RUN.ended:
        return story
    before = story
    for _ in range(_READS):
        before, story = story, await read_story(store, run_id)
        if _seen(before) == _seen(story):
            return story
    last = max((row.position for row in before.rows if row.position is not None), default=-1)
    return replace(story, rows=[row for row in story.rows if row.position is not None and row.position <= last])


def _seen(story: Story) -> list[tuple[str, int | None, str]]:
    return sorted((row.id, row.position, row.status) for row in story.rows)


async def _store(store: StorageAdapter, made: rules.Fork, new_id: str, version: str) -> None:
    """Once, whoever else does so at the same time, and wherever whoever began it was killed."""
    tries = 0
    while True:
        tries += 1
        known = await _is_there(store, new_id, made)
        try:
            if not known:
                await _begin(store, made, new_id, version)
            return await _fill(store, made, new_id)
        except (Conflict, RecordExists, RecordNotFound):  # what was read has moved, or is gone, since
            if tries == _TRIES:
                raise


async def _begin(store: StorageAdapter, made: rules.Fork, new_id: str, version: str) -> None:
    """The run; with all of its history, unless that is long: then nobody goes on with it before it is filled."""
    history, now = rules.fork_history(made, new_id), await store.now()
    is_long = len(history) > _CHANGES_A_COMMIT
    await check_id_is_free(store, new_id)  # after the look for the run: it may have been pruned since
    queued = Entry({"status": _WAITING, **_HELD}) if is_long else await entry(store, made.frame, now)
    begun = rules.fork_begun(made, new_id, version, queued.fields, now)
    await store.commit([*(() if is_long else history), *begun, *queued.news], id=ids.new_id())


async def _fill(store: StorageAdapter, made: rules.Fork, new_id: str) -> None:
    """Give a fork that was begun without its history that, in parts, and set it free; what is there twice is the same.

    Each part belongs to a run that is there, and on which nobody has gone on.
    """
    frame = await store.get_stack_run(new_id)
    if frame is None or frame.worker != _FORKER:
        return
    history, held = rules.fork_history(made, new_id), {"worker": _FORKER}
    for at in range(0, len(history), _CHANGES_A_COMMIT):
        part = history[at : at + _CHANGES_A_COMMIT]
        await store.commit([Update(StackRun, new_id, held, held), *part], id=ids.new_id())
    queued = await entry(store, made.frame, await store.now())
    free = {**queued.fields, "status": _WAITING, **GIVEN_BACK}
    await store.commit([Update(StackRun, new_id, free, held), *queued.news], id=ids.new_id())


async def _is_there(store: StorageAdapter, new_id: str, made: rules.Fork) -> bool:
    """Whether this very fork was made before."""
    if await store.get_task_run(new_id) is None:
        return False
    mark = await store.get_stack_run(rules.fork_id(new_id))
    if mark is None or not values.identical(mark.input, made.request):
        raise RecordExists("TaskRun", new_id, f"it is not this fork of {made.run.id}")
    return True
