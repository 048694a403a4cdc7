"""Answers to queries, from as few files as the question allows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from itertools import islice
from operator import itemgetter
from typing import Any, TypeVar

from sequential_adaptor.backends.folder.adoptions import creation_key
from sequential_adaptor.backends.folder.groups import Group
from sequential_adaptor.backends.folder.listings import Listing, creation_of, has_unended, in_line, run_of
from sequential_adaptor.backends.folder.record_files import read_group
from sequential_adaptor.backends.folder.rows import Row, payload_text, root_of, unseal_all
from sequential_adaptor.backends.folder.store import Store
from sequential_adaptor.lifecycles import STACK_RUN
from sequential_adaptor.records import JSON_FIELDS, StackRun, TaskRun, time_to_text
from sequential_adaptor.storage.queries import Page, Query
from sequential_adaptor.storage.single_process import is_due

Run = TypeVar("Run", TaskRun, StackRun)


def matches(where: Mapping[str, tuple[Any, ...]], row: Row) -> bool:
    """Whether a row has one of the wanted values in every field."""
    payloads = JSON_FIELDS[type(row)]
    return all((payload_text(row, name) if name in payloads else getattr(row, name)) in where[name] for name in where)


def _last_key(query: Query[Run]) -> tuple[tuple[bool, Any], str] | None:
    """The key of the last record of the page before."""
    if query.after is None:
        return None
    value, id = query.after
    return ((False, 0) if value is None else (True, value), id)


# ---- runs


def task_runs(store: Store, query: Query[TaskRun]) -> Page[TaskRun]:
    """The answer to a query for runs: they are looked at in order, and no further than the page needs."""
    wanted = None if query.limit is None else query.limit + 1
    found = islice((row for row in _in_order(store, query) if matches(query.where, row)), wanted)
    page = query.page(list(found))
    whole = (_whole(store, row) for row in page)
    return Page(unseal_all([row for row in whole if row is not None]), page.cursor)


def _in_order(store: Store, query: Query[TaskRun]) -> Iterator[TaskRun]:
    """The runs behind the page before; with payloads where the filter names one."""
    needs_files = not JSON_FIELDS[TaskRun].isdisjoint(query.where)
    by_creation = query.order_by == "created_at"
    last = _creation_cursor(query) if by_creation else _last_key(query)
    keyed = _keyed_by_creation(store, query) if by_creation else _keyed(store, query)
    for key, found in sorted(keyed, key=itemgetter(0), reverse=query.newest_first):
        if last is None or (key < last if query.newest_first else key > last):
            row = run_of(found) if isinstance(found, bytes) else found
            if row is not None and needs_files:
                row = _whole(store, row)
            if row is not None:
                yield row


def _keyed(store: Store, query: Query[TaskRun]) -> list[tuple[Any, TaskRun | bytes]]:
    """What the order compares, and the row of each run."""
    runs, lines = _candidates(store, query)
    found = [*runs, *(run for line in lines if (run := run_of(line)) is not None)]
    return [(query.key(run), run) for run in found]


def _keyed_by_creation(store: Store, query: Query[TaskRun]) -> list[tuple[Any, TaskRun | bytes]]:
    """The same for the usual order, which needs no more of a line of the index than its beginning."""
    runs, lines = _candidates(store, query)
    found: list[tuple[Any, TaskRun | bytes]] = [(creation_of(line), line) for line in lines]
    return [*found, *((_creation_key(run.created_at, run.id), run) for run in runs)]


def _creation_key(created_at: datetime | None, id: str) -> tuple[bytes, bytes]:
    return b"" if created_at is None else time_to_text(created_at).encode("ascii"), id.encode("ascii")


def _creation_cursor(query: Query[TaskRun]) -> tuple[bytes, bytes] | None:
    return None if query.after is None else _creation_key(*query.after)


def _candidates(store: Store, query: Query[TaskRun]) -> tuple[list[TaskRun], list[bytes]]:
    """Rows of the warm runs, and lines of the cold ones."""
    state = store.state
    with state.lock:
        ids = list(query.where["id"]) if "id" in query.where else state.run_ids()
        runs = [group.run for id in ids if (group := state.warm.get(id)) is not None and group.run is not None]
        lines = [line for id in ids if id not in state.warm and (line := state.listings.get(id)) is not None]
    for texts in _texts_in_lines(query.where):
        lines = [line for line in lines if any(text in line for text in texts)]
    return runs, lines


def _texts_in_lines(where: Mapping[str, tuple[Any, ...]]) -> Iterator[list[bytes]]:
    """Texts one of which is in every line of the index that can match: quicker to look for than to read the line."""
    for name, choices in where.items():
        if name not in JSON_FIELDS[TaskRun] and all(isinstance(choice, str) for choice in choices):
            yield [in_line(choice) for choice in choices]


def _whole(store: Store, row: TaskRun) -> TaskRun | None:
    """The row with its payloads; ``None`` where the run was deleted meanwhile."""
    with store.state.lock:
        return store.state.task_run(row.id)


# ---- stack runs


def stack_runs(store: Store, query: Query[StackRun], runs: Iterable[str]) -> Page[StackRun]:
    """The answer to a query for stack runs, from the runs that :func:`groups_asked` names."""
    looked_at = (
        _by_id(store, query.where["id"]) if "id" in query.where else (row for id in runs for row in _rows(store, id))
    )
    found = {row.id: row for row in _adopted(store, query)}
    found.update((row.id, row) for row in looked_at if matches(query.where, row))
    rows = sorted(found.values(), key=query.key, reverse=query.newest_first)
    last = _last_key(query)
    if last is not None:
        rows = [row for row in rows if (query.key(row) < last if query.newest_first else query.key(row) > last)]
    page = query.page(rows)
    return Page(unseal_all(page), page.cursor)


def _adopted(store: Store, query: Query[StackRun]) -> list[StackRun]:
    """Those found by parents in other runs: in the usual order, about as many are looked at as the page needs."""
    parents, by_creation = _parents_asked(query.where), query.order_by == "created_at"
    last = creation_key(*query.after) if by_creation and query.after is not None else None
    wanted = None if query.limit is None or not by_creation else query.limit + 1
    found: list[StackRun] = []
    many = wanted
    while wanted is None or len(found) < wanted:
        with store.state.lock:  # all parents in one look: what moves from one to the other is seen once
            children = store.state.adopted.children(parents, newest_first=query.newest_first, after=last)
            keys = list(islice(children, many))
        found += (row for row in _by_home(store, [id for _, id in keys]) if matches(query.where, row))
        if many is None or len(keys) < many:
            break
        last, many = keys[-1], 2 * many
    return found


def _by_home(store: Store, ids: Iterable[str]) -> Iterator[StackRun]:
    """The stack runs, from the runs that they belong to; those of a cold one are read without being kept in memory."""
    state, homes = store.state, dict[str, list[str]]()
    with state.lock:
        for id in ids:
            homes.setdefault(state.home(id), []).append(id)
    for home, wanted in homes.items():
        group = _group(store, home, head_only=wanted == [home])
        with state.lock:
            rows = [] if group is None else [row for id in wanted if (row := group.stack_run(id)) is not None]
        yield from rows


def _parents_asked(where: Mapping[str, tuple[Any, ...]]) -> list[str]:
    """The parents by which rows are found, where no other field names the runs that they belong to."""
    parents = where.get("parent_stack_run_id", ())
    return [] if None in parents or not where.keys().isdisjoint(("id", "task_run_id")) else _texts(parents)


def asks_for_adopted(store: Store, query: Query[StackRun]) -> bool:
    """Whether rows count that are in other runs than their parents."""
    with store.state.lock:
        return store.state.adopted.has_any(_parents_asked(query.where))


def groups_asked(store: Store, query: Query[StackRun]) -> list[str]:
    """The runs whose files can hold an answer, but for those that :func:`asks_for_adopted` is about."""
    where, state = query.where, store.state
    with state.lock:
        if "task_run_id" in where:
            return _known(store, where["task_run_id"])
        if "id" in where:
            return _known(store, [state.home(id) for id in _texts(where["id"])])
        if "parent_stack_run_id" in where and None not in where["parent_stack_run_id"]:
            return _known(store, [root_of(id) for id in _texts(where["parent_stack_run_id"])])
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
    return unseal_all([row for row in rows if row is not None and is_due(row, now)])


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
    """All stack runs of a run."""
    group = _group(store, id)
    return [] if group is None else list(group.stack_runs())


def _group(store: Store, id: str, *, head_only: bool = False) -> Group | None:
    """A run; a cold one is read without being kept in memory, with ``head_only`` no more of it than the root frame."""
    state = store.state
    with state.lock:
        group = state.group(id) if state.is_at_hand(id) else None
        line = state.listings.get(id)
    if group is None and line is not None:
        group = read_group(store.paths, id, 0 if head_only else Listing.decode(line).parts)
    return group
