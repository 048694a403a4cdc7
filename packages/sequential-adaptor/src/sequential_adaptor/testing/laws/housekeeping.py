"""Section H: what people do with a store beside the work. An adapter may do without; what it has keeps these laws."""

from __future__ import annotations

import asyncio

import pytest

from sequential_adaptor.errors import ClaimLost, RecordNotFound
from sequential_adaptor.records import StackRun, TaskRun
from sequential_adaptor.storage import Create, StorageAdapter, Update
from sequential_adaptor.testing.laws.base import Laws, OpenAdapter, needs, where_offered
from sequential_adaptor.testing.laws.samples import (
    call,
    claim_one,
    create,
    everything,
    frame,
    ids_of,
    task_run,
)
from sequential_adaptor.testing.storage import Storage


class HousekeepingLaws(Laws):
    """Section H."""

    @where_offered("list_task_functions")
    async def test_functions_are_listed(self, adapter: StorageAdapter) -> None:
        """H1. `list_task_functions` gives each identifier once, sorted, however many versions it has."""
        assert await adapter.list_task_functions() == []
        for identifier, code in (("b.c", "1"), ("a", "2"), ("A-z", "3"), ("b.c", "4"), ("a", "2")):
            await adapter.store_task_function(identifier, code)
        assert await adapter.list_task_functions() == ["A-z", "a", "b.c"]

    @where_offered("list_keystore")
    async def test_keys_are_listed(self, adapter: StorageAdapter) -> None:
        """H2. `list_keystore` gives the keys there are, sorted, also those whose value is `None`, and no values."""
        assert await adapter.list_keystore() == []
        for key in ("b.c", "a", "A", "gone", "a"):
            await adapter.set_keystore(key, None if key == "A" else 1)
        await adapter.delete_keystore("gone")
        assert await adapter.list_keystore() == ["A", "a", "b.c"]

    @where_offered("delete_task_run")
    async def test_deleting_says_whether_there_was_a_run(self, adapter: StorageAdapter) -> None:
        """H3. `delete_task_run` forgets a run, whatever its status, and says whether there was one."""
        assert await adapter.delete_task_run("run-1") is False
        for status in ("pending", "running", "suspended", "completed", "failed", "cancelled"):
            await create(adapter, task_run(status=status))
            assert await adapter.delete_task_run("run-1") is True
            assert await adapter.get_task_run("run-1") is None
            assert await adapter.delete_task_run("run-1") is False

    @where_offered("delete_task_run")
    async def test_all_of_a_run_is_deleted_and_nothing_else(self, adapter: StorageAdapter) -> None:
        """H4. With a run all its stack runs are gone; other runs, children too, keep all of theirs."""
        await create(adapter, task_run(), frame(), *(call(n) for n in range(1, 403)))
        await create(adapter, task_run("child", parent_stack_run_id="run-1.1"), frame("child"), call(1, "child"))
        await create(adapter, task_run("run-10"), frame("run-10"), call(1, "run-10"))
        others = [row for row in await everything(adapter) if row.id.partition(".")[0] != "run-1"]
        assert await adapter.delete_task_run("run-1") is True
        assert await everything(adapter) == others
        assert list(await adapter.query_stack_runs({"task_run_id": "run-1"})) == []
        assert [await adapter.get_stack_run(id) for id in ("run-1", "run-1.1", "run-1.402")] == [None] * 3

    @where_offered("delete_task_run")
    async def test_what_is_deleted_is_never_due(self, adapter: StorageAdapter) -> None:
        """H5. Nothing of a deleted run is claimed or pending any more."""
        await create(adapter, task_run(), frame(), call(1), call(1, "run-2"))
        await adapter.delete_task_run("run-1")
        assert ids_of(await adapter.get_pending_stack_runs()) == ["run-2.1"]
        assert [claim.stack_run.id for claim in await adapter.claim_stack_runs("worker-1", limit=9)] == ["run-2.1"]

    @where_offered("delete_task_run")
    async def test_a_holder_of_what_was_deleted_is_refused(self, adapter: StorageAdapter) -> None:
        """H6. Whoever holds a deleted run has lost it: a commit raises `ClaimLost` and writes nothing."""
        await create(adapter, task_run(), frame())
        claim = await claim_one(adapter, "run-1")
        assert await adapter.delete_task_run("run-1") is True
        assert await adapter.heartbeat([claim]) == []
        with pytest.raises(ClaimLost):
            await adapter.commit([Create(call(1))], claims=[claim], id="commit-1")
        with pytest.raises(RecordNotFound):
            await adapter.commit([Create(call(2)), Update(TaskRun, "run-1", {"result": 1})], id="commit-2")
        assert await everything(adapter) == []

    @where_offered("delete_task_run")
    async def test_the_id_of_a_deleted_run_is_free(self, adapter: StorageAdapter) -> None:
        """H7. The id of a deleted run may be used again, and nothing of the one before is in the new one."""
        await create(adapter, task_run(input=1), frame(state=[1]), *(call(n) for n in range(1, 203)))
        await adapter.delete_task_run("run-1")
        new = await create(adapter, task_run(input=2, status="completed"), frame(due_at=None, status="completed"))
        assert new.token == 0
        assert [row.id for row in await everything(adapter)] == ["run-1", "run-1"]
        found = await adapter.get_task_run("run-1")
        assert found is not None
        assert found.input == 2
        assert await adapter.delete_task_run("run-1") is True
        assert await everything(adapter) == []

    @needs("sharing")
    @where_offered("delete_task_run")
    async def test_other_adapters_see_a_deletion_at_once(self, open_adapter: OpenAdapter) -> None:
        """H8. What one adapter deletes is gone for every other adapter of the store at once, and may be made again."""
        one, two = await open_adapter(), await open_adapter()
        for round in range(3):
            await create(one, task_run(input=round), frame(), call(1))
            assert await two.get_task_run("run-1") is not None
            assert await two.delete_task_run("run-1") is True
            assert await everything(one) == []
            assert await one.get_stack_run("run-1.1") is None

    @needs("reopening")
    @where_offered("delete_task_run")
    async def test_a_deleted_run_stays_away(self, storage: Storage) -> None:
        """H9. A run that was deleted is not there again when the store is closed and opened again."""
        async with await storage.make() as adapter:
            await create(adapter, task_run(), frame(), call(1), task_run("run-2"))
        async with await storage.make() as adapter:
            await adapter.update_stack_run("run-1.1", result=1)
            assert await adapter.delete_task_run("run-1") is True
        async with await storage.make() as adapter:
            assert ids_of(await everything(adapter)) == ["run-2"]
            await create(adapter, task_run(input="new"))
        async with await storage.make() as adapter:
            assert sorted(ids_of(await everything(adapter))) == ["run-1", "run-2"]

    @where_offered("delete_task_run")
    async def test_deletions_side_by_side(self, adapter: StorageAdapter) -> None:
        """H10. Of deletions of one run at once exactly one says that there was one."""
        await create(adapter, task_run(), StackRun(id="run-1", task_run_id="run-1"))
        assert sorted(await asyncio.gather(*(adapter.delete_task_run("run-1") for _ in range(5)))) == [False] * 4 + [
            True
        ]
