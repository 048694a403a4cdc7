"""Commits are remembered, whoever wrote them: their table has no index, because each connection knows what is in it."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeAlias

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sequential_adaptor.backends.sqlite import SQLiteAdapter
from sequential_adaptor.backends.sqlite.memory import REMEMBERED, Memory
from sequential_adaptor.errors import Conflict, RecordNotFound
from sequential_adaptor.records import StackRun
from sequential_adaptor.storage import Change, Update, Wake

OpenAdapter: TypeAlias = Callable[..., Awaitable[SQLiteAdapter]]

# Who commits, under which id, and whether the commit fails; those of one list are asked for at one time.
COMMITS = st.lists(
    st.lists(st.tuples(st.integers(0, 2), st.sampled_from("abcdef"), st.booleans()), min_size=1, max_size=5),
    max_size=12,
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rounds=COMMITS, reopened=st.integers(0, 11))
async def test_a_commit_is_written_once_whoever_repeats_it(
    tmp_path_factory: object, rounds: list[list[tuple[int, str, bool]]], reopened: int
) -> None:
    """Three adapters share a file: an id that was written is not written again, one whose commit failed may be."""
    path = Path(tmp_path_factory.mktemp("memory")) / "tasks.db"  # type: ignore[attr-defined]  # pytest's own
    adapters = [SQLiteAdapter(path) for _ in range(3)]
    for adapter in adapters:
        await adapter.init()
    try:
        await adapters[0].create_stack_run({"id": "frame", "task_run_id": "frame"})
        written: set[str] = set()
        for number, asked in enumerate(rounds):
            if number == reopened:
                await adapters[1].close()
                await adapters[1].init()
            commits = [_commit(adapters[who], id, fails) for who, id, fails in asked]
            found = await asyncio.gather(*commits, return_exceptions=True)
            for (_, id, fails), outcome in zip(asked, found, strict=True):
                assert outcome is None or (fails and isinstance(outcome, RecordNotFound)), outcome
                if not fails:
                    written.add(id)
        frame = await adapters[2].get_stack_run("frame")
        assert frame is not None
        assert frame.wakes == len(written)
    finally:
        for adapter in adapters:
            await adapter.close()


def _commit(adapter: SQLiteAdapter, id: str, fails: bool) -> Awaitable[None]:
    changes: list[Change] = [Wake("frame")]
    return adapter.commit([*changes, Wake("nobody")] if fails else changes, id=id)


async def test_numbers_have_no_gap(open_adapter: OpenAdapter) -> None:
    """Failed and repeated commits use up no number, so that a number tells how many were written before."""
    first, second = await open_adapter(), await open_adapter()
    await first.create_stack_run({"id": "frame", "task_run_id": "frame"})
    for number in range(20):
        adapter = (first, second)[number % 3 == 0]
        asked = [(f"c{number}", False), (f"c{number // 2}", False), (f"failed{number}", True)]
        await asyncio.gather(*(_commit(adapter, *one) for one in asked), return_exceptions=True)
    rows = await first._thread.call(lambda connection: connection.execute("SELECT number, id FROM commits").fetchall())
    assert [number for number, _ in rows] == list(range(1, 21))
    assert Counter(id for _, id in rows) == Counter(f"c{number}" for number in range(20))


async def test_an_adapter_that_is_opened_again_knows_nothing_of_the_file_before(path: Path) -> None:
    """The file was deleted meanwhile, and another adapter made it anew: what is remembered is what is in it."""
    old, new = SQLiteAdapter(path), SQLiteAdapter(path)
    async with old:
        await asyncio.gather(*(old.commit([], id=f"before{number}") for number in range(10)))
    path.unlink()
    async with new, old:
        await new.create_stack_run({"id": "frame", "task_run_id": "frame"})
        for adapter in (new, old):
            await _commit(adapter, "once", False)
        await _commit(old, "before3", False)
        frame = await old.get_stack_run("frame")
        assert frame is not None
        assert frame.wakes == 2


def test_the_memory_is_bounded_and_keeps_the_newest() -> None:
    """It forgets the oldest ids only, and never one of the newest so many."""
    memory = Memory()
    for number in range(1, 10_000):
        memory.keep(number, f"c{number}")
        oldest = max(1, number - REMEMBERED + 1)
        assert memory.has(f"c{oldest}", before=number + 1)
        assert not memory.has(f"c{number}", before=number)
    assert len(memory._ids) == len(memory._numbers) <= 2 * REMEMBERED


async def test_a_commit_that_was_refused_is_not_taken_for_written_however_many_others_write(path: Path) -> None:
    """Others use its number, and prune it: nothing of it is left by then."""
    async with SQLiteAdapter(path, durability="process") as one, SQLiteAdapter(path, durability="process") as other:
        await one.create_stack_run({"id": "frame", "task_run_id": "frame", "status": "suspended_waiting_child"})
        update = [Update(StackRun, "frame", {"result": "written"}, {"worker": "w"})]
        with pytest.raises(Conflict):
            await one.commit(update, id="mine")
        await other.update_stack_run("frame", worker="w")
        for begin in range(0, REMEMBERED + 512, 256):
            await asyncio.gather(*(other.commit([], id=f"other-{begin + number}") for number in range(256)))
        await one.commit([], id="news")
        await one.commit(update, id="mine")
        frame = await one.get_stack_run("frame")
        assert frame is not None
        assert frame.result == "written"


async def test_a_call_that_two_of_the_runs_asked_for_could_contain_is_found_once(path: Path) -> None:
    async with SQLiteAdapter(path) as adapter:
        await adapter.create_stack_run(
            {"id": "a.1.1", "task_run_id": "a", "parent_stack_run_id": "a", "operation": "s.m"}
        )
        for field in ("task_run_id", "parent_stack_run_id"):
            found = await adapter.query_stack_runs({field: ["a", "a.1"]})
            assert [record.id for record in found] == ["a.1.1"]
