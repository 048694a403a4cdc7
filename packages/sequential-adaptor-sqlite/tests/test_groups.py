"""Group commit: writes that are asked for side by side share transactions, and none of them pays for another."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sequential_adaptor import ClaimLost, Conflict, RecordExists, RecordNotFound, StorageUnavailable
from sequential_adaptor.backends.sqlite import SQLiteAdapter
from sequential_adaptor.ids import new_id
from sequential_adaptor.records import StackRun, TaskRun
from sequential_adaptor.storage import Change, Create, Update, Wake

Traced: TypeAlias = Callable[[SQLiteAdapter], Awaitable[list[str]]]
Step: TypeAlias = Callable[[str, int], list[Change]]
NewFrame: TypeAlias = Callable[[SQLiteAdapter], Awaitable[str]]


def commits(statements: list[str]) -> int:
    return sum(statement == "COMMIT" for statement in statements)


async def test_a_step_in_a_row_is_one_commit(
    adapter: SQLiteAdapter, traced: Traced, step: Step, new_frame: NewFrame
) -> None:
    """The outcome of call n and the start of call n + 1 cost one COMMIT, and so one fsync."""
    run = await new_frame(adapter)
    claims = await adapter.claim_stack_runs("w")
    statements = await traced(adapter)
    for number in range(50):
        await adapter.commit(step(run, number), claims=claims, id=new_id())
    assert commits(statements) == 50
    assert sum(statement == "BEGIN IMMEDIATE" for statement in statements) == 50


async def test_what_is_asked_for_at_one_time_is_one_commit(
    adapter: SQLiteAdapter, traced: Traced, step: Step, new_frame: NewFrame
) -> None:
    """From the second time on: who has just been alone is not kept waiting for others."""
    runs = [await new_frame(adapter) for _ in range(8)]
    counts = []
    for number in range(4):
        statements = await traced(adapter)
        await asyncio.gather(*(adapter.commit(step(run, number), id=new_id()) for run in runs))
        counts.append(commits(statements))
    assert counts[0] <= 8
    assert counts[1:] == [1, 1, 1]


async def test_what_is_asked_for_before_closing_is_written_before(
    adapter: SQLiteAdapter, step: Step, new_frame: NewFrame
) -> None:
    """Closing takes along what tasks of this event loop have asked for, one of them or many."""
    runs = [await new_frame(adapter) for _ in range(8)]
    for number in range(3):
        asked = [asyncio.create_task(adapter.commit(step(run, number), id=new_id())) for run in runs]
        await asyncio.sleep(0)
        await adapter.close()
        await asyncio.gather(*asked)
        await adapter.init()
        assert len(await adapter.query_stack_runs({"sequence": number + 1})) == 8


async def test_writes_side_by_side_share_commits(adapter: SQLiteAdapter, traced: Traced, step: Step) -> None:
    """32 tasks side by side need a small part of the commits that they would need one by one."""
    statements = await traced(adapter)

    async def task(run: str) -> None:
        for number in range(20):
            await adapter.commit(step(run, number), id=new_id())

    await asyncio.gather(*(task(new_id()) for _ in range(32)))
    assert commits(statements) <= 32 * 20 / 4
    assert len(await adapter.query_stack_runs()) == 32 * 20


async def test_submissions_share_commits(adapter: SQLiteAdapter, traced: Traced, new_frame: NewFrame) -> None:
    """Creating records is grouped like commits are."""
    statements = await traced(adapter)
    await asyncio.gather(*(new_frame(adapter) for _ in range(100)))
    assert commits(statements) <= 10


async def test_one_that_fails_undoes_no_neighbour(adapter: SQLiteAdapter, new_frame: NewFrame) -> None:
    """Lost claims, failed expectations, taken ids and missing records, in one group with what is right."""
    run = await new_frame(adapter)
    [claim] = await adapter.claim_stack_runs("w", lease=60)
    await adapter.update_stack_run(run, token=7)
    taken = await adapter.create_task_run({"task_identifier": "taken"})

    def good(number: int) -> Awaitable[None]:
        return adapter.commit([Create(TaskRun(id=f"good{number}", task_identifier="digest"))], id=f"good{number}")

    def bad(number: int, last: Change, **options: Any) -> Awaitable[None]:
        first = Create(TaskRun(id=f"bad{number}", task_identifier="digest"))
        return adapter.commit([first, last], id=f"bad{number}", **options)

    found = await asyncio.gather(
        good(0),
        bad(1, Wake(run), claims=[claim]),
        good(1),
        bad(2, Update(StackRun, run, {"wakes": 3}, {"status": "completed"})),
        good(2),
        bad(3, Create(taken.replace(task_identifier="other"))),
        bad(4, Wake("nobody")),
        good(3),
        return_exceptions=True,
    )
    assert [type(one) for one in found if one is not None] == [ClaimLost, Conflict, RecordExists, RecordNotFound]
    stored = {one.id for one in await adapter.query_task_runs({"task_identifier": "digest"})}
    assert stored == {run, "good0", "good1", "good2", "good3"}


async def test_only_a_group_in_which_one_fails_is_taken_apart(adapter: SQLiteAdapter, traced: Traced) -> None:
    """A group is written as if nothing could fail; where one does, it is undone, and each is written by itself."""

    async def savepoints(*commits: tuple[str, Change]) -> int:
        statements = await traced(adapter)
        await asyncio.gather(*(adapter.commit([one], id=id) for id, one in commits), return_exceptions=True)
        assert sum(statement == "COMMIT" for statement in statements[-30:]) >= 1
        return sum(statement.startswith("SAVEPOINT") for statement in statements)

    def create(number: int) -> tuple[str, Change]:
        return f"c{number}", Create(TaskRun(id=f"r{number}", task_identifier="x"))

    await savepoints(*(create(number) for number in range(4)))  # from the second time on they are one group
    assert await savepoints(*(create(number) for number in range(4, 8))) == 0
    assert await savepoints(*(create(number) for number in range(8, 11)), ("bad", Wake("nobody"))) == 4
    assert len(await adapter.query_task_runs()) == 11


async def test_a_commit_is_remembered_only_when_it_was_written(adapter: SQLiteAdapter) -> None:
    """A commit that failed inside a group may be tried again under its id; one that was written is not repeated."""
    update = Update(StackRun, "late", {"wakes": 1})
    create = [Create(TaskRun(id=f"r{number}", task_identifier="x")) for number in range(3)]
    found = await asyncio.gather(
        *(adapter.commit([one], id=one.record.id) for one in create),
        adapter.commit([update], id="u"),
        return_exceptions=True,
    )
    assert isinstance(found[-1], RecordNotFound)
    await adapter.create_stack_run({"id": "late", "task_run_id": "r0"})
    await adapter.commit([update], id="u")
    await adapter.commit([Update(StackRun, "late", {"wakes": 5})], id="u")
    stored = await adapter.get_stack_run("late")
    assert stored is not None
    assert stored.wakes == 1


async def test_a_cancelled_caller_leaves_no_half(adapter: SQLiteAdapter, step: Step) -> None:
    """Who is cancelled while committing has committed all or nothing, and the others go on."""
    tasks = [asyncio.create_task(adapter.commit(step(f"run{number}", 0), id=f"c{number}")) for number in range(20)]
    await asyncio.sleep(0)
    for task in tasks[::2]:
        task.cancel()
    found = await asyncio.gather(*tasks, return_exceptions=True)
    assert all(one is None for one in found[1::2])
    stored = {one.task_run_id for one in await adapter.query_stack_runs()}
    assert {f"run{number}" for number in range(1, 20, 2)} <= stored
    await asyncio.gather(*(adapter.commit(step(f"run{number}", 0), id=f"c{number}") for number in range(20)))
    assert len(await adapter.query_stack_runs()) == 20


async def test_a_full_disk_fails_the_group_as_a_whole(adapter: SQLiteAdapter) -> None:
    """When there is no room for one, SQLite undoes everybody's: everybody hears of it, and nothing is half there."""
    pages = await adapter._thread.call(lambda connection: connection.execute("PRAGMA page_count").fetchone()[0])
    await adapter._thread.call(lambda connection: connection.execute(f"PRAGMA max_page_count = {pages + 20}"))
    large = "x" * 500_000
    found = await asyncio.gather(
        *(adapter.create_task_run({"id": f"small{n}", "task_identifier": "x"}) for n in range(5)),
        adapter.create_task_run({"id": "large", "task_identifier": "x", "input": large}),
        return_exceptions=True,
    )
    assert isinstance(found[-1], StorageUnavailable)
    assert "no room" in str(found[-1])
    stored = {one.id for one in await adapter.query_task_runs()}
    assert stored == {one.id for one in found if isinstance(one, TaskRun)}
    await adapter._thread.call(lambda connection: connection.execute("PRAGMA max_page_count = 1000000"))
    assert (await adapter.create_task_run({"id": "large", "task_identifier": "x", "input": large})).input == large


_changes = st.lists(
    st.one_of(
        st.integers(0, 5).map(lambda n: Create(TaskRun(id=f"r{n}", task_identifier=f"t{n}"))),
        st.integers(0, 5).map(lambda n: Create(TaskRun(id=f"r{n}", task_identifier="other"))),
        st.integers(0, 5).map(lambda n: Update(TaskRun, f"r{n}", {"runner": "flow"}, {"runner": "fetch"})),
        st.integers(0, 5).map(lambda n: Update(TaskRun, f"r{n}", {"status": "running"})),
    ),
    min_size=1,
    max_size=4,
)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(asked=st.lists(_changes, min_size=1, max_size=12))
def test_a_group_is_its_members_one_after_the_other(asked: list[list[Change]]) -> None:
    """Whatever is asked for side by side ends as if each had been alone, in the order in which it was asked."""

    async def outcome(together: bool) -> tuple[list[str], list[tuple[str, str, str, str]]]:
        async with SQLiteAdapter(":memory:") as adapter:
            waiting = [adapter.commit(changes, id=f"c{number}") for number, changes in enumerate(asked)]
            if together:
                found = await asyncio.gather(*waiting, return_exceptions=True)
            else:
                found = [(await asyncio.gather(one, return_exceptions=True))[0] for one in waiting]
            runs = await adapter.query_task_runs(order_by="id")
            return [repr(one) for one in found], [(r.id, r.task_identifier, r.runner, r.status) for r in runs]

    assert asyncio.run(outcome(True)) == asyncio.run(outcome(False))


@pytest.mark.parametrize("count", [1, 2, 1_000])
async def test_more_than_one_group_can_hold(adapter: SQLiteAdapter, count: int) -> None:
    """However many ask at once, each gets its own answer."""
    found = await asyncio.gather(
        *(adapter.create_task_run({"id": f"r{n}", "task_identifier": "x", "input": n}) for n in range(count))
    )
    assert [one.input for one in found] == list(range(count))


@pytest.mark.parametrize(
    ("expected", "kept"),
    [
        ({"token": 0}, True),
        ({"token": "0"}, False),
        ({"status": "pending", "worker": None, "input": None}, True),
        ({"status": "\ud800"}, False),
        ({"worker": 0}, False),
        ({"input": [1, {"b": 1, "a": 2}]}, False),
        ({"token": 2**70}, False),
        ({"operation": "0"}, False),
    ],
)
async def test_expectations_are_compared_as_python_does(
    adapter: SQLiteAdapter, expected: dict[str, Any], kept: bool
) -> None:
    """SQLite would convert text to numbers and back to compare them: a value that a field cannot have never matches."""
    await adapter.create_stack_run({"id": "run", "task_run_id": "run", "operation": "0x"})
    outcome = await asyncio.gather(
        adapter.commit([Update(StackRun, "run", {"wakes": 1}, expected)], id="c"), return_exceptions=True
    )
    assert (outcome == [None]) is kept, outcome
    assert kept or isinstance(outcome[0], Conflict)
