"""How a run comes into the store, once for each id."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from sequential_adaptor import ids, telemetry, values
from sequential_adaptor.engine.queues import desk, places
from sequential_adaptor.engine.queues.settings import Place
from sequential_adaptor.engine.retention.tombstones import check_id_is_free
from sequential_adaptor.errors import RecordExists, RecordNotFound, TaskFunctionNotFound
from sequential_adaptor.records import StackRun, TaskRun, check_time
from sequential_adaptor.storage.changes import Change, Claim, Create
from sequential_adaptor.values import JSON

if TYPE_CHECKING:
    from sequential_adaptor.storage import StorageAdapter


@dataclass(frozen=True, slots=True)
class Submission:
    """A run that is to be stored by ``changes``: its own record first, then its root frame.

    One that is ``named`` has an id that somebody chose, and may be there already.
    """

    run: TaskRun
    changes: tuple[Change, ...]
    place: Place | None
    named: bool

    @property
    def queue_id(self) -> str | None:
        """The queue that it goes through."""
        return None if self.place is None else self.place.queue_id

    @property
    def is_due_at_once(self) -> bool:
        """Whether nothing has to happen before it may begin."""
        return len(self.changes) == 2 and self._frame.status == "pending" and self._frame.due_at is None

    def held_by(self, worker: str, now: datetime, expires_at: datetime) -> tuple[Submission, Claim]:
        """The same, claimed by the worker in the commit that stores it, as its first claim.

        Only for one that is due at once.
        """
        run = self.run.replace(created_at=now)
        frame = self._frame.replace(
            worker=worker, token=1, lease_expires_at=expires_at, due_at=now, created_at=now, updated_at=now
        )
        claim = Claim(frame, worker, frame.token, expires_at)
        return Submission(run, (Create(run), Create(frame)), self.place, self.named), claim

    @property
    def _frame(self) -> StackRun:
        frame = self.changes[1]
        assert isinstance(frame, Create)  # that is what a submission is
        assert isinstance(frame.record, StackRun)
        return frame.record


async def prepare(
    store: StorageAdapter,
    identifier: str,
    input: JSON,
    *,
    id: str | None = None,
    at: datetime | None = None,
    queue: str | None = None,
    priority: int | None = None,
    key: str | None = None,
) -> Submission:
    """A run of the current version of a function. See :meth:`Engine.submit` for what is asked for."""
    values.check(input, "$.input")
    run_id = ids.check_run_id(id) if id is not None else ids.new_id()
    function = await store.get_task_function(ids.check_identifier(identifier))
    if function is None:
        raise TaskFunctionNotFound(identifier)
    context = None if telemetry.active is None else telemetry.active.carried()
    place = desk.place_of(function.metadata, queue, priority, key)
    start = None if at is None else await _still_to_come(store, at)
    if place is not None and start is not None:  # else its commit finds that there is no such queue
        await desk.check_place(store, place)
    changes = places.submission(function, run_id, input, place=place, at=start, metadata=context)
    run = changes[0]
    assert isinstance(run, Create)  # that is what a submission is
    assert isinstance(run.record, TaskRun)
    return Submission(run.record, changes, place, named=id is not None)


async def store_once(store: StorageAdapter, submission: Submission) -> bool:
    """Store it, and say whether it is stored by this; else there is the same run already.

    :class:`RecordExists` where the id belongs to a run of another function, or with another input.
    """
    run, place = submission.run, submission.place
    if submission.named and await _is_there(store, run):
        return False
    try:
        await store.commit(submission.changes, id=ids.new_id())
        return True
    except RecordNotFound as error:
        if place is None:
            raise
        raise await desk.not_found(store, place.queue) from error
    except RecordExists:
        if not await _is_there(store, run):
            raise
        return False


async def _is_there(store: StorageAdapter, run: TaskRun) -> bool:
    """Whether the same run is stored; :class:`RunPruned` where it was once, and is no more.

    It is asked for first: a run that is not there, and has no tombstone after that, was not pruned in between.
    """
    found = await store.get_task_run(run.id)
    if found is None:
        await check_id_is_free(store, run.id)
        return False
    _check_same(found, run)
    return True


async def _still_to_come(store: StorageAdapter, at: datetime) -> datetime | None:
    """The time, if the store's clock has not reached it."""
    check_time(at, "at")
    return at if at > await store.now() else None


def _check_same(found: TaskRun, submitted: TaskRun) -> None:
    if found.task_identifier != submitted.task_identifier:
        raise RecordExists("TaskRun", found.id, f"it is a run of {found.task_identifier!r}") from None
    if not values.identical(found.input, submitted.input):
        raise RecordExists("TaskRun", found.id, "it has another input") from None
