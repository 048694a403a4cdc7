"""What is refused before it reaches the database, and what it fills in itself."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

from sequential_adaptor import ids, values
from sequential_adaptor.backends.supabase.rows import TABLES, Fields
from sequential_adaptor.errors import InvalidValue
from sequential_adaptor.lifecycles import STACK_RUN, TASK_RUN
from sequential_adaptor.records import (
    INTEGER_FIELDS,
    JSON_FIELDS,
    StackRun,
    TaskRun,
    check_changes,
    check_fields,
)

BY_THE_STORE: Final = datetime(1, 1, 1, tzinfo=UTC)
"""Stands, as this very object, for the database's own time in a record that it has yet to store."""

_MET_BY_NO_ROW: Final[Fields] = {"id": ""}


def check_id(record: type, id: str) -> str:
    """The id, if it is one that such a record can have."""
    return ids.check_run_id(id) if record is TaskRun else ids.check_stack_run_id(id)


def check_text(name: str, text: str) -> str:
    """Text that a column can hold."""
    if type(text) is not str:
        raise InvalidValue(f"$.{name}", f"{text!r} is {type(text).__name__}, not str")
    values.check(text, f"$.{name}")
    if "\0" in text:
        raise InvalidValue(f"$.{name}", "U+0000 is not kept in plain text fields")
    return text


def new_fields(made: TaskRun | StackRun) -> Fields:
    """The fields of a record that was made with :data:`BY_THE_STORE` as its time, without those times."""
    fields = TABLES[type(made)].write_record(made)
    for name in ("created_at", "updated_at", "due_at"):
        if getattr(made, name, None) is BY_THE_STORE:
            del fields[name]
    return fields


def checked_changes(record: type, id: str, changes: Mapping[str, Any]) -> tuple[Fields, Fields]:
    """Changes to be written, and what has to be so for them: ``id`` and ``created_at`` are fixed."""
    check_changes(record, changes)
    states = (TASK_RUN if record is TaskRun else STACK_RUN).states
    status = changes.get("status", states[0])
    if status not in states:
        raise InvalidValue("$.status", f"{status!r} is no status (there are: {', '.join(states)})")
    if changes.get("id", id) != id:
        raise InvalidValue("$.id", "is fixed when a record is created")
    fields = TABLES[record].write(changes)
    fields.pop("id", None)
    fixed = {"created_at": fields.pop("created_at")} if "created_at" in fields else {}
    return fields, fixed


def expectations(record: type, expect: Mapping[str, Any]) -> Fields:
    """Expected values as the database compares them: payloads as exact JSON, everything else as Python does."""
    check_fields(record, expect)
    wanted: Fields = {}
    for name, value in expect.items():
        value = int(value) if name in INTEGER_FIELDS[record] and _is_whole(value) else value
        try:
            if name not in JSON_FIELDS[record] and value is not None:
                check_changes(record, {name: value})
        except InvalidValue:
            return _MET_BY_NO_ROW
        wanted[name] = TABLES[record].write_field(name, value)
    return wanted


def _is_whole(value: object) -> bool:
    """Whether a number is equal to a count in Python, as ``True`` and ``1.0`` are."""
    return isinstance(value, (bool, int)) or (isinstance(value, float) and value.is_integer())
