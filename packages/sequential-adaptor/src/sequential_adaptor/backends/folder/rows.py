"""Rows: records as the store keeps them, with every payload as its JSON text.

A row is a ``TaskRun`` or ``StackRun`` whose payload fields hold text (``None`` stays ``None``). It is immutable all
the way down, so it can be shared between threads, and a caller who changes a payload changes a copy.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias, TypeVar

from sequential_adaptor import values
from sequential_adaptor.errors import InvalidValue
from sequential_adaptor.records import (
    JSON_FIELDS,
    StackRun,
    TaskRun,
    check_changes,
    field_names,
    fields_of,
    from_columns,
)

Row: TypeAlias = TaskRun | StackRun
Run = TypeVar("Run", TaskRun, StackRun)
Kind: TypeAlias = type[Row]


def seal(record: Run) -> Run:
    """The record as a row."""
    fields = {}
    for name in JSON_FIELDS[type(record)]:
        value = getattr(record, name)
        if value is not None:
            fields[name] = values.encode(value)
    return record.with_fields(fields) if fields else record


def unseal(row: Run) -> Run:
    """The row as a record that shares nothing with the store."""
    return unseal_all((row,))[0]


def unseal_all(rows: Sequence[Run]) -> list[Run]:
    """The rows, all of one kind, as such records."""
    if not rows:
        return []
    record: type[Run] = type(rows[0])
    kind: type = record
    columns: list[Sequence[Any]] = [*zip(*map(fields_of(kind), rows), strict=True)]
    for place, name in enumerate(field_names(kind)):
        if name in JSON_FIELDS[kind]:
            columns[place] = values.decode_all(columns[place])
    return from_columns(record, columns)


def seal_changes(kind: Kind, changes: Mapping[str, Any]) -> dict[str, Any]:
    """Changes with their payloads as text; what no backend would store is refused with its path."""
    payloads = JSON_FIELDS[kind]
    try:
        return {
            name: values.encode(value) if name in payloads and value is not None else value
            for name, value in changes.items()
        }
    except InvalidValue:
        check_changes(kind, changes)  # says the same with the field in its path
        raise


def payload_text(row: Row, name: str) -> str:
    """A payload of a row as JSON text."""
    text: str | None = getattr(row, name)
    return "null" if text is None else text


def root_of(stack_run_id: str) -> str:
    """The run that a stack run's id names; nearly always the one that it belongs to."""
    return stack_run_id.partition(".")[0]
