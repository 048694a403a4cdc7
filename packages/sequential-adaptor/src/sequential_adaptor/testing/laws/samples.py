"""Records to put into a store, and the methods that go with each kind of record."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, TypeAlias

from sequential_adaptor.records import (
    INTEGER_FIELDS,
    JSON_FIELDS,
    TIME_FIELDS,
    StackRun,
    TaskRun,
    field_names,
)
from sequential_adaptor.storage import Change, Claim, Page, StorageAdapter

Run: TypeAlias = TaskRun | StackRun
Kind: TypeAlias = type[TaskRun] | type[StackRun]

KINDS: tuple[Kind, ...] = (TaskRun, StackRun)
FALSY: tuple[Any, ...] = (0, False, "", [], {}, None, 0.0, -0.0)
PAST = datetime(2020, 2, 29, 12, 30, 15, 123457, tzinfo=UTC)
FUTURE = datetime(2190, 1, 1, tzinfo=UTC)


def task_run(id: str = "run-1", **fields: Any) -> TaskRun:
    """A run."""
    return TaskRun(id=id, **{"task_identifier": "digest", "version": "a" * 64, "input": {"user": 1}, **fields})


def frame(run: str = "run-1", **fields: Any) -> StackRun:
    """The root frame of a run, due since long ago."""
    return StackRun(id=run, task_run_id=run, **{"due_at": PAST, **fields})


def call(n: int = 1, run: str = "run-1", **fields: Any) -> StackRun:
    """Call n of a run, due since long ago."""
    given = {"operation": "fetch", "input": {"url": "https://x.test"}, "due_at": PAST, **fields}
    return StackRun(id=f"{run}.{n}", task_run_id=run, parent_stack_run_id=run, sequence=n, **given)


def plain(kind: Kind, id: str, **fields: Any) -> Any:
    """A record of either kind with little in it."""
    if kind is TaskRun:
        return TaskRun(id=id, **{"task_identifier": "digest", "version": "a" * 64, **fields})
    return StackRun(id=id, **{"task_run_id": "run-1", "operation": "fetch", "due_at": PAST, **fields})


def full(kind: Kind) -> Any:
    """A record with a telling value in every field, also in those that are added one day."""
    return kind(**{name: _telling(kind, name, place) for place, name in enumerate(field_names(kind), 1)})


def _telling(kind: Kind, name: str, place: int) -> Any:
    if name in JSON_FIELDS[kind]:
        return {"z": name, "a": [place, None, True]}
    if name in TIME_FIELDS[kind]:
        return PAST + timedelta(days=place, microseconds=place)
    if name in INTEGER_FIELDS[kind]:
        return place
    return {"status": "cancelled", "id": "run-1"}.get(name, f"text-{place}")


async def create(adapter: StorageAdapter, *records: Run) -> Any:
    """Store records of either kind; give back the last as stored."""
    stored: Run | None = None
    for record in records:
        if isinstance(record, TaskRun):
            stored = await adapter.create_task_run(record)
        else:
            stored = await adapter.create_stack_run(record)
    return stored


async def get(adapter: StorageAdapter, kind: Kind, id: str) -> Any:
    """The record of either kind, or ``None``."""
    return await (adapter.get_task_run(id) if kind is TaskRun else adapter.get_stack_run(id))


async def update(adapter: StorageAdapter, kind: Kind, id: str, /, **fields: Any) -> Any:
    """Change a record of either kind."""
    change = adapter.update_task_run if kind is TaskRun else adapter.update_stack_run
    return await change(id, fields)


async def query(adapter: StorageAdapter, kind: Kind, filter: Any = None, /, **options: Any) -> Page[Any]:
    """Query records of either kind."""
    if kind is TaskRun:
        return await adapter.query_task_runs(filter, **options)
    return await adapter.query_stack_runs(filter, **options)


async def everything(adapter: StorageAdapter) -> list[Any]:
    """All runs and stack runs of the store, to see that nothing was written."""
    return [*await adapter.query_task_runs(), *await adapter.query_stack_runs()]


async def claim_one(adapter: StorageAdapter, id: str, worker: str = "worker-1", lease: float = 300.0) -> Claim:
    """The claim of one stack run that is due."""
    claims = await adapter.claim_stack_runs(worker, lease=lease, ids=[id])
    assert len(claims) == 1, f"{id} is due, and was not claimed"
    return claims[0]


async def end_lease(adapter: StorageAdapter, id: str) -> None:
    """Let the lease of a stack run be over, without waiting for it."""
    await adapter.update_stack_run(id, lease_expires_at=PAST)


def ids_of(records: Any) -> list[str]:
    """The ids of records, in their order."""
    return [record.id for record in records]


_numbers = iter(range(10**9))


async def commit_own(adapter: StorageAdapter, changes: Sequence[Change], claims: Sequence[Claim] = ()) -> None:
    """Commit under an id of its own."""
    await adapter.commit(changes, claims=claims, id=f"own-{next(_numbers)}")


async def results(adapter: StorageAdapter) -> dict[str, Any]:
    """What each record of the store has as its result; a frame's is not told apart from its run's."""
    return {record.id: record.result for record in await everything(adapter)}
