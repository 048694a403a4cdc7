"""Queries as SQL: names come from the checked fields, values are bound, the order is that of every backend."""

from __future__ import annotations

from typing import Any, Final, TypeAlias

from sequential_adaptor import values
from sequential_adaptor.backends.sqlite.rows import STACK_RUNS, TABLES, Bound, Table
from sequential_adaptor.backends.sqlite.schema import WAITING
from sequential_adaptor.errors import ConfigurationError, InvalidValue
from sequential_adaptor.records import check_changes
from sequential_adaptor.storage import Query

Terms: TypeAlias = tuple[list[str], list[Bound]]

_MOST_MARKS: Final = 500
_STATUSES_WAITING: Final = frozenset({"pending", "suspended_waiting_child"})
_NEVER_NULL: Final = frozenset({"id", "task_identifier", "task_run_id", "status", "operation", "created_at", "token"})


def select(query: Query[Any]) -> tuple[str, list[Bound]]:
    """The statement that answers the query, and what it binds; one row more than the limit, where there are more."""
    table = TABLES[query.record]
    terms: Terms = ([], [])
    for field, choices in query.where.items():
        _add(terms, *_any_of(table, field, choices))
    if table is STACK_RUNS and _STATUSES_WAITING.issuperset(query.where.get("status", ("any",))):
        _add(terms, WAITING, [])
    if query.after is not None:
        _add(terms, *_behind(query, table, *query.after))
    where = f" WHERE {' AND '.join(terms[0])}" if terms[0] else ""
    text = f"SELECT {table.columns} FROM {table.name}{where} ORDER BY {_order(query)}"
    if query.limit is None:
        return text, terms[1]
    return f"{text} LIMIT ?", [*terms[1], query.limit + 1]


def _add(terms: Terms, text: str, bound: list[Bound]) -> None:
    terms[0].append(text)
    terms[1].extend(bound)


def _order(query: Query[Any]) -> str:
    direction = " DESC" if query.newest_first else ""
    by_id = f"id{direction}"
    return by_id if query.order_by == "id" else f"{query.order_by}{direction}, {by_id}"


def _any_of(table: Table[Any], field: str, choices: tuple[Any, ...]) -> tuple[str, list[Bound]]:
    # A payload's choices are JSON text already, and its None is stored as NULL.
    payload = table.is_payload(field)
    wanted = [None if choice == "null" else choice for choice in choices] if payload else list(choices)
    bound = [value if payload else table.bound(field, value) for value in wanted if value is not None]
    text, given = _among(field, bound)
    if len(bound) == len(wanted):
        return text, given
    return f"({text} OR {field} IS NULL)" if bound else f"{field} IS NULL", given


def _among(field: str, bound: list[Bound]) -> tuple[str, list[Bound]]:
    """``field IN (...)``: a mark for each value, or one list for many, so that there is no limit to their number."""
    if len(bound) <= _MOST_MARKS:
        return f"{field} IN ({', '.join('?' * len(bound))})", bound
    return f"{field} IN (SELECT value FROM json_each(?))", [values.encode(bound)]


def _behind(query: Query[Any], table: Table[Any], value: Any, id: str) -> tuple[str, list[Bound]]:
    """What lies behind the last row of the page before; None is before everything else."""
    field, sign = query.order_by, "<" if query.newest_first else ">"
    last, id = _bound_cursor(table, field, value, id)
    if field == "id":
        return f"id {sign} ?", [id]
    if last is None:
        same = f"({field} IS NULL AND id {sign} ?)"
        return (same if query.newest_first else f"({same} OR {field} IS NOT NULL)"), [id]
    rest = f"({field}, id) {sign} (?, ?)"
    if query.newest_first and field not in _NEVER_NULL:
        rest = f"({rest} OR {field} IS NULL)"
    return rest, [last, id]


def _bound_cursor(table: Table[Any], field: str, value: Any, id: str) -> tuple[Bound, str]:
    try:
        check_changes(table.record, {"id": id} if value is None else {"id": id, field: value})
        return table.bound(field, value), id
    except InvalidValue as error:
        raise ConfigurationError("that is not a cursor of this store; use the one of the last page") from error
