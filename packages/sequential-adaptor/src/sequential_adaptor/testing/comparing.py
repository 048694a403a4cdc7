"""Records and claims in a form that compares exactly, but for when it was that "now" was, which no model can know."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sequential_adaptor import values
from sequential_adaptor.records import JSON_FIELDS, TIME_FIELDS, StackRun, TaskFunction, TaskRun, field_names
from sequential_adaptor.storage import Claim
from sequential_adaptor.testing.strategies import INSTANTS


def plain(value: Any, started: datetime, now: datetime) -> Any:
    """What a method gave, for a history that has gone on from ``started`` to ``now``."""
    if isinstance(value, TaskRun | StackRun):
        return {name: _field(value, name, started, now) for name in field_names(type(value))}
    if isinstance(value, TaskFunction):
        return (value.identifier, value.version, value.code)
    if isinstance(value, Claim):
        record = plain(value.stack_run, started, now)
        return (record, value.worker, value.token, _when(value.expires_at, started, now))
    if isinstance(value, list) and value and isinstance(value[0], TaskRun | StackRun | Claim):
        return [plain(one, started, now) for one in value]
    return None if value is None else values.encode(value)


def _field(record: TaskRun | StackRun, name: str, started: datetime, now: datetime) -> Any:
    value = getattr(record, name)
    if name in TIME_FIELDS[type(record)]:
        return _when(value, started, now)
    return values.encode(value) if name in JSON_FIELDS[type(record)] else value


def _when(time: datetime | None, started: datetime, now: datetime) -> str:
    if time is None or time in INSTANTS:
        return str(time)
    if time < started:
        return f"{time}, which nobody gave"
    return "a time of the store" if time <= now else "the end of a lease"
