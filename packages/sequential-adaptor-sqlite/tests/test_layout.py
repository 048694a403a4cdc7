"""Where stack runs are found: numbered calls by their ids, all others by an index. Whatever the ids, none is missed."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeAlias

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from sequential_adaptor.backends.sqlite import SQLiteAdapter
from sequential_adaptor.ids import new_id
from sequential_adaptor.records import StackRun
from sequential_adaptor.storage import Change, Query

Step: TypeAlias = Callable[[str, int], list[Change]]

RUNS = ("a", "a-", "b", "A")
# What begins with the id of a run, with that and a point, with what sorts before and behind a point, and the like.
IDS = ("a", "a.", "a.1", "a.10", "a.2", "a-", "a-.1", "a.1.1", "A.1", "b", "b.1", "a1", "ab.1", "a-1")
FRAMES = st.dictionaries(
    st.sampled_from(IDS),
    st.tuples(st.sampled_from(RUNS), st.sampled_from([None, *RUNS, "a.1", "a.", "lane"]), st.integers(0, 3)),
    max_size=len(IDS),
)
WANTED = st.one_of(
    st.sampled_from([*RUNS, "a.1", "lane", "nobody"]),
    st.lists(st.sampled_from([*RUNS, "a.1", "a."]), max_size=4),
)
FILTERS = st.fixed_dictionaries(
    {},
    optional={
        "task_run_id": WANTED,
        "parent_stack_run_id": st.one_of(WANTED, st.none(), st.just([None, "a"])),
        "status": st.sampled_from(["pending", "completed"]),
    },
)
PAGE_BYTES = 4096 + 24


def stack_runs(frames: dict[str, tuple[str, str | None, int]]) -> list[StackRun]:
    at = datetime(2026, 1, 1, tzinfo=UTC)
    return [
        StackRun(
            id=id,
            task_run_id=run,
            parent_stack_run_id=parent,
            operation="step:x",
            status="completed",
            created_at=at + timedelta(seconds=second),
            updated_at=at,
        )
        for id, (run, parent, second) in frames.items()
    ]


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    frames=FRAMES,
    filter=FILTERS,
    order=st.sampled_from(["created_at", "id", "task_run_id"]),
    newest_first=st.booleans(),
)
@example(frames={"a.": ("a", "a", 0)}, filter={"task_run_id": "a"}, order="id", newest_first=False)
@example(frames={"a.": ("a", "a", 0)}, filter={"parent_stack_run_id": ["a", "b"]}, order="id", newest_first=False)
async def test_stack_runs_are_found_by_run_and_by_parent(
    frames: dict[str, tuple[str, str | None, int]], filter: dict[str, Any], order: str, newest_first: bool
) -> None:
    """Pages of two, by run, parent, several, or none, in every order: as if all rows had been looked at."""
    async with SQLiteAdapter(":memory:") as adapter:
        stored = [await adapter.create_stack_run(one) for one in stack_runs(frames)]
        options: dict[str, Any] = {"order_by": order, "newest_first": newest_first}
        expected = Query.make(StackRun, filter, **options).run(stored)
        page = await adapter.query_stack_runs(filter, limit=2, **options)
        found = list(page)
        while page.cursor is not None:
            page = await adapter.query_stack_runs(filter, limit=2, cursor=page.cursor, **options)
            found += page
        assert found == list(expected)


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(frames=FRAMES, run=st.sampled_from(RUNS))
@example(frames={"a.": ("a", "a", 0)}, run="a")
async def test_deleting_a_run_takes_its_stack_runs_and_no_others(
    frames: dict[str, tuple[str, str | None, int]], run: str
) -> None:
    """However the ids begin, what belongs to the run goes, and everything else stays."""
    async with SQLiteAdapter(":memory:") as adapter:
        await adapter.create_task_run({"id": run, "task_identifier": "x"})
        for one in stack_runs(frames):
            await adapter.create_stack_run(one)
        assert await adapter.delete_task_run(run)
        left = {one.id for one in await adapter.query_stack_runs()}
        assert left == {id for id, (owner, _, _) in frames.items() if owner != run}


async def test_a_step_in_a_row_writes_three_pages(path: Path, adapter: SQLiteAdapter, step: Step) -> None:
    """The calls', their ids', and the commits': what else a step wrote would cost each one of them."""
    run = new_id()
    await adapter.commit(step(run, 0), id=new_id())
    before = os.stat(f"{path}-wal").st_size
    for number in range(1, 41):
        await adapter.commit(step(run, number), id=new_id())
    pages = (os.stat(f"{path}-wal").st_size - before) / PAGE_BYTES
    assert pages <= 3.5 * 40, pages / 40  # and now and then a new page
