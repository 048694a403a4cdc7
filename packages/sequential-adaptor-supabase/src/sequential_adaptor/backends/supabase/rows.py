"""Records as the functions of the database take and return them: payloads are text, times as either door has them."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from operator import attrgetter
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
    time_to_text,
    to_utc,
)

Fields = dict[str, "str | int | None"]
_LARGE: Final = 1_000_000
"""Characters of payloads, above which a second copy of their text costs more than it saves."""


class Table(Generic[Record]):
    """How the records of one kind are written and read."""

    def __init__(self, record: type[Record], name: str) -> None:
        kind: type = record
        self.record: type[Record] = record
        self.name = name
        self.fields = field_names(kind)
        self._fields_of = attrgetter(*self.fields)
        self._writers = {field: _WRITERS.get(_kind(kind, field)) for field in self.fields}
        self._readers = [_READERS.get(_kind(kind, field)) for field in self.fields]
        self._setters = [getattr(kind, field).__set__ for field in self.fields]

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
        """The records of rows, made column by column: 1,000 calls have 26,000 fields, most of them empty."""
        made: list[Record] = [object.__new__(self.record) for _ in rows]
        if made:
            columns = zip(*(row.values() for row in rows), strict=True)
            for write, read, column in zip(self._setters, self._readers, columns, strict=True):
                deque(map(write, made, column if read is None else read(column)), maxlen=0)
        return made


def read_time(found: datetime | str) -> datetime:
    """A time as either door has it."""
    return to_utc(datetime.fromisoformat(found) if isinstance(found, str) else found)


def _read_times(column: Sequence[datetime | str | None]) -> list[datetime | None]:
    return [None if found is None else read_time(found) for found in column]


def _read_payloads(column: Sequence[str | None]) -> list[values.JSON]:
    """Small ones at once, as the items of one list."""
    texts = [text for text in column if text is not None]
    if sum(map(len, texts)) > _LARGE:
        return [None if text is None else values.decode(text) for text in column]
    found = iter(values.decode(f"[{','.join(texts)}]"))
    return [None if text is None else next(found) for text in column]


def to_text(value: Any) -> str:
    """Arguments of a function as JSON text; payloads in it are text already."""
    return _ENCODER.encode(value)


_ENCODER: Final = json.JSONEncoder(ensure_ascii=False, allow_nan=False, check_circular=False, separators=(",", ":"))
_WRITERS: Final[Mapping[str, Callable[[Any], str]]] = {"payload": values.encode, "time": time_to_text}
_READERS: Final[Mapping[str, Callable[[Any], list[Any]]]] = {"payload": _read_payloads, "time": _read_times}


def _kind(record: type, field: str) -> str:
    if field in JSON_FIELDS[record]:
        return "payload"
    return "time" if field in TIME_FIELDS[record] else "plain"


TASK_RUNS: Final = Table(TaskRun, "task_run")
STACK_RUNS: Final = Table(StackRun, "stack_run")
TASK_FUNCTIONS: Final = Table(TaskFunction, "task_function")

TABLES: Final[Mapping[type, Table[Any]]] = {TaskRun: TASK_RUNS, StackRun: STACK_RUNS}
"""The table of each kind of run."""
