"""Queries as SQL: names come from the checked fields, values are bound, the order is that of every backend."""

from __future__ import annotations

from typing import Any, Final, TypeAlias

from sequential_adaptor import values
from sequential_adaptor.backends.sqlite.rows import STACK_RUNS, TABLES, Bound, Table
from sequential_adaptor.backends.sqlite.schema import APART, BELOW, NUMBERED, WAITING, below
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
    text, bound = _from(query, table, terms)
    text = f"{text} ORDER BY {_order(query)}"
    return (text, bound) if query.limit is None else (f"{text} LIMIT ?", [*bound, query.limit + 1])


def _from(query: Query[Any], table: Table[Any], terms: Terms) -> tuple[str, list[Bound]]:
    """What is read: of some runs or parents, their numbered calls by their ids, and what is apart by an index."""
    begin, where = f"SELECT {table.columns} FROM", " AND ".join(terms[0])
    field = next((field for field in ("task_run_id", "parent_stack_run_id") if field in query.where), None)
    if table is not STACK_RUNS or field is None:
        return f"{begin} {table.name}" + (f" WHERE {where}" if where else ""), terms[1]
    source, given = _numbered([choice for choice in query.where[field] if choice is not None])
    text = f"{begin} {source} AND {where} UNION ALL {begin} stack_runs WHERE {where} AND {APART}"
    return text, [*given, *terms[1], *terms[1]]


def _numbered(roots: list[str]) -> tuple[str, list[Bound]]:
    if len(roots) == 1:
        return f"stack_runs WHERE {BELOW} AND {NUMBERED}", list(below(roots[0]))
    rows = "(SELECT value AS root FROM json_each(?)) CROSS JOIN stack_runs"
    own = "task_run_id = root"  # the calls of `a` that begin with `a.1.` are between those of `a.1` as well
    return f"{rows} WHERE id >= root || '.' AND id < root || '/' AND {own} AND {NUMBERED}", [values.encode(roots)]


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
