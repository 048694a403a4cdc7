"""What callers give, made into rows and steps in their own thread: checked, filled in, payloads turned to text at
once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sequential_adaptor import ids, values
from sequential_adaptor.backends.folder.drafts import Put, Set, Step
from sequential_adaptor.backends.folder.rows import Row, seal, seal_changes
from sequential_adaptor.errors import ConfigurationError, InvalidValue
from sequential_adaptor.records import StackRun, TaskRun, as_record, check_fields
from sequential_adaptor.storage.changes import Change, Create, Update, Wake
from sequential_adaptor.storage.filling import new_stack_run, new_task_run


def new_run(given: TaskRun | Mapping[str, Any], now: datetime) -> TaskRun:
    """The row of a new run; what no backend would store is refused with its path."""
    try:
        return new_task_run(seal(as_record(TaskRun, given)), now)
    except InvalidValue:
        new_task_run(given, now)  # says the same with the field in its path
        raise


def new_stack(given: StackRun | Mapping[str, Any], now: datetime) -> StackRun:
    """The row of a new stack run; like :func:`new_run`."""
    try:
        return new_stack_run(seal(as_record(StackRun, given)), now)
    except InvalidValue:
        new_stack_run(given, now)  # says the same with the field in its path
        raise


def set_step(update: Update) -> Set:
    """The step of an update."""
    check_id(update.record, update.id)
    changes = seal_changes(update.record, update.changes)
    check_fields(update.record, set(update.expect))
    if isinstance(run_id := changes.get("task_run_id"), str):
        ids.check_run_id(run_id)
    return Set(update, changes)


def steps_of(changes: Sequence[Change], now: datetime) -> list[Step]:
    """The steps of a commit."""
    return [_step(change, now) for change in changes]


def _step(change: Change, now: datetime) -> Step:
    if isinstance(change, Create):
        return Put(_new(change.record, now))
    if isinstance(change, Update):
        return set_step(change)
    if isinstance(change, Wake):
        ids.check_stack_run_id(change.stack_run_id)
        return change
    raise ConfigurationError(f"{change!r} is no change (there are: Create, Update, Wake)")


def _new(record: Any, now: datetime) -> Row:
    if isinstance(record, TaskRun):
        return new_run(record, now)
    return new_stack(record, now)


def check_id(kind: type, id: object) -> None:
    """Refuse an id that no record of that kind can have."""
    if kind is TaskRun:
        ids.check_run_id(id)
    else:
        ids.check_stack_run_id(id)


def check_commit_id(id: object) -> str:
    """The id of a commit: any text that is not empty."""
    if type(id) is not str or not id:
        raise ConfigurationError(f"the id of a commit is text that is made once for it, not {id!r}")
    values.check(id, "$.id")
    return id


def check_lease(worker: object, lease: float) -> None:
    """Refuse a worker without a name and a lease that has no length."""
    if type(worker) is not str or not worker:
        raise ConfigurationError(f"the name of a worker is text that is not empty, not {worker!r}")
    values.check(worker, "$.worker")
    if not 0 < lease < 10**9:
        raise ConfigurationError(f"a lease of {lease!r} seconds; it is a number above 0")
