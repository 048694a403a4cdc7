"""Single records stored and changed, outside of any commit."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from sequential_adaptor.backends.supabase.checking import BY_THE_STORE, check_id, checked_changes, new_fields
from sequential_adaptor.backends.supabase.commits import update_refusal
from sequential_adaptor.backends.supabase.door import Door
from sequential_adaptor.backends.supabase.rows import TABLES, to_text
from sequential_adaptor.errors import RecordExists
from sequential_adaptor.records import StackRun, TaskRun
from sequential_adaptor.storage import Update, is_repeat

Run = TypeVar("Run", TaskRun, StackRun)


async def store(door: Door, made: Run) -> Run:
    """Store a record that was made with :data:`BY_THE_STORE` as its time; it as stored."""
    table = TABLES[type(made)]
    [row] = await door.call(f"sequential_store_{table.name}", {"record": to_text(new_fields(made))})
    stored: Run = table.read(row)
    if not is_repeat(stored, _as_filled(made, stored)):
        raise RecordExists(type(made).__name__, made.id)
    return stored


def _as_filled(made: Run, stored: Run) -> Run:
    """With the times that the database would have filled in, had it been the first to store it."""
    if getattr(made, "due_at", None) is not BY_THE_STORE:
        return made
    return made.replace(created_at=stored.created_at, due_at=stored.created_at)


async def raw_update(door: Door, record: type[Run], id: str, changes: Mapping[str, Any]) -> Run:
    """Fields of a record changed whatever its lifecycle says; what is stored then."""
    table, id = TABLES[record], check_id(record, id)
    fields, fixed = checked_changes(record, id, changes)
    arguments = {"id": id, "fields": to_text(fields), "expect": to_text(fixed)}
    rows = await door.call(f"sequential_update_{table.name}", arguments)
    if rows:
        changed: Run = table.read(rows[0])
        return changed
    found = await door.call(f"sequential_get_{table.name}", {"id": id})
    raise update_refusal(Update(record, id, changes), found[0] if found else None)
