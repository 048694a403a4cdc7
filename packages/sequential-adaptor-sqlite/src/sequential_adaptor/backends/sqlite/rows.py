"""Records as rows, and rows as records: one column for each field, in the order of the fields."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from functools import cache, lru_cache
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
    fields_of,
    from_columns,
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
        self._values = fields_of(kind)
        self._writers = {field: _writer(record, field) for field in self.fields}
        readers = {field: _reader(record, field) for field in self.fields}
        self._places = {field: place for place, field in enumerate(self.fields)}
        self._written = [(place, write) for place, write in enumerate(self._writers.values()) if write is not None]
        self._read = [(place, read) for place, read in enumerate(readers.values()) if read is not None]

    def row(self, record: Record, **instead: str) -> Row:
        """The record's columns; ``instead`` holds text that stands in the place of the record's own."""
        row = list(self._values(record))
        for place, write in self._written:
            if (value := row[place]) is not None:
                row[place] = write(value)
        for field, text in instead.items():
            row[self._places[field]] = text
        return tuple(row)

    def bind(self, changes: Mapping[str, Any]) -> Row:
        """Some fields' values as their columns hold them."""
        writers = self._writers
        return tuple(
            [
                value if value is None or (write := writers[field]) is None else write(value)
                for field, value in changes.items()
            ]
        )

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
        return self.load_all((row,))[0]

    def load_all(self, rows: Iterable[Sequence[Any]]) -> list[Record]:
        """The records that rows hold."""
        columns: list[Sequence[Any]] = [*zip(*rows, strict=True)]
        if not columns:
            return []
        for place, read in self._read:
            columns[place] = read(columns[place])
        return from_columns(self.record, columns)

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
    return _time_to_text if field in TIME_FIELDS[record] else None


_time_to_text: Final = lru_cache(maxsize=128)(time_to_text)
"""One time is written into several columns of several rows."""


def _reader(record: type, field: str) -> Callable[[Sequence[Any]], list[Any]] | None:
    if field in JSON_FIELDS[record]:
        return values.decode_all
    return _read_times if field in TIME_FIELDS[record] else None


def _read_times(column: Sequence[str | None]) -> list[datetime | None]:
    return [None if text is None else time_from_text(text) for text in column]


TASK_RUNS: Final = Table(TaskRun, "task_runs")
STACK_RUNS: Final = Table(StackRun, "stack_runs")
TASK_FUNCTIONS: Final = Table(TaskFunction, "task_functions")

TABLES: Final[Mapping[type, Table[Any]]] = {TaskRun: TASK_RUNS, StackRun: STACK_RUNS}
"""The table of each kind of run."""
