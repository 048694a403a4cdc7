"""Records as the functions of the database take and return them: payloads are text, times as either door has them."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final, Generic

from sequential_adaptor import values
from sequential_adaptor.records import (
    JSON_FIELDS,
    TIME_FIELDS,
    Record,
    StackRun,
    TaskFunction,
    TaskRun,
    field_names,
    fields_of,
    from_columns,
    time_to_text,
    to_utc,
)

Fields = dict[str, "str | int | None"]


class Table(Generic[Record]):
    """How the records of one kind are written and read."""

    def __init__(self, record: type[Record], name: str) -> None:
        kind: type = record
        self.record: type[Record] = record
        self.name = name
        self.fields = field_names(kind)
        self._fields_of = fields_of(kind)
        self._writers = {field: _WRITERS.get(_kind(kind, field)) for field in self.fields}
        self._readers = [_READERS.get(_kind(kind, field)) for field in self.fields]

    def write(self, fields: Mapping[str, Any]) -> Fields:
        """Some fields' values, ready to be part of JSON."""
        return {name: self.write_field(name, value) for name, value in fields.items()}

    def write_field(self, name: str, value: Any) -> str | int | None:
        """One field's value."""
        writer = self._writers[name]
        found: str | int | None = value if value is None or writer is None else writer(value)
        return found

    def write_record(self, record: Record) -> Fields:
        """A whole record; what is left out is ``None``."""
        given = zip(self._writers.items(), self._fields_of(record), strict=True)
        return {
            name: value if writer is None else writer(value) for (name, writer), value in given if value is not None
        }

    def read(self, row: Mapping[str, Any]) -> Record:
        """The record of a row, whose columns are the fields in their order."""
        return self.read_all((row,))[0]

    def read_all(self, rows: Sequence[Mapping[str, Any]]) -> list[Record]:
        """The records of rows."""
        if not rows:
            return []
        columns = zip(*(row.values() for row in rows), strict=True)
        read = (
            column if reader is None else reader(column) for reader, column in zip(self._readers, columns, strict=True)
        )
        return from_columns(self.record, read)


def read_time(found: datetime | str) -> datetime:
    """A time as either door has it."""
    return to_utc(datetime.fromisoformat(found) if isinstance(found, str) else found)


def _read_times(column: Sequence[datetime | str | None]) -> list[datetime | None]:
    return [None if found is None else read_time(found) for found in column]


def to_text(value: Any) -> str:
    """Arguments of a function as JSON text; payloads in it are text already."""
    return _ENCODER.encode(value)


_ENCODER: Final = json.JSONEncoder(ensure_ascii=False, allow_nan=False, check_circular=False, separators=(",", ":"))
_WRITERS: Final[Mapping[str, Callable[[Any], str]]] = {"payload": values.encode, "time": time_to_text}
_READERS: Final[Mapping[str, Callable[[Any], list[Any]]]] = {"payload": values.decode_all, "time": _read_times}


def _kind(record: type, field: str) -> str:
    if field in JSON_FIELDS[record]:
        return "payload"
    return "time" if field in TIME_FIELDS[record] else "plain"


TASK_RUNS: Final = Table(TaskRun, "task_run")
STACK_RUNS: Final = Table(StackRun, "stack_run")
TASK_FUNCTIONS: Final = Table(TaskFunction, "task_function")

TABLES: Final[Mapping[type, Table[Any]]] = {TaskRun: TASK_RUNS, StackRun: STACK_RUNS}
"""The table of each kind of run."""
