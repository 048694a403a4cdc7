"""Section T: times are kept by the store's clock, and waiting for work ends when there is some."""

from __future__ import annotations

import asyncio
import time
from datetime import timedelta

from sequential_adaptor.storage import Create, StorageAdapter, Wake
from sequential_adaptor.testing.laws.base import Laws, OpenAdapter, needs
from sequential_adaptor.testing.laws.clock import past
from sequential_adaptor.testing.laws.samples import FUTURE, PAST, call, claim_one, create, frame, ids_of

PROMPTLY = 5.0
"""Seconds that are surely less than the time-out that a wait was given, on the slowest machine."""


class TimerLaws(Laws):
    """Section T."""

    async def test_the_clock_goes_forward(self, adapter: StorageAdapter) -> None:
        """T1. `now()` is aware, in UTC, and never goes back."""
        times = [await adapter.now() for _ in range(20)]
        assert all(one.utcoffset() == timedelta(0) for one in times)
        assert times == sorted(times)

    @needs("sharing")
    async def test_there_is_one_clock(self, open_adapter: OpenAdapter) -> None:
        """T2. All adapters of a store go by one clock."""
        one, two = await open_adapter(), await open_adapter()
        for _ in range(5):
            first, second, third = await one.now(), await two.now(), await one.now()
            assert first <= second <= third

    async def test_nothing_is_due_before_its_time(self, adapter: StorageAdapter) -> None:
        """T3. A stack run becomes due when the clock reaches its `due_at`, for `claim_stack_runs` and for pending
        calls."""
        due_at = await adapter.now() + timedelta(seconds=0.4)
        await create(adapter, call(1, due_at=due_at), frame("run-2", due_at=due_at))
        early = [*await adapter.get_pending_stack_runs(), *await adapter.claim_stack_runs("worker-1", limit=9)]
        assert early == [] or await adapter.now() >= due_at
        await past(adapter, due_at)
        assert ids_of(await adapter.get_pending_stack_runs()) == ["run-1.1"]
        assert len(await adapter.claim_stack_runs("worker-1", limit=9)) == 2

    async def test_timers_can_be_moved(self, adapter: StorageAdapter) -> None:
        """T4. Changing `due_at` moves the timer, to earlier and to later; without one nothing is ever due."""
        await create(adapter, call(1, due_at=FUTURE), call(2))
        await adapter.update_stack_run("run-1.1", due_at=PAST)
        await adapter.update_stack_run("run-1.2", due_at=FUTURE)
        assert ids_of(await adapter.get_pending_stack_runs()) == ["run-1.1"]
        await adapter.update_stack_run("run-1.1", due_at=None)
        assert await adapter.claim_stack_runs("worker-1", limit=9) == []

    async def test_waiting_ends_by_itself(self, adapter: StorageAdapter) -> None:
        """T5. `wait_for_work` returns after `timeout` seconds at the latest, however often it is called."""
        started = time.monotonic()
        for timeout in (0.05, 0, 0.05):
            await adapter.wait_for_work(timeout)
        assert time.monotonic() - started < PROMPTLY

    async def test_a_commit_ends_the_waiting(self, adapter: StorageAdapter) -> None:
        """T6. `wait_for_work` returns early when a commit made work in the same adapter."""
        await create(adapter, frame(due_at=FUTURE))
        for id, change in (("commit-1", Create(call())), ("commit-2", Wake("run-1"))):
            waiting = await _wait(adapter)
            await adapter.commit([change], id=id)
            await asyncio.wait_for(waiting, PROMPTLY)

    @needs("atomic", "sharing")
    async def test_a_commit_of_another_adapter_ends_the_waiting(self, open_adapter: OpenAdapter) -> None:
        """T7. `wait_for_work` returns early when a commit made work in another adapter of the store."""
        one, two = await open_adapter(), await open_adapter()
        await create(one, frame(due_at=FUTURE))
        for id, change in (("commit-1", Create(call())), ("commit-2", Wake("run-1"))):
            waiting = await _wait(one)
            await two.commit([change], id=id)
            await asyncio.wait_for(waiting, PROMPTLY)

    async def test_work_between_two_waits_is_not_slept_through(self, adapter: StorageAdapter) -> None:
        """T8. Work that a commit made while nobody waited ends the next wait at once."""
        await adapter.wait_for_work(0.01)
        await adapter.commit([Create(call())], id="commit-1")
        await asyncio.wait_for(adapter.wait_for_work(60), PROMPTLY)

    async def test_waiting_can_be_given_up(self, adapter: StorageAdapter) -> None:
        """T9. A wait that is cancelled ends at once, and leaves the adapter as it was."""
        waiting = await _wait(adapter)
        waiting.cancel()
        await asyncio.wait([waiting], timeout=PROMPTLY)
        assert waiting.cancelled()
        await create(adapter, call())
        await claim_one(adapter, "run-1.1")


async def _wait(adapter: StorageAdapter) -> asyncio.Task[None]:
    """A wait that has surely begun, and that nothing but work ends in time."""
    await adapter.wait_for_work(0.01)  # what there was before is known now
    waiting = asyncio.create_task(adapter.wait_for_work(60))
    await asyncio.sleep(0.1)
    assert not waiting.done()
    return waiting
