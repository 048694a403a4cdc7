"""How records are checked and filled in, the same in every backend: ids, status, times, what is due."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final, TypeVar

from sequential_adaptor import ids, values
from sequential_adaptor.errors import InvalidValue
from sequential_adaptor.lifecycles import STACK_RUN, TASK_RUN
from sequential_adaptor.records import (
    JSON_FIELDS,
    TIME_FIELDS,
    StackRun,
    TaskFunction,
    TaskRun,
    as_record,
    check_changes,
    check_record,
    field_names,
    to_utc,
    version_of,
)

Run = TypeVar("Run", TaskRun, StackRun)

_FILLED_BY_THE_STORE: Final = frozenset({"created_at", "updated_at", "last_commit"})


def new_task_run(given: TaskRun | Mapping[str, Any], now: datetime) -> TaskRun:
    """The run as it is to be stored: checked, with its id and times."""
    run = as_record(TaskRun, given)
    run = run.replace(
        id=run.id or ids.new_id(), created_at=run.created_at or now, updated_at=run.updated_at or run.created_at or now
    )
    ids.check_run_id(run.id)
    ids.check_identifier(run.task_identifier)
    check_record(run)
    _check_status(TASK_RUN.states, run.status)
    return _in_utc(run)


def new_stack_run(given: StackRun | Mapping[str, Any], now: datetime) -> StackRun:
    """The stack run as it is to be stored: checked, with id and times; pending without ``due_at`` means due now."""
    found = as_record(StackRun, given)
    due_at = found.due_at
    if due_at is None and found.status == "pending":
        due_at = min(now, found.created_at or now)
    found = _filled(
        found,
        id=found.id or _stack_run_id(found),
        due_at=due_at,
        created_at=found.created_at or now,
        updated_at=found.updated_at or found.created_at or now,
    )
    ids.check_stack_run_id(found.id)
    ids.check_run_id(found.task_run_id)
    if found.parent_stack_run_id is not None:
        ids.check_stack_run_id(found.parent_stack_run_id)
    check_record(found)
    _check_status(STACK_RUN.states, found.status)
    return _in_utc(found)


def new_task_function(
    identifier: str | TaskFunction | Mapping[str, Any],
    code: str | None,
    runner: str,
    metadata: values.JSON,
    now: datetime,
) -> TaskFunction:
    """The version as it is to be stored: checked, with the version that its text has."""
    if isinstance(identifier, str):
        function = TaskFunction(identifier=identifier, code=code or "", runner=runner, metadata=metadata)
    else:
        function = as_record(TaskFunction, identifier)
    ids.check_identifier(function.identifier)
    check_record(function)
    version = version_of(function.code, _modules(function.modules))
    if function.version not in ("", version):
        raise InvalidValue("$.version", f"{function.version!r} is not the sha256 of the code; leave it out")
    return _in_utc(function.replace(version=version, created_at=function.created_at or now))


def changed_record(record: Run, changes: Mapping[str, Any], now: datetime) -> Run:
    """The record with the changes in it, checked; ``id`` and ``created_at`` are for ever."""
    check_changes(type(record), changes)
    for name in ("id", "created_at"):
        if name in changes and changes[name] != getattr(record, name):
            raise InvalidValue(f"$.{name}", "is fixed when a record is created")
    if "status" in changes:
        _check_status((TASK_RUN if isinstance(record, TaskRun) else STACK_RUN).states, changes["status"])
    return _in_utc(record.replace(**{"updated_at": now, **changes}))


def is_repeat(stored: TaskRun | StackRun, created: TaskRun | StackRun) -> bool:
    """Whether a record that exists is the one that is being created once more (times the store fills in apart)."""
    for name in field_names(type(stored)):
        if name in _FILLED_BY_THE_STORE:
            continue
        left, right = getattr(stored, name), getattr(created, name)
        if name == "due_at" and left == stored.created_at and right == created.created_at:
            continue  # both were due as soon as they were there
        if left != right or (name in JSON_FIELDS[type(stored)] and not values.identical(left, right)):
            return False
    return True


def _filled(record: Run, **fields: Any) -> Run:
    missing = {name: value for name, value in fields.items() if getattr(record, name) is not value}
    return record.replace(**missing) if missing else record


def _stack_run_id(found: StackRun) -> str:
    if found.is_frame and found.parent_stack_run_id is None:
        return found.task_run_id
    tail = found.sequence if found.sequence is not None else ids.new_id()
    return f"{found.parent_stack_run_id or found.task_run_id}.{tail}"


def _check_status(states: Any, status: str) -> None:
    if status not in states:
        raise InvalidValue("$.status", f"{status!r} is no status (there are: {', '.join(states)})")


def _modules(modules: values.JSON) -> Mapping[str, str] | None:
    if modules is None:
        return None
    if not isinstance(modules, dict) or not all(type(text) is str for text in modules.values()):
        raise InvalidValue("$.modules", "is a mapping of module names to source text")
    return modules


_Any = TypeVar("_Any", TaskRun, StackRun, TaskFunction)


def _in_utc(record: _Any) -> _Any:
    times = {name: getattr(record, name) for name in TIME_FIELDS[type(record)]}
    moved = {name: to_utc(time) for name, time in times.items() if time is not None and to_utc(time) is not time}
    return record.replace(**moved) if moved else record
