"""Section C: a due stack run is given to one worker, until its lease ends."""

from __future__ import annotations

import asyncio
from collections import Counter
from datetime import timedelta

from sequential_adaptor.lifecycles import STACK_RUN
from sequential_adaptor.records import StackRun
from sequential_adaptor.storage import Claim, StorageAdapter
from sequential_adaptor.testing.laws.base import Laws, OpenAdapter, needs
from sequential_adaptor.testing.laws.clock import past
from sequential_adaptor.testing.laws.samples import (
    FUTURE,
    PAST,
    call,
    claim_one,
    create,
    end_lease,
    frame,
    full,
    ids_of,
    plain,
)


class ClaimLaws(Laws):
    """Section C."""

    async def test_a_claim_is_for_one_worker(self, adapter: StorageAdapter) -> None:
        """C1. A due stack run is claimed with a token, for `lease` seconds by the store's clock, and the record as it
        is."""
        await create(adapter, call())
        before = await adapter.now()
        (claim,) = await adapter.claim_stack_runs("worker-1", lease=60)
        assert (claim.worker, claim.token) == ("worker-1", 1)
        assert before + timedelta(seconds=60) <= claim.expires_at <= await adapter.now() + timedelta(seconds=60)
        assert claim.stack_run == await adapter.get_stack_run("run-1.1")
        stored = claim.stack_run
        assert (stored.worker, stored.token, stored.lease_expires_at) == ("worker-1", 1, claim.expires_at)

    async def test_a_claim_changes_nothing_else(self, adapter: StorageAdapter) -> None:
        """C2. A claim writes `worker`, `token` and `lease_expires_at`, and nothing else, not even `updated_at`."""
        given = full(StackRun).replace(status="in_progress", due_at=PAST, lease_expires_at=PAST)
        stored = await create(adapter, given)
        claim = await claim_one(adapter, stored.id)
        changed = {"worker": "worker-1", "token": stored.token + 1, "lease_expires_at": claim.expires_at}
        assert claim.stack_run == stored.replace(**changed)
        assert await adapter.get_stack_run(stored.id) == stored.replace(**changed)

    async def test_a_live_lease_keeps_others_away(self, adapter: StorageAdapter) -> None:
        """C3. What a live lease holds is claimed by nobody, the holder included."""
        await create(adapter, call())
        await claim_one(adapter, "run-1.1")
        assert await adapter.claim_stack_runs("worker-1") == []
        assert await adapter.claim_stack_runs("worker-2", limit=10) == []
        assert await adapter.claim_stack_runs("worker-2", ids=["run-1.1"]) == []

    async def test_tokens_grow(self, adapter: StorageAdapter) -> None:
        """C4. When a lease has ended the stack run is due again; each claim of it has a larger token than all
        before."""
        await create(adapter, call())
        tokens = list[int]()
        for n in range(5):
            tokens.append((await claim_one(adapter, "run-1.1", f"worker-{n}")).token)
            await end_lease(adapter, "run-1.1")
        assert tokens == sorted(set(tokens))

    async def test_a_lease_ends_by_the_clock(self, adapter: StorageAdapter) -> None:
        """C5. A lease ends by itself when its time is over by the store's clock, and not before."""
        await create(adapter, call())
        claim = await claim_one(adapter, "run-1.1", lease=0.4)
        if await adapter.now() < claim.expires_at - timedelta(seconds=0.2):
            assert await adapter.claim_stack_runs("worker-2") == []
        await past(adapter, claim.expires_at)
        assert (await claim_one(adapter, "run-1.1", "worker-2")).token == 2

    async def test_the_oldest_comes_first(self, adapter: StorageAdapter) -> None:
        """C6. Claims go to what has been due longest, then by id, and to no more than `limit`."""
        times = {5: 3, 1: 9, 4: 3, 2: 1, 3: 7}
        await create(adapter, *(call(n, due_at=PAST + timedelta(microseconds=time)) for n, time in times.items()))
        order = [f"run-1.{n}" for n in (2, 4, 5, 3, 1)]
        assert _ids(await adapter.claim_stack_runs("worker-1", limit=2)) == order[:2]
        assert await adapter.claim_stack_runs("worker-1", limit=0) == []
        assert _ids(await adapter.claim_stack_runs("worker-1")) == order[2:3]
        assert _ids(await adapter.claim_stack_runs("worker-2", limit=99)) == order[3:]

    async def test_claims_can_be_for_certain_ids(self, adapter: StorageAdapter) -> None:
        """C7. With `ids`, only these are claimed, if they are due; unknown ones are passed over, and no ids claim
        nothing."""
        await create(adapter, *(call(n) for n in range(6)), call(6, due_at=FUTURE))
        assert await adapter.claim_stack_runs("worker-1", limit=9, ids=[]) == []
        wanted = ["run-1.4", "run-1.2", "run-1.6", "nobody.1", "run-1.2"]
        assert _ids(await adapter.claim_stack_runs("worker-1", limit=9, ids=wanted)) == ["run-1.2", "run-1.4"]
        assert _ids(await adapter.claim_stack_runs("worker-1", limit=9, ids={"run-1.4", "run-1.5"})) == ["run-1.5"]
        assert len(await adapter.claim_stack_runs("worker-1", limit=9)) == 3

    async def test_only_what_is_due_is_claimed(self, adapter: StorageAdapter) -> None:
        """C8. Whatever is due is claimed, frames and calls, in any status that has not ended; and nothing else."""
        for status in STACK_RUN.states:
            await create(adapter, call(1, status, status=status), frame(f"f-{status}", status=status))
            await create(adapter, call(2, status, status=status, due_at=FUTURE))
            made = await create(adapter, call(3, status, status=status))
            await adapter.update_stack_run(made.id, due_at=None)
        claimed = _ids(await adapter.claim_stack_runs("worker-1", limit=99))
        assert sorted(claimed) == sorted(
            [f"{one}.1" for one in STACK_RUN.open] + [f"f-{one}" for one in STACK_RUN.open]
        )

    async def test_a_heartbeat_extends(self, adapter: StorageAdapter) -> None:
        """C9. A heartbeat moves the end of a lease to `lease` seconds from now, changes nothing else, and gives fresh
        claims."""
        stored = await create(adapter, call())
        claim = await claim_one(adapter, stored.id, lease=60)
        before = await adapter.now()
        (kept,) = await adapter.heartbeat([claim], lease=300)
        assert before + timedelta(seconds=300) <= kept.expires_at <= await adapter.now() + timedelta(seconds=300)
        assert (kept.worker, kept.token) == (claim.worker, claim.token)
        assert kept.stack_run == claim.stack_run.replace(lease_expires_at=kept.expires_at)
        assert kept.stack_run == await adapter.get_stack_run(stored.id)
        await adapter.update_stack_run(stored.id, state={"moved": "on"})
        (fresh,) = await adapter.heartbeat([claim])
        assert fresh.stack_run.state == {"moved": "on"}

    async def test_a_heartbeat_reports_only_what_is_held(self, adapter: StorageAdapter) -> None:
        """C10. A heartbeat gives back the claims still held, and revives none whose lease is over or that another
        took."""
        await create(adapter, *(call(n) for n in range(5)))
        claims = await adapter.claim_stack_runs("worker-1", limit=5, lease=300)
        await end_lease(adapter, "run-1.1")
        await end_lease(adapter, "run-1.2")
        taken = await claim_one(adapter, "run-1.2", "worker-2")
        await adapter.update_stack_run("run-1.3", lease_expires_at=None)
        strangers = [Claim(taken.stack_run, "worker-3", taken.token, taken.expires_at)]
        strangers.append(Claim(plain(StackRun, "nobody.1"), "worker-1", 1, FUTURE))
        assert _ids(await adapter.heartbeat([*claims, *strangers])) == ["run-1.0", "run-1.4"]
        assert _ids(await adapter.claim_stack_runs("worker-4", limit=9)) == ["run-1.1", "run-1.3"]
        assert await adapter.heartbeat([]) == []

    async def test_what_is_stored_decides(self, adapter: StorageAdapter) -> None:
        """C11. The stored record alone says who holds it: clearing `lease_expires_at` by an update frees it."""
        await create(adapter, call())
        claim = await claim_one(adapter, "run-1.1")
        await adapter.update_stack_run("run-1.1", lease_expires_at=None)
        assert (await claim_one(adapter, "run-1.1", "worker-2")).token == claim.token + 1
        await adapter.update_stack_run("run-1.1", worker=None, token=0, lease_expires_at=FUTURE)
        assert await adapter.claim_stack_runs("worker-3") == []

    async def test_claims_at_once_are_for_one_each(self, adapter: StorageAdapter) -> None:
        """C12. However many claim at once in one process, each stack run goes to exactly one of them."""
        await create(adapter, *(call(n) for n in range(40)))
        found = await asyncio.gather(*(adapter.claim_stack_runs(f"worker-{n}", limit=4) for n in range(30)))
        claimed = [claim.stack_run.id for claims in found for claim in claims]
        assert sorted(claimed) == sorted(f"run-1.{n}" for n in range(40))
        assert all(len(claims) <= 4 for claims in found)

    @needs("atomic", "sharing")
    async def test_claims_of_many_adapters_are_for_one_each(self, open_adapter: OpenAdapter) -> None:
        """C13. However many adapters claim from one store at once, each stack run goes to exactly one of them."""
        adapters = [await open_adapter() for _ in range(4)]
        await create(adapters[0], *(call(n) for n in range(40)))
        claimed: Counter[str] = Counter()

        async def work(adapter: StorageAdapter, worker: str) -> None:
            while claims := await adapter.claim_stack_runs(worker, limit=3):
                claimed.update(_ids(claims))

        await asyncio.gather(*(work(adapter, f"worker-{n}") for n, adapter in enumerate(adapters)))
        assert claimed == Counter(f"run-1.{n}" for n in range(40))

    @needs("sharing")
    async def test_claims_belong_to_the_store(self, open_adapter: OpenAdapter) -> None:
        """C14. A claim is held in the store, not in the adapter that made it: every other one sees it and may extend
        it."""
        one, two = await open_adapter(), await open_adapter()
        await create(one, call())
        claim = await claim_one(one, "run-1.1")
        assert await two.claim_stack_runs("worker-2") == []
        (kept,) = await two.heartbeat([claim], lease=300)
        assert await one.get_stack_run("run-1.1") == kept.stack_run

    async def test_values_come_with_the_claim(self, adapter: StorageAdapter) -> None:
        """C15. The record in a claim is a copy like any other: changing it changes nothing stored."""
        await create(adapter, call(state={"list": [1]}))
        claim = await claim_one(adapter, "run-1.1")
        claim.stack_run.state["list"].append(2)
        (kept,) = await adapter.heartbeat([claim])
        assert kept.stack_run.state == {"list": [1]}


def _ids(claims: list[Claim]) -> list[str]:
    return ids_of(claim.stack_run for claim in claims)
