"""Queries as calls of functions: names of fields are checked on both sides, and answers come in pages."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from sequential_adaptor.backends.supabase.door import MOST_ROWS, Door
from sequential_adaptor.backends.supabase.rows import TABLES, to_text
from sequential_adaptor.errors import ConfigurationError, InvalidValue
from sequential_adaptor.records import JSON_FIELDS, StackRun, TaskRun, check_changes
from sequential_adaptor.storage import Page, Query

Run = TypeVar("Run", TaskRun, StackRun)


async def select(door: Door, query: Query[Run]) -> Page[Run]:
    """The answer to a query."""
    table = TABLES[query.record]
    function, arguments = _function(query)
    after = None if query.after is None else _checked(query)
    wanted = None if query.limit is None else query.limit + 1
    found: list[Run] = []
    while wanted is None or len(found) < wanted:
        most = MOST_ROWS if wanted is None else min(MOST_ROWS, wanted - len(found))
        behind = None if after is None else to_text([table.write_field(query.order_by, after[0]), after[1]])
        page = table.read_all(await door.call(function, {**arguments, "max_rows": most, "after": behind}))
        found += page
        if len(page) < most:
            break
        after = (getattr(page[-1], query.order_by), page[-1].id)
    return query.page(found)


def _function(query: Query[Any]) -> tuple[str, Mapping[str, Any]]:
    """The function that answers, and its arguments but for the page."""
    if _is_history(query):
        [parent] = query.where["parent_stack_run_id"]
        return "sequential_history", {"parent": parent}
    wanted = {field: _written(query, field, choices) for field, choices in query.where.items()}
    arguments = {"wanted": to_text(wanted), "order_by": query.order_by, "newest_first": query.newest_first}
    return f"sequential_query_{TABLES[query.record].name}s", arguments


def _is_history(query: Query[Any]) -> bool:
    """Whether it asks for what lies below one frame, in the order in which it came."""
    if query.record is not StackRun or query.order_by != "created_at" or query.newest_first:
        return False
    return list(query.where) == ["parent_stack_run_id"] and _is_one_text(query.where["parent_stack_run_id"])


def _is_one_text(choices: tuple[Any, ...]) -> bool:
    return len(choices) == 1 and isinstance(choices[0], str)


def _written(query: Query[Any], field: str, choices: tuple[Any, ...]) -> list[Any]:
    # A payload's choices are JSON text already, and its None is stored as NULL.
    if field in JSON_FIELDS[query.record]:
        return [None if choice == "null" else choice for choice in choices]
    return [TABLES[query.record].write_field(field, choice) for choice in choices]


def _checked(query: Query[Any]) -> tuple[Any, str]:
    """The place that a cursor stands for. It comes from outside, whatever it looks like."""
    assert query.after is not None
    value, id = query.after
    try:
        check_changes(query.record, {"id": id} if value is None else {"id": id, query.order_by: value})
    except InvalidValue as error:
        raise ConfigurationError("that is not a cursor of this store; use the one of the last page") from error
    return value, id
