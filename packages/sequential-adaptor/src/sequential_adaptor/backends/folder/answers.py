"""Answers to queries, from as few files as the question allows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from itertools import islice
from operator import itemgetter
from typing import Any, TypeVar

from sequential_adaptor.backends.folder.listings import Listing, created_of, has_unended, id_of, run_of
from sequential_adaptor.backends.folder.record_files import read_group
from sequential_adaptor.backends.folder.rows import Row, payload_text, root_of, unseal
from sequential_adaptor.backends.folder.store import Store
from sequential_adaptor.lifecycles import STACK_RUN
from sequential_adaptor.records import JSON_FIELDS, StackRun, TaskRun, time_from_text
from sequential_adaptor.storage.queries import Page, Query
from sequential_adaptor.storage.single_process import is_due

Run = TypeVar("Run", TaskRun, StackRun)


def matches(where: Mapping[str, tuple[Any, ...]], row: Row) -> bool:
    """Whether a row has one of the wanted values in every field."""
    payloads = JSON_FIELDS[type(row)]
    return all((payload_text(row, name) if name in payloads else getattr(row, name)) in where[name] for name in where)


def _is_behind(query: Query[Run], key: Any) -> bool:
    """Whether a key comes after the page before."""
    if query.after is None:
        return True
    value, id = query.after
    last = ((False, 0) if value is None else (True, value), id)
    return bool(key < last if query.newest_first else key > last)


# ---- runs


def task_runs(store: Store, query: Query[TaskRun]) -> Page[TaskRun]:
    """The answer to a query for runs: they are looked at in order, and no further than the page needs."""
    wanted = None if query.limit is None else query.limit + 1
    found = islice((row for row in _in_order(store, query) if matches(query.where, row)), wanted)
    page = query.page(list(found))
    return Page((unseal(_whole(store, row)) for row in page), page.cursor)


def _in_order(store: Store, query: Query[TaskRun]) -> Iterator[TaskRun]:
    """The runs behind the page before; with payloads where the filter names one."""
    needs_files = not JSON_FIELDS[TaskRun].isdisjoint(query.where)
    for key, found in sorted(_keys(store, query), key=itemgetter(0), reverse=query.newest_first):
        if _is_behind(query, key):
            row = run_of(found) if isinstance(found, bytes) else found
            if row is not None:
                yield _whole(store, row) if needs_files else row


def _keys(store: Store, query: Query[TaskRun]) -> Iterator[tuple[Any, TaskRun | bytes]]:
    """What the order compares, and the row of each run, or its line of the index."""
    state = store.state
    with state.lock:
        ids = list(query.where["id"]) if "id" in query.where else state.run_ids()
        groups = [group for id in ids if (group := state.warm.get(id)) is not None]
        lines = [line for id in ids if id not in state.warm and (line := state.listings.get(id)) is not None]
    for group in groups:
        if group.run is not None:
            yield query.key(group.run), group.run
    for line in lines:
        if query.order_by == "created_at":  # no need to read the rest of each line
            created = created_of(line)
            if created:
                yield ((True, time_from_text(created)), id_of(line)), line
        elif (run := run_of(line)) is not None:
            yield query.key(run), run


def _whole(store: Store, row: TaskRun) -> TaskRun:
    with store.state.lock:
        return store.state.task_run(row.id) or row


# ---- stack runs


def stack_runs(store: Store, query: Query[StackRun], runs: Iterable[str]) -> Page[StackRun]:
    """The answer to a query for stack runs, from the runs that :func:`groups_asked` names."""
    found = (
        _by_id(store, query.where["id"]) if "id" in query.where else (row for id in runs for row in _rows(store, id))
    )
    rows = sorted((row for row in found if matches(query.where, row)), key=query.key, reverse=query.newest_first)
    page = query.page([row for row in rows if _is_behind(query, query.key(row))])
    return Page(map(unseal, page), page.cursor)


def groups_asked(store: Store, query: Query[StackRun]) -> list[str]:
    """The runs whose files can hold an answer."""
    where, state = query.where, store.state
    with state.lock:
        if "task_run_id" in where:
            return _known(store, where["task_run_id"])
        if "id" in where:
            return _known(store, [state.home(id) for id in _texts(where["id"])])
        if "parent_stack_run_id" in where and None not in where["parent_stack_run_id"]:
            roots = [root_of(id) for id in _texts(where["parent_stack_run_id"])]
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
        found = [store.state.stack_run(id) for id in dict.fromkeys(_texts(ids))]
    return [row for row in found if row is not None]


def _texts(choices: Iterable[Any]) -> list[str]:
    """Those that can be an id at all."""
    return [choice for choice in choices if isinstance(choice, str)]


def _rows(store: Store, id: str) -> list[StackRun]:
    """All stack runs of a run; those of a cold one are read without being kept in memory."""
    state = store.state
    with state.lock:
        group = state.group(id) if state.is_at_hand(id) else None
        line = state.listings.get(id)
    if group is None and line is not None:
        group = read_group(store.paths, id, Listing.decode(line).parts)
    return [] if group is None else list(group.stack_runs())
