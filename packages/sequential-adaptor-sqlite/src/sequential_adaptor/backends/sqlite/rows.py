"""Records as rows, and rows as records: one column for each field, in the order of the fields."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache
from operator import attrgetter
from typing import Any, Final, Generic, TypeAlias

from sequential_adaptor import values
from sequential_adaptor.errors import InvalidValue
from sequential_adaptor.records import (
    JSON_FIELDS,
    TIME_FIELDS,
    Record,
    StackRun,
    TaskFunction,
    TaskRun,
    check_changes,
    field_names,
    time_from_text,
    time_to_text,
)

Bound: TypeAlias = str | int | None
"""What SQLite gets. No value is ever made part of a statement's text."""

Row: TypeAlias = tuple[Bound, ...]


class Table(Generic[Record]):
    """Where the records of one kind are kept. Names of tables and columns come from the records' own fields only."""

    def __init__(self, record: type[Record], name: str) -> None:
        kind: type = record
        self.record: type[Record] = record
        self.name = name
        self.fields = field_names(kind)
        self.columns = ", ".join(self.fields)
        self.get = f"SELECT {self.columns} FROM {name} WHERE id = ?"
        marks = ", ".join("?" * len(self.fields))
        self.insert = f"INSERT INTO {name} ({self.columns}) VALUES ({marks}) ON CONFLICT DO NOTHING"
        self._values = attrgetter(*self.fields)
        self._writers = {field: _writer(record, field) for field in self.fields}
        readers = {field: _reader(record, field) for field in self.fields}
        self._written = [(place, write) for place, write in enumerate(self._writers.values()) if write is not None]
        self._read = [(place, read) for place, read in enumerate(readers.values()) if read is not None]

    def row(self, record: Record, **instead: str) -> Row:
        """The record's columns; ``instead`` holds text that stands in the place of the record's own."""
        row = list(self._values(record))
        for place, write in self._written:
            if row[place] is not None:
                row[place] = write(row[place])
        for field, text in instead.items():
            row[self.fields.index(field)] = text
        return tuple(row)

    def bind(self, changes: Mapping[str, Any]) -> Row:
        """Some fields' values as their columns hold them."""
        return tuple(self.bound(field, value) for field, value in changes.items())

    def bound(self, field: str, value: Any) -> Bound:
        """One field's value as its column holds it."""
        write = self._writers[field]
        found: Bound = value if value is None or write is None else write(value)
        return found

    def is_payload(self, field: str) -> bool:
        """Whether the column holds JSON text."""
        return field in JSON_FIELDS[self.record]

    def compares(self, field: str, value: Any) -> bool:
        """Whether the field could have the value: SQLite converts others, and compares them as Python would not."""
        if value is None or self.is_payload(field):
            return True
        try:
            check_changes(self.record, {field: value})
        except InvalidValue:
            return False
        return True

    def load(self, row: Sequence[Any]) -> Record:
        """The record that a row holds."""
        found = list(row)
        for place, read in self._read:
            if found[place] is not None:
                found[place] = read(found[place])
        made: Record = self.record(**dict(zip(self.fields, found, strict=True)))
        return made

    def load_all(self, rows: Iterable[Sequence[Any]]) -> list[Record]:
        """The records that rows hold."""
        return [self.load(row) for row in rows]

    def update(self, changed: Iterable[str], expected: Iterable[str] = (), *, returning: bool = False) -> str:
        """The statement that changes columns of the row of an id, where the expected columns have their values."""
        return _update(self.name, self.columns if returning else "", tuple(changed), tuple(expected))


@cache
def _update(table: str, returning: str, changed: tuple[str, ...], expected: tuple[str, ...]) -> str:
    text = f"UPDATE {table} SET {', '.join(f'{name} = ?' for name in changed)} WHERE id = ?"
    text += "".join(f" AND {name} IS ?" for name in expected)
    return f"{text} RETURNING {returning}" if returning else text


def _writer(record: type, field: str) -> Callable[[Any], Bound] | None:
    if field in JSON_FIELDS[record]:
        return values.encode
    return time_to_text if field in TIME_FIELDS[record] else None


def _reader(record: type, field: str) -> Callable[[Any], Any] | None:
    if field in JSON_FIELDS[record]:
        return values.decode
    return time_from_text if field in TIME_FIELDS[record] else None


TASK_RUNS: Final = Table(TaskRun, "task_runs")
STACK_RUNS: Final = Table(StackRun, "stack_runs")
TASK_FUNCTIONS: Final = Table(TaskFunction, "task_functions")

TABLES: Final[Mapping[type, Table[Any]]] = {TaskRun: TASK_RUNS, StackRun: STACK_RUNS}
"""The table of each kind of run."""
