"""Section M: a commit writes all of its changes, or none."""

from __future__ import annotations

import asyncio
import math

import pytest

from sequential_adaptor import values
from sequential_adaptor.errors import InvalidId, RecordExists, RecordNotFound, StorageError
from sequential_adaptor.lifecycles import STACK_RUN
from sequential_adaptor.records import StackRun, TaskRun
from sequential_adaptor.storage import Change, Claim, Create, StorageAdapter, Update, Wake
from sequential_adaptor.testing.laws.base import Laws
from sequential_adaptor.testing.laws.samples import (
    FUTURE,
    PAST,
    call,
    claim_one,
    commit_own,
    create,
    everything,
    frame,
    full,
    plain,
    results,
    task_run,
)


class CommitLaws(Laws):
    """Section M."""

    async def test_all_changes_are_written_in_order(self, adapter: StorageAdapter) -> None:
        """M1. A commit writes all its changes, in their order: a later one sees and may change what an earlier one
        wrote."""
        await create(adapter, task_run(), frame())
        changes: list[Change] = [
            Create(call(1)),
            Update(StackRun, "run-1.1", {"status": "completed", "result": 1}, expect={"status": "pending"}),
            Update(StackRun, "run-1.1", {"result": 2}, expect={"result": 1}),
            Update(TaskRun, "run-1", {"status": "running"}),
            Wake("run-1"),
            Wake("run-1"),
            Update(StackRun, "run-1", {"state": [1]}, expect={"wakes": 2}),
            Create(task_run("child")),
        ]
        await commit_own(adapter, changes)
        assert await results(adapter) == {"run-1": None, "run-1.1": 2, "child": None}
        found = await adapter.get_stack_run("run-1")
        assert found is not None
        assert (found.wakes, found.state) == (2, [1])

    async def test_created_records_are_filled_in(self, adapter: StorageAdapter) -> None:
        """M2. What a commit creates is stored as `create_*` stores it, with times and `due_at` filled in."""
        before = await adapter.now()
        created = full(StackRun).replace(id="run-1.9", last_commit=None)
        await commit_own(adapter, [Create(task_run()), Create(call(1, due_at=None)), Create(created)])
        run, found = await adapter.get_task_run("run-1"), await adapter.get_stack_run("run-1.1")
        assert run is not None
        assert run.created_at is not None
        assert before <= run.created_at <= await adapter.now()
        assert found is not None
        assert found.due_at is not None
        assert found.due_at <= await adapter.now()
        stored = await adapter.get_stack_run("run-1.9")
        assert stored is not None
        assert stored.replace(last_commit=None) == created

    async def test_whatever_is_wrong_stops_everything(self, adapter: StorageAdapter) -> None:
        """M3. Whatever is wrong with one change, of the others nothing is written: in front of it or behind it."""
        await create(adapter, task_run(), call(1))
        stored = await everything(adapter)
        good: list[Change] = [Update(TaskRun, "run-1", {"result": 1}), Create(call(2)), Wake("run-1.1")]
        for bad, error in (
            (Create(call(1, input="other")), RecordExists),
            (Create(task_run(input="other")), RecordExists),
            (Update(TaskRun, "nobody", {"result": 1}), RecordNotFound),
            (Update(StackRun, "nobody", {"result": 1}), RecordNotFound),
            (Wake("nobody"), RecordNotFound),
            (Update(StackRun, "run-1.1", {"result": math.nan}), ValueError),
            (Update(StackRun, "run-1.1", {"status": "none"}), ValueError),
            (Update(StackRun, "run-1.1", {"id": "other"}), ValueError),
            (Update(StackRun, "run-1.1", {"nothing": 1}), ValueError),
            (Create(call(3, due_at=PAST.replace(tzinfo=None))), ValueError),
            (Create(task_run("../x")), InvalidId),
        ):
            for changes in ([*good, bad], [bad, *good], [good[0], bad, *good[1:]]):
                with pytest.raises(error):
                    await commit_own(adapter, changes)
        assert await everything(adapter) == stored

    async def test_a_neighbour_in_trouble_harms_nobody(self, adapter: StorageAdapter) -> None:
        """M4. Of commits at once, one that is refused leaves those beside it as if it had never been."""
        await create(adapter, *(call(n) for n in range(40)))
        lost = Claim(plain(StackRun, "run-1.1"), "nobody", 7, FUTURE)

        async def attempt(n: int) -> bool:
            claims = [lost] if n % 4 == 1 else []
            expect = {"wakes": 1} if n % 4 == 2 else {}
            try:
                await commit_own(adapter, [Update(StackRun, f"run-1.{n}", {"result": n}, expect=expect)], claims=claims)
            except StorageError:
                return False
            return True

        outcomes = await asyncio.gather(*(attempt(n) for n in range(40)))
        assert outcomes == [n % 4 not in (1, 2) for n in range(40)]
        found = await results(adapter)
        assert found == {f"run-1.{n}": n if outcomes[n] else None for n in range(40)}

    async def test_large_commits_are_whole(self, adapter: StorageAdapter) -> None:
        """M5. A commit of 500 changes is written whole, or not at all."""
        changes: list[Change] = [Create(call(n)) for n in range(500)]
        with pytest.raises(RecordNotFound):
            await commit_own(adapter, [*changes, Wake("nobody")])
        assert await everything(adapter) == []
        await commit_own(adapter, changes)
        assert len(await adapter.query_stack_runs()) == 500

    async def test_a_commit_of_nothing_is_fine(self, adapter: StorageAdapter) -> None:
        """M6. A commit without changes succeeds, under the claims that it was given."""
        await create(adapter, call(1))
        claim = await claim_one(adapter, "run-1.1")
        await commit_own(adapter, [], claims=[claim])
        await commit_own(adapter, [])
        assert await adapter.get_stack_run("run-1.1") == claim.stack_run

    async def test_creating_what_exists_is_success(self, adapter: StorageAdapter) -> None:
        """M7. `Create` of an identical record that exists is success and leaves it as it is; the rest is written."""
        stored = await create(adapter, task_run(), call(1))
        await commit_own(adapter, [Create(task_run()), Create(call(1)), Create(call(2)), Create(call(2))])
        assert await results(adapter) == {"run-1": None, "run-1.1": None, "run-1.2": None}
        assert await adapter.get_stack_run("run-1.1") == stored

    async def test_records_say_which_commit_wrote_them(self, adapter: StorageAdapter) -> None:
        """M8. Every stack run that a commit creates or updates has its `id` in `last_commit`; one it wakes has not."""
        await create(adapter, call(1), call(2), call(3, last_commit="before"), call(4, last_commit="before"))
        changes: list[Change] = [Update(StackRun, "run-1.1", {}), Create(call(5)), Wake("run-1.3"), Create(call(6))]
        await adapter.commit([*changes, Wake("run-1.6")], id="commit-1")
        found = {one.id: one.last_commit for one in await adapter.query_stack_runs()}
        expected = {"1": "commit-1", "2": None, "3": "before", "4": "before", "5": "commit-1", "6": "commit-1"}
        assert found == {f"run-1.{n}": commit for n, commit in expected.items()}

    async def test_a_wake_makes_due(self, adapter: StorageAdapter) -> None:
        """M9. `Wake` sets `due_at` to now and adds one to `wakes`; it leaves everything else, the lease too, as it
        is."""
        given = full(StackRun).replace(status="suspended_waiting_child", due_at=FUTURE, lease_expires_at=FUTURE)
        stored = await create(adapter, given, frame("run-2", status="in_progress"))
        before = await adapter.now()
        await adapter.update_stack_run("run-2", due_at=None)
        await commit_own(adapter, [Wake("run-1"), Wake("run-2")])
        first, second = await adapter.get_stack_run("run-1"), await adapter.get_stack_run("run-2")
        assert first is not None
        assert first.due_at is not None
        assert before <= first.due_at <= await adapter.now()
        assert first == given.replace(wakes=given.wakes + 1, due_at=first.due_at, updated_at=first.updated_at)
        assert second is not None
        assert second.wakes == 1
        assert stored.id == "run-2"
        assert [claim.stack_run.id for claim in await adapter.claim_stack_runs("worker-1", limit=9)] == ["run-2"]

    async def test_what_has_ended_is_not_woken(self, adapter: StorageAdapter) -> None:
        """M10. `Wake` changes nothing on a stack run that has ended, and is no error; of an unknown one it is."""
        for status in STACK_RUN.ended:
            stored = await create(adapter, frame(status, status=status))
            await commit_own(adapter, [Wake(status), Create(task_run(f"beside-{status}"))])
            assert await adapter.get_stack_run(status) == stored
            assert await adapter.get_task_run(f"beside-{status}") is not None
        with pytest.raises(RecordNotFound):
            await commit_own(adapter, [Wake("nobody")])

    async def test_a_commit_keeps_values_of_its_own(self, adapter: StorageAdapter) -> None:
        """M11. Nothing is shared: changing a value after it was committed changes nothing stored."""
        state, result = {"list": [1]}, [1]
        await commit_own(adapter, [Create(call(1, state=state)), Update(StackRun, "run-1.1", {"result": result})])
        state["list"].append(2)
        result.append(2)
        found = await adapter.get_stack_run("run-1.1")
        assert found is not None
        assert values.identical([found.state, found.result], [{"list": [1]}, [1]])
