"""Answers to queries, from as few files as the question allows."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any, TypeVar

from sequential_adaptor.backends.folder.listings import Listing, has_unended
from sequential_adaptor.backends.folder.record_files import read_group
from sequential_adaptor.backends.folder.rows import Row, payload_text, root_of, unseal
from sequential_adaptor.backends.folder.store import Store
from sequential_adaptor.lifecycles import STACK_RUN
from sequential_adaptor.records import JSON_FIELDS, StackRun, TaskRun
from sequential_adaptor.storage.queries import Page, Query
from sequential_adaptor.storage.single_process import is_due

Run = TypeVar("Run", TaskRun, StackRun)


def matches(where: Mapping[str, tuple[Any, ...]], row: Row) -> bool:
    """Whether a row has one of the wanted values in every field."""
    payloads = JSON_FIELDS[type(row)]
    return all((payload_text(row, name) if name in payloads else getattr(row, name)) in where[name] for name in where)


def answer(query: Query[Run], rows: Iterable[Run], complete: Callable[[Run], Run]) -> Page[Run]:
    """A page of the rows, which match; ``complete`` gives those on it their payloads."""
    found = sorted(rows, key=query.key, reverse=query.newest_first)
    if query.after is not None:
        found = _behind(query, found)
    page = query.page(found)
    return Page((complete(row) for row in page), page.cursor)


def _behind(query: Query[Run], rows: list[Run]) -> list[Run]:
    value, id = query.after or (None, "")
    last = ((False, 0) if value is None else (True, value), id)
    return [row for row in rows if (query.key(row) < last if query.newest_first else query.key(row) > last)]


# ---- runs


def task_runs(store: Store, query: Query[TaskRun]) -> Page[TaskRun]:
    """The answer to a query for runs. Payloads are read for the page only, unless the filter names one."""
    payloads = JSON_FIELDS[TaskRun]
    needs_files = any(name in payloads for name in query.where)
    known = {name: wanted for name, wanted in query.where.items() if needs_files or name not in payloads}
    rows = (row for row in _runs(store, query, whole=needs_files) if matches(known, row))
    return answer(query, rows, lambda row: _complete(store, row))


def _runs(store: Store, query: Query[TaskRun], *, whole: bool) -> Iterator[TaskRun]:
    state = store.state
    with state.lock:
        ids = list(query.where["id"]) if "id" in query.where else _that_may_match(store, query.where)
    for id in ids:
        with state.lock:
            row = state.task_run(id) if whole or state.is_at_hand(id) else Listing.decode(state.listings[id]).run
        if row is not None:
            yield row


def _complete(store: Store, row: TaskRun) -> TaskRun:
    with store.state.lock:
        found = store.state.task_run(row.id)
    return unseal(found or row)


# ---- stack runs


def stack_runs(store: Store, query: Query[StackRun], runs: Iterable[str]) -> Page[StackRun]:
    """The answer to a query for stack runs, from the runs that :func:`groups_asked` names."""
    found = (
        _by_id(store, query.where["id"]) if "id" in query.where else (row for id in runs for row in _rows(store, id))
    )
    return answer(query, (row for row in found if matches(query.where, row)), unseal)


def groups_asked(store: Store, query: Query[StackRun]) -> list[str]:
    """The runs whose files can hold an answer."""
    where, state = query.where, store.state
    with state.lock:
        if "task_run_id" in where:
            return _known(store, where["task_run_id"])
        if "id" in where:
            return _known(store, [state.home(id) for id in where["id"]])
        if "parent_stack_run_id" in where and None not in where["parent_stack_run_id"]:
            roots = [root_of(id) for id in where["parent_stack_run_id"]]
            return _known(store, [*roots, *(id for root in roots for id in state.adopted.get(root, ()))])
        return _that_may_match(store, where)


def _that_may_match(store: Store, where: Mapping[str, tuple[Any, ...]]) -> list[str]:
    """All runs, or where only what has not ended is asked for, those with something that has not."""
    state = store.state
    if "status" not in where or not STACK_RUN.ended.isdisjoint(where["status"]):
        return state.run_ids()
    unended = [id for id, line in state.listings.items() if id not in state.warm and has_unended(line)]
    return [*state.warm, *unended]


def pending_calls(store: Store, now: datetime) -> list[StackRun]:
    """The calls that wait to be performed, oldest first."""
    state = store.state
    with state.lock:
        rows = [state.stack_run(id) for id in state.schedule.pending_calls(now)]
    return [unseal(row) for row in rows if row is not None and is_due(row, now)]


def _known(store: Store, ids: Iterable[str]) -> list[str]:
    state = store.state
    return [id for id in dict.fromkeys(ids) if id in state.warm or id in state.listings]


def _by_id(store: Store, ids: Iterable[str]) -> list[StackRun]:
    with store.state.lock:
        found = [store.state.stack_run(id) for id in dict.fromkeys(ids)]
    return [row for row in found if row is not None]


def _rows(store: Store, id: str) -> list[StackRun]:
    with store.state.lock:
        group = store.state.group(id) if store.state.is_at_hand(id) else None
        if group is not None:
            return list(group.stack_runs())
    return list(read_group(store.paths, id).stack_runs())
