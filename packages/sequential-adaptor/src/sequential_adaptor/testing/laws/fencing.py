"""Section E: a commit is written once, only for who holds its claims, and only if what it expects is so."""

from __future__ import annotations

import asyncio
from datetime import timedelta, timezone
from typing import Any

import pytest

from sequential_adaptor.errors import ClaimLost, Conflict
from sequential_adaptor.records import StackRun, TaskRun
from sequential_adaptor.storage import Change, Claim, Create, StorageAdapter, Update, Wake
from sequential_adaptor.testing.laws.base import Laws, OpenAdapter, needs
from sequential_adaptor.testing.laws.samples import (
    FUTURE,
    PAST,
    call,
    claim_one,
    commit_own,
    create,
    end_lease,
    everything,
    frame,
    plain,
    results,
    task_run,
)


class FencingLaws(Laws):
    """Section E."""

    async def test_a_lost_claim_stops_everything(self, adapter: StorageAdapter) -> None:
        """E1. A claim whose lease is over, whose token or worker is not the stored one: `ClaimLost`, and nothing is
        written."""
        await create(adapter, task_run(), call(1), call(2), call(3))
        good, over, taken = await adapter.claim_stack_runs("worker-1", limit=3, lease=300)
        await end_lease(adapter, over.stack_run.id)
        await end_lease(adapter, taken.stack_run.id)
        await claim_one(adapter, taken.stack_run.id, "worker-2")
        stranger = Claim(good.stack_run, "worker-3", good.token, good.expires_at)
        newer = Claim(good.stack_run, good.worker, good.token + 1, good.expires_at)
        nobody = Claim(plain(StackRun, "nobody.1"), "worker-1", 1, FUTURE)
        stored = await everything(adapter)
        for claim in (over, taken, stranger, newer, nobody):
            with pytest.raises(ClaimLost) as caught:
                await commit_own(adapter, [Update(TaskRun, "run-1", {"result": 1})], claims=[good, claim])
            assert (caught.value.stack_run_id, caught.value.token) == (claim.stack_run.id, claim.token)
            with pytest.raises(ClaimLost):
                await commit_own(adapter, [], claims=[claim])
        assert await everything(adapter) == stored

    async def test_a_held_claim_lets_the_commit_through(self, adapter: StorageAdapter) -> None:
        """E2. Under claims that are held a commit goes through, also with a claim from before the last heartbeat."""
        await create(adapter, task_run(), call(1), call(2))
        claims = await adapter.claim_stack_runs("worker-1", limit=2, lease=300)
        await adapter.heartbeat(claims, lease=600)
        await commit_own(adapter, [Update(StackRun, "run-1.1", {"result": 1, "status": "completed"})], claims=claims)
        await commit_own(adapter, [Update(StackRun, "run-1.2", {"result": 2})], claims=claims)
        assert await results(adapter) == {"run-1": None, "run-1.1": 1, "run-1.2": 2}

    async def test_a_commit_can_give_its_claim_back(self, adapter: StorageAdapter) -> None:
        """E3. A commit may end the lease that it was made under: the stack run is free for the next worker at once."""
        await create(adapter, call(1))
        claim = await claim_one(adapter, "run-1.1")
        change = Update(StackRun, "run-1.1", {"lease_expires_at": None, "due_at": PAST}, expect={"wakes": 0})
        await commit_own(adapter, [change], claims=[claim])
        assert (await claim_one(adapter, "run-1.1", "worker-2")).token == claim.token + 1
        with pytest.raises(ClaimLost):
            await commit_own(adapter, [], claims=[claim])

    async def test_a_late_worker_is_fenced_off(self, adapter: StorageAdapter) -> None:
        """E4. After its lease has ended a worker's commits are refused, and those of the next holder go through."""
        await create(adapter, call(1))
        late = await claim_one(adapter, "run-1.1", "worker-1")
        await end_lease(adapter, "run-1.1")
        holder = await claim_one(adapter, "run-1.1", "worker-1")  # the very same worker, claiming anew
        with pytest.raises(ClaimLost):
            await commit_own(adapter, [Update(StackRun, "run-1.1", {"result": "late"})], claims=[late])
        await commit_own(adapter, [Update(StackRun, "run-1.1", {"result": "holder"})], claims=[holder])
        assert await results(adapter) == {"run-1.1": "holder"}

    async def test_an_expectation_that_fails_stops_everything(self, adapter: StorageAdapter) -> None:
        """E5. An expectation that fails raises `Conflict`, which says what was found, and nothing is written."""
        await create(adapter, task_run(), call(wakes=2))
        stored = await everything(adapter)
        cases: list[tuple[dict[str, Any], Any]] = [({"wakes": 1}, 2), ({"wakes": 2, "worker": "me"}, None)]
        for expect, found in (*cases, ({"status": "failed"}, "pending")):
            changes: list[Change] = [
                Update(TaskRun, "run-1", {"result": 1}),
                Update(StackRun, "run-1.1", {"result": 1}, expect=expect),
                Create(call(2)),
            ]
            with pytest.raises(Conflict) as caught:
                await commit_own(adapter, changes)
            field, expected = list(expect.items())[-1]
            error = caught.value
            assert (error.record, error.id, error.field) == ("StackRun", "run-1.1", field)
            assert (error.expected, error.found) == (expected, found)
        assert await everything(adapter) == stored

    async def test_expectations_compare_exactly(self, adapter: StorageAdapter) -> None:
        """E6. Expectations on payloads compare exact JSON, those on times the instant, and `None` is a value like any
        other."""
        await create(adapter, call(input={"a": 1, "b": [0]}, result=0, worker=None))
        east = PAST.astimezone(timezone(timedelta(hours=3)))
        good = {"input": {"a": 1, "b": [0]}, "result": 0, "worker": None, "due_at": east, "attempts": 0, "error": None}
        await commit_own(adapter, [Update(StackRun, "run-1.1", {"log": []}, expect=good)])
        for name, value in (
            ("input", {"b": [0], "a": 1}),
            ("input", {"a": 1, "b": [False]}),
            ("result", 0.0),
            ("result", False),
            ("result", None),
            ("log", None),
            ("worker", ""),
            ("due_at", PAST + timedelta(microseconds=1)),
            ("due_at", None),
        ):
            expect = {**good, "log": [], name: value}
            with pytest.raises(Conflict):
                await commit_own(adapter, [Update(StackRun, "run-1.1", {"state": 1}, expect=expect)])

    async def test_of_many_that_expect_the_same_one_wins(self, adapter: StorageAdapter) -> None:
        """E7. Of commits at once that expect the same and change it, exactly one goes through."""
        await create(adapter, call(1), *(call(n) for n in range(10, 30)))

        async def attempt(n: int) -> bool:
            counted = Update(StackRun, "run-1.1", {"wakes": 1, "result": n}, expect={"wakes": 0})
            try:
                await commit_own(adapter, [Update(StackRun, f"run-1.{n}", {"result": n}), counted])
            except Conflict:
                return False
            return True

        won = [n for n in range(10, 30) if (await asyncio.gather(attempt(n), attempt(n), attempt(n))).count(True)]
        many = await asyncio.gather(*(attempt(n) for n in range(10, 30)))
        assert won == [10]
        assert not any(many)
        found = await results(adapter)
        assert {id for id, result in found.items() if result is not None} == {"run-1.1", "run-1.10"}

    @needs("atomic", "sharing")
    async def test_commits_of_many_adapters_lose_nothing(self, open_adapter: OpenAdapter) -> None:
        """E8. Adapters that change one record by expectation, and try again on `Conflict`, lose no change."""
        adapters = [await open_adapter() for _ in range(3)]
        await create(adapters[0], call(1))

        async def count(adapter: StorageAdapter) -> None:
            done = 0
            while done < 10:
                found = await adapter.get_stack_run("run-1.1")
                assert found is not None
                change = Update(StackRun, "run-1.1", {"wakes": found.wakes + 1}, expect={"wakes": found.wakes})
                try:
                    await commit_own(adapter, [change])
                    done += 1
                except Conflict:
                    continue

        await asyncio.gather(*(count(adapter) for adapter in adapters for _ in range(2)))
        found = await adapters[0].get_stack_run("run-1.1")
        assert found is not None
        assert found.wakes == 60

    async def test_the_same_id_writes_once(self, adapter: StorageAdapter) -> None:
        """E9. The same commit `id` again is success and writes nothing, whatever has happened to claims and records
        since."""
        await create(adapter, call(1), frame())
        claim = await claim_one(adapter, "run-1.1")
        first = Update(StackRun, "run-1.1", {"result": 1}, expect={"result": None})
        changes: list[Change] = [first, Wake("run-1"), Create(call(2))]
        await adapter.commit(changes, claims=[claim], id="commit-1")
        await adapter.update_stack_run("run-1.2", result="changed since")
        await end_lease(adapter, "run-1.1")
        await claim_one(adapter, "run-1.1", "worker-2")
        stored = await everything(adapter)
        for _ in range(2):
            await adapter.commit(changes, claims=[claim], id="commit-1")
            await adapter.commit([Create(task_run())], id="commit-1")
        assert await everything(adapter) == stored

    async def test_ids_are_remembered(self, adapter: StorageAdapter) -> None:
        """E10. A commit `id` is remembered beyond the 1,000 commits that follow it."""
        await create(adapter, call(1), frame())
        await adapter.commit([Wake("run-1")], id="commit-0")
        await adapter.commit([Wake("run-1"), Update(StackRun, "run-1.1", {"result": 1})], id="commit-1")
        for start in range(2, 1002, 100):
            await asyncio.gather(*(_touch(adapter, n) for n in range(start, start + 100)))
        for id in ("commit-1", "commit-2", "commit-500", "commit-1001"):
            await adapter.commit([Wake("run-1")], id=id)
        found = await adapter.get_stack_run("run-1")
        assert found is not None
        assert found.wakes == 2

    async def test_a_refused_commit_may_come_again(self, adapter: StorageAdapter) -> None:
        """E11. The `id` of a commit that was refused is not used up: it may come again, and is written then."""
        await create(adapter, call(1))
        attempt = [Update(StackRun, "run-1.1", {"result": 1}, expect={"wakes": 1})]
        with pytest.raises(Conflict):
            await adapter.commit(attempt, id="commit-1")
        await commit_own(adapter, [Wake("run-1.1")])
        await adapter.commit(attempt, id="commit-1")
        assert await results(adapter) == {"run-1.1": 1}

    async def test_the_same_id_at_once_writes_once(self, adapter: StorageAdapter) -> None:
        """E12. The same commit `id` many times at once is written once, and succeeds every time."""
        await create(adapter, frame())
        await asyncio.gather(*(adapter.commit([Wake("run-1")], id="commit-1") for _ in range(20)))
        found = await adapter.get_stack_run("run-1")
        assert found is not None
        assert found.wakes == 1

    @needs("atomic", "sharing")
    async def test_the_same_id_in_two_adapters_writes_once(self, open_adapter: OpenAdapter) -> None:
        """E13. The same commit `id` in two adapters of a store is written once, and succeeds in both."""
        one, two = await open_adapter(), await open_adapter()
        await create(one, frame())
        for id in ("commit-1", "commit-2"):
            await asyncio.gather(*(adapter.commit([Wake("run-1")], id=id) for adapter in (one, two, one, two)))
            await two.commit([Wake("run-1")], id=id)
        found = await one.get_stack_run("run-1")
        assert found is not None
        assert found.wakes == 2


async def _touch(adapter: StorageAdapter, n: int) -> None:
    await adapter.commit([Update(StackRun, "run-1.1", {"result": n})], id=f"commit-{n}")
