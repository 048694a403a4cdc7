"""What is asked for often is found by an index: finished runs beside it cost nothing."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Awaitable, Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, TypeAlias

import pytest

from sequential_adaptor.backends.sqlite import SQLiteAdapter, bell, claiming, commits, keeping, steps
from sequential_adaptor.backends.sqlite.rows import STACK_RUNS, TASK_RUNS
from sequential_adaptor.backends.sqlite.selecting import select
from sequential_adaptor.ids import new_id
from sequential_adaptor.records import StackRun, TaskRun
from sequential_adaptor.storage import Query

Plan: TypeAlias = Callable[[str], Awaitable[list[str]]]

WORK = {
    "is anything due": claiming._ANY.format(due=claiming._DUE),
    "is anything of these due": claiming._ANY.format(due=claiming._DUE_AMONG),
    "claim": claiming._CLAIM.format(due=claiming._DUE),
    "claim these": claiming._CLAIM.format(due=claiming._DUE_AMONG),
    "heartbeat": claiming._EXTEND,
    "pending": claiming._PENDING,
    "the next timer": claiming._NEXT_DUE,
    "the next lease": claiming._NEXT_FREE,
    "held": commits._HELD,
    "remember": commits._REMEMBER,
    "what others remember": commits._NEWS,
    "take back": commits._TAKE_BACK,
    "forget": commits._FORGET,
    "wake": steps._WAKE,
    "update": STACK_RUNS.update(["status", "result"], ["status"]),
    "raw update": TASK_RUNS.update(["status"], returning=True),
    "get": STACK_RUNS.get,
    "current function": keeping._CURRENT,
    "version": keeping._VERSION,
    "store function": keeping._STORE_FUNCTION,
    "delete the calls of a run": keeping._DELETE_NUMBERED,
    "delete the rest of a run": keeping._DELETE_APART,
}

QUERIES: dict[str, Query[Any]] = {
    "list": Query.make(TaskRun, limit=20, newest_first=True),
    "list of a status": Query.make(TaskRun, {"status": "suspended"}, limit=20, newest_first=True),
    "list of a task": Query.make(TaskRun, {"task_identifier": "digest"}, limit=20, newest_first=True),
    "children": Query.make(TaskRun, {"parent_stack_run_id": "a.1"}),
    "show": Query.make(StackRun, {"task_run_id": "a"}, limit=1000),
    "several runs": Query.make(StackRun, {"task_run_id": ["a", "b"]}, limit=1000),
    "history": Query.make(StackRun, {"parent_stack_run_id": "a"}, limit=1000),
    "history by id": Query.make(StackRun, {"parent_stack_run_id": "a"}, limit=1000, order_by="id"),
    "the root frame": Query.make(StackRun, {"task_run_id": "a", "parent_stack_run_id": None}),
    "arrivals": Query.make(StackRun, {"parent_stack_run_id": "a", "position": None, "status": ["completed", "failed"]}),
    "some frames": Query.make(StackRun, {"id": ["a", "b"]}),
    "many frames": Query.make(StackRun, {"id": [f"f{number}" for number in range(1000)]}),
    "waiting frames": Query.make(
        StackRun, {"status": "suspended_waiting_child"}, limit=1000, order_by="due_at", newest_first=True
    ),
    "pending calls": Query.make(StackRun, {"status": "pending"}, limit=1),
    "by id": Query.make(StackRun, order_by="id", limit=1000),
}

UNSORTED = ("list", "list of a status", "list of a task", "children", "waiting frames", "by id")


@pytest.fixture
def plan(adapter: SQLiteAdapter) -> Plan:
    """Explains a statement on an empty store, where SQLite has no statistics to go by."""

    def explain(connection: sqlite3.Connection, text: str) -> list[str]:
        return [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {text}", [None] * text.count("?"))]

    return lambda text: adapter._thread.call(lambda connection: explain(connection, text))


def searched(lines: list[str]) -> bool:
    """Whether no table is read from end to end (lists that were bound, and inner results, apart)."""
    scans = [line for line in lines if line.startswith("SCAN")]
    allowed = ("SCAN json_each", "SCAN (subquery", "SCAN announcements", "SCAN 1 CONSTANT ROW")
    return all(line.startswith(allowed) for line in scans)


@pytest.mark.parametrize("text", WORK.values(), ids=WORK)
async def test_work_is_found_by_an_index(plan: Plan, text: str) -> None:
    """No statement that workers run reads a table from end to end."""
    lines = await plan(text)
    assert searched(lines), lines


async def test_what_is_asked_for_by_id_is_found_by_id(plan: Plan) -> None:
    """However much is due, it is not looked through for the few that are wanted."""
    for name in ("is anything of these due", "claim these"):
        assert not any("stack_runs_due" in line for line in await plan(WORK[name]))


@pytest.mark.parametrize("name", QUERIES)
async def test_queries_are_answered_by_an_index(plan: Plan, name: str) -> None:
    """What `list`, `show` and the engine ask for: no table is read from end to end, nor sorted where it is large."""
    query = QUERIES[name]
    lines = await plan(select(query)[0])
    if name == "list" or name == "by id":
        assert lines[0].startswith(f"SCAN {'task_runs' if name == 'list' else 'stack_runs'} USING INDEX"), lines
    else:
        assert searched(lines), lines
    if name in UNSORTED:
        assert not any("TEMP B-TREE" in line for line in lines), lines


async def test_pages_go_on_by_an_index(adapter: SQLiteAdapter, plan: Plan) -> None:
    """A later page is found where the one before ended."""
    for number in range(6):
        await adapter.create_task_run({"id": f"r{number}", "task_identifier": "digest"})
    for filter in ({}, {"task_identifier": "digest"}):
        page = await adapter.query_task_runs(filter, limit=2, newest_first=True)
        query = Query.make(TaskRun, filter, limit=2, newest_first=True, cursor=page.cursor)
        lines = await plan(select(query)[0])
        assert lines[0].startswith("SEARCH"), lines
        assert not any("TEMP B-TREE" in line for line in lines), lines
        assert [
            run.id for run in await adapter.query_task_runs(filter, limit=2, newest_first=True, cursor=page.cursor)
        ] == ["r3", "r2"]


def fill(connection: sqlite3.Connection, count: int) -> None:
    """Finished runs of three calls each, and one suspended run to a hundred."""
    begin = datetime(2026, 1, 1, tzinfo=UTC)

    def runs() -> Iterator[tuple[object, ...]]:
        for number in range(count):
            at = begin + timedelta(seconds=number)
            status = "suspended" if number % 100 == 0 else "completed"
            yield TASK_RUNS.row(
                TaskRun(id=f"r{number}", task_identifier="digest", status=status, created_at=at, updated_at=at)
            )

    def frames() -> Iterator[tuple[object, ...]]:
        for number in range(count):
            at = begin + timedelta(seconds=number)
            status = "suspended_waiting_child" if number % 100 == 0 else "completed"
            due = at + timedelta(days=3650) if number % 200 == 0 else None
            yield STACK_RUNS.row(
                StackRun(id=f"r{number}", task_run_id=f"r{number}", status=status, due_at=due, created_at=at)
            )
            for call in range(1, 4):
                yield STACK_RUNS.row(
                    StackRun(
                        id=f"r{number}.{call}",
                        task_run_id=f"r{number}",
                        parent_stack_run_id=f"r{number}",
                        operation="fetch",
                        status="completed",
                        position=call,
                        created_at=at,
                    )
                )

    connection.execute("BEGIN")
    connection.executemany(TASK_RUNS.insert, runs())
    connection.executemany(STACK_RUNS.insert, frames())
    connection.execute("COMMIT")


async def test_finished_runs_cost_nothing(adapter: SQLiteAdapter) -> None:
    """Claim, submit, list and show take no longer beside 20,000 runs than beside 2,100, as SQLite counts."""

    async def steps() -> dict[str, int]:
        """How many hundreds of SQLite's instructions each takes."""
        counted = [0]

        def count() -> int:
            counted[0] += 1
            return 0

        await adapter._thread.call(lambda connection: connection.set_progress_handler(count, 100))
        found = {}
        for name, action in {
            "submit": lambda: adapter.create_stack_run({"task_run_id": new_id()}),
            "claim": lambda: adapter.claim_stack_runs("w"),
            "claim nothing": lambda: adapter.claim_stack_runs("w"),
            "list": lambda: adapter.query_task_runs(limit=20, newest_first=True),
            "list suspended": lambda: adapter.query_task_runs({"status": "suspended"}, limit=20),
            "show": lambda: adapter.query_stack_runs({"task_run_id": "r7"}),
            "pending": lambda: adapter.get_pending_stack_runs(),
        }.items():
            counted[0] = 0
            await action()
            found[name] = counted[0]
        await adapter._thread.call(lambda connection: connection.set_progress_handler(None, 0))
        return found

    await adapter._thread.call(lambda connection: fill(connection, 2_100))
    few = await steps()
    await adapter._thread.call(lambda connection: connection.execute("DELETE FROM task_runs"))
    await adapter._thread.call(lambda connection: connection.execute("DELETE FROM stack_runs"))
    await adapter._thread.call(lambda connection: fill(connection, 20_000))
    many = await steps()
    assert all(many[name] <= few[name] + 3 for name in few), (few, many)
    begin = time.perf_counter()
    await adapter.close()
    await adapter.init()
    assert time.perf_counter() - begin < 5


def test_the_count_of_announcements_is_one_row() -> None:
    """Reading and raising it is a scan of a table that has one row, and that is all it is excused for."""
    assert bell.COUNT == "SELECT number FROM announcements"
