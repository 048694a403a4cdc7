"""Rows: records as the store keeps them, with every payload as its JSON text.

A row is a ``TaskRun`` or ``StackRun`` whose payload fields hold text (``None`` stays ``None``). It is immutable all
the way down, so it can be shared between threads, and a caller who changes a payload changes a copy.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias, TypeVar

from sequential_adaptor import values
from sequential_adaptor.errors import InvalidValue
from sequential_adaptor.records import JSON_FIELDS, StackRun, TaskRun, check_changes, field_names

Row: TypeAlias = TaskRun | StackRun
Run = TypeVar("Run", bound=Row)
Kind: TypeAlias = type[Row]

_set = object.__setattr__


def changed(row: Run, fields: Mapping[str, Any]) -> Run:
    """The row with other values in some fields, all of them known to be good (``replace`` without its checks)."""
    kind: type[Run] = type(row)
    new = object.__new__(kind)
    for name in field_names(kind):
        _set(new, name, fields[name] if name in fields else getattr(row, name))
    return new


def seal(record: Run) -> Run:
    """The record as a row."""
    fields = {}
    for name in JSON_FIELDS[type(record)]:
        value = getattr(record, name)
        if value is not None:
            fields[name] = values.encode(value)
    return changed(record, fields) if fields else record


def unseal(row: Run) -> Run:
    """The row as a record that shares nothing with the store."""
    fields = {}
    for name in JSON_FIELDS[type(row)]:
        text = getattr(row, name)
        if text is not None:
            fields[name] = values.decode(text)
    return changed(row, fields) if fields else row


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
