"""Stack runs whose parents are in other runs, as those of a queue: found as any others, at the cost of the answer."""

from __future__ import annotations

import asyncio
import json
import tempfile
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeAlias

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sequential_adaptor.backends.folder import FolderAdapter, answers, index, saving
from sequential_adaptor.backends.folder.groups import Group
from sequential_adaptor.backends.folder.listings import listing_line
from sequential_adaptor.backends.folder.rows import root_of
from sequential_adaptor.records import StackRun, TaskRun
from sequential_adaptor.storage import Change, Create, Update
from sequential_adaptor.storage.queries import Query

Checkpoint: TypeAlias = Callable[[FolderAdapter], Awaitable[None]]
LANES = ("queue.in", "queue.w0", "queue.w5")
BEGAN = datetime(2026, 1, 1, tzinfo=UTC)


def frames(lane: str | None, numbers: range) -> list[Change]:
    """Runs that came one after the other, the root frame of each in the lane, and none of them due."""
    made: list[Change] = []
    for number in numbers:
        id, at = f"run-{number}", BEGAN + timedelta(seconds=number)
        made.append(Create(TaskRun(id=id, task_identifier="task")))
        frame = StackRun(
            id=id, task_run_id=id, parent_stack_run_id=lane, created_at=at, status="suspended_waiting_child"
        )
        made.append(Create(frame))
    return made


def moved(lane: str | None, numbers: range) -> list[Change]:
    return [Update(StackRun, f"run-{number}", {"parent_stack_run_id": lane}) for number in numbers]


def adopted(adapter: FolderAdapter) -> int:
    """How many such stack runs are in memory."""
    return len(adapter._use().store.state.adopted)


@pytest.fixture
def looked_at(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How many rows queries looked at, and how many runs they read from files."""
    counts = Counter[str]()

    def counted(name: str) -> None:
        whole = getattr(answers, name)

        def counting(*args: Any) -> Any:
            counts[name] += 1
            return whole(*args)

        monkeypatch.setattr(answers, name, counting)

    for name in ("matches", "read_group"):
        counted(name)
    return counts


@pytest.mark.parametrize("cold", [False, True])
async def test_a_lane_costs_what_it_returns(
    adapter: FolderAdapter, checkpoint: Checkpoint, looked_at: Counter[str], cold: bool
) -> None:
    """Neither those in other lanes, nor those that were in this one, nor those behind the page are looked at."""
    await adapter.commit(frames("queue.w0", range(400)), id="wait")
    await adapter.commit(moved("queue.in", range(3)), id="admit")
    await adapter.commit(moved(None, range(3, 100)), id="leave")
    if cold:
        await checkpoint(adapter)
    asked: list[tuple[dict[str, Any], list[int]]] = [
        ({"filter": {"parent_stack_run_id": ["queue", "queue.in", "queue.out"]}}, [0, 1, 2]),
        ({"filter": {"parent_stack_run_id": "queue.w0"}, "limit": 2}, [100, 101]),
        ({"filter": {"parent_stack_run_id": "queue.w0"}, "limit": 2, "newest_first": True}, [399, 398]),
        ({"filter": {"parent_stack_run_id": list(LANES)}, "limit": 4}, [0, 1, 2, 100]),
        ({"filter": {"parent_stack_run_id": list(LANES)}, "limit": 2, "newest_first": True}, [399, 398]),
        ({"filter": {"parent_stack_run_id": "queue.w5"}, "limit": 4}, []),
    ]
    for query, wanted in asked:
        looked_at.clear()
        page = await adapter.query_stack_runs(**query)
        assert [one.id for one in page] == [f"run-{number}" for number in wanted]
        assert looked_at["matches"] <= len(wanted) + 1
        assert looked_at["read_group"] == (looked_at["matches"] if cold else 0)
    for newest_first, numbers in ((False, range(110, 120)), (True, range(389, 379, -1))):
        query = {"filter": {"parent_stack_run_id": "queue.w0"}, "limit": 10, "newest_first": newest_first}
        page = await adapter.query_stack_runs(**query)
        looked_at.clear()
        page = await adapter.query_stack_runs(**query, cursor=page.cursor)
        assert [one.id for one in page] == [f"run-{number}" for number in numbers]
        assert page.cursor is not None
        assert looked_at["matches"] <= 11


async def test_a_limit_holds_for_those_that_match(adapter: FolderAdapter) -> None:
    """Other fields of the filter leave gaps; the page is full all the same."""
    await adapter.commit(frames("queue.w0", range(90)), id="wait")
    await adapter.commit([Update(StackRun, f"run-{n}", {"attempts": 7}) for n in range(20, 90, 20)], id="some")
    query: dict[str, Any] = {"filter": {"parent_stack_run_id": "queue.w0", "attempts": 7}, "limit": 3}
    page = await adapter.query_stack_runs(**query)
    assert [one.id for one in page] == ["run-20", "run-40", "run-60"]
    page = await adapter.query_stack_runs(**query, cursor=page.cursor)
    assert ([one.id for one in page], page.cursor) == (["run-80"], None)
    page = await adapter.query_stack_runs({"parent_stack_run_id": "queue.w0"}, order_by="task_run_id", limit=3)
    assert [one.id for one in page] == ["run-0", "run-1", "run-10"]


async def test_nothing_is_kept_of_those_that_have_left(
    adapter: FolderAdapter, base: Path, checkpoint: Checkpoint
) -> None:
    """In every process, whether their runs are cold, and where their runs were deleted."""
    async with FolderAdapter(base) as other:
        await adapter.commit(frames("queue.w0", range(30)), id="wait")
        await checkpoint(adapter)
        await adapter.commit(moved("queue.in", range(20)), id="admit")
        for number in (0, 29):
            await other.delete_task_run(f"run-{number}")
        await adapter.commit(moved(None, range(1, 20)), id="leave")
        async with FolderAdapter(base) as third:
            for each in (adapter, other, third):
                found = await each.query_stack_runs({"parent_stack_run_id": list(LANES)})
                assert [one.id for one in found] == [f"run-{number}" for number in range(20, 29)]
                assert adopted(each) == 9
        await adapter.commit(moved(None, range(20, 29)), id="leave too")
        await checkpoint(other)
        async with FolderAdapter(base) as third:
            for each in (adapter, other, third):
                assert await each.query_stack_runs({"parent_stack_run_id": list(LANES)}) == []
                assert adopted(each) == 0


async def test_an_index_of_the_former_format_is_made_again(
    adapter: FolderAdapter, base: Path, checkpoint: Checkpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It named the runs of parents only."""

    def former(group: Group) -> bytes:
        *fields, found = json.loads(listing_line(group))
        return json.dumps([*fields, sorted({root_of(one[1]) for one in found})], separators=(",", ":")).encode()

    await adapter.commit(frames("queue.w0", range(5)), id="wait")
    with monkeypatch.context() as patch:
        patch.setattr(index, "FORMAT", 1)
        patch.setattr(saving, "listing_line", former)
        await checkpoint(adapter)
        await adapter.close()
    async with FolderAdapter(base) as other:
        assert len(await other.query_stack_runs({"parent_stack_run_id": "queue.w0"})) == 5


# ---- whatever is done


RUNS = st.sampled_from(["queue", "run-1", "run-2", "run-3"])
ROWS = st.sampled_from(["run-1", "run-2", "run-3", "run-1.1", "run-2.1", "stray"])
PARENTS = st.sampled_from([None, "queue", "run-1", "run-1.1", "run-2", *LANES])
STEPS = st.one_of(
    st.tuples(st.just("put"), ROWS, RUNS, PARENTS),
    st.tuples(st.just("put"), ROWS, RUNS, st.sampled_from(LANES)),
    st.tuples(st.just("delete"), RUNS),
    st.tuples(st.sampled_from(["checkpoint", "reopen"])),
)
QUERIES = st.builds(
    dict,
    filter=st.fixed_dictionaries(
        {"parent_stack_run_id": st.lists(PARENTS.filter(bool), max_size=4)}, optional={"attempts": st.just(1)}
    ),
    limit=st.sampled_from([None, 0, 1, 2]),
    order_by=st.sampled_from(["created_at", "created_at", "task_run_id"]),
    newest_first=st.booleans(),
)


async def put(adapter: FolderAdapter, number: int, id: str, run_id: str, parent: str | None) -> None:
    """Have a row with that run and that parent, whether there was one before or not."""
    if await adapter.get_task_run(run_id) is None:
        await adapter.create_task_run(TaskRun(id=run_id, task_identifier="task"))
    fields: dict[str, Any] = {"task_run_id": run_id, "parent_stack_run_id": parent, "attempts": number % 2}
    if await adapter.get_stack_run(id) is None:
        # Times that are equal, and out of order: only then does the order of ids count.
        at = BEGAN + timedelta(seconds=number * 7 % 3)
        await adapter.create_stack_run(StackRun(id=id, operation="a.b", created_at=at, **fields))
    else:
        await adapter.update_stack_run(id, fields)


async def check(adapter: FolderAdapter, query: dict[str, Any]) -> None:
    """Page by page, the adapter finds what is found when every row is looked at."""
    rows = await adapter.query_stack_runs()
    cursor = None
    while True:
        page = await adapter.query_stack_runs(**query, cursor=cursor)
        wanted = Query.make(StackRun, **query, cursor=cursor).run(rows)
        assert page == wanted
        assert page.cursor == wanted.cursor
        cursor = page.cursor
        if cursor is None:
            break
    foreign = [row for row in rows if root_of(row.parent_stack_run_id or row.task_run_id) != row.task_run_id]
    assert adopted(adapter) == len(foreign)


async def follow(base: Path, steps: list[tuple[Any, ...]], queries: list[dict[str, Any]]) -> None:
    """Do each step in one of two processes, and check both, and a third that comes at the end."""
    async with AsyncExitStack() as stack:
        both = [await stack.enter_async_context(FolderAdapter(base, durability="process")) for _ in range(2)]
        for number, (name, *args) in enumerate(steps):
            acting = both[number % 2]
            if name == "put":
                await put(acting, number, *args)
            elif name == "delete":
                await acting.delete_task_run(*args)
            elif name == "checkpoint":
                await asyncio.to_thread(acting._use().keeper.checkpoint)
            else:
                await acting.close()
                both[number % 2] = await stack.enter_async_context(FolderAdapter(base, durability="process"))
            for each in both:
                await check(each, queries[number % len(queries)])
        third = await stack.enter_async_context(FolderAdapter(base))
        for query in queries:
            await check(third, query)


@settings(max_examples=60, deadline=None, database=None, suppress_health_check=list(HealthCheck))
@given(steps=st.lists(STEPS, max_size=14), queries=st.lists(QUERIES, min_size=1, max_size=4))
def test_they_are_found_whatever_was_done(steps: list[tuple[Any, ...]], queries: list[dict[str, Any]]) -> None:
    """Rows that change their parents and their runs, runs that are deleted and come again, in any process, cold or
    not: queries by parent find what a look at every row finds, and memory holds no more.
    """
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(follow(Path(folder) / "tasks", steps, queries))
