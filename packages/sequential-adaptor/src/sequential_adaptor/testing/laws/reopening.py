"""Section O: opening and closing."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

import pytest

from sequential_adaptor.errors import ClaimLost, StorageClosed
from sequential_adaptor.records import StackRun
from sequential_adaptor.storage import Create, StorageAdapter, Update, Wake
from sequential_adaptor.testing.laws.base import Laws, OpenAdapter, needs
from sequential_adaptor.testing.laws.samples import (
    KINDS,
    PAST,
    call,
    claim_one,
    create,
    everything,
    frame,
    full,
    get,
    plain,
    task_run,
)
from sequential_adaptor.testing.storage import Storage


class ReopeningLaws(Laws):
    """Section O."""

    async def test_opening_twice_is_harmless(self, adapter: StorageAdapter) -> None:
        """O1. A second `init` does nothing."""
        await create(adapter, task_run())
        await adapter.init()
        assert await adapter.get_task_run("run-1") is not None

    async def test_closing_twice_is_harmless(self, adapter: StorageAdapter, storage: Storage) -> None:
        """O2. A second `close` does nothing; closing what was never opened does nothing either."""
        await adapter.close()
        await adapter.close()
        await (await storage.make()).close()

    async def test_a_closed_adapter_is_of_no_use(self, adapter: StorageAdapter) -> None:
        """O3. After `close` every method but `close` raises `StorageClosed`."""
        await create(adapter, task_run(), call())
        claim = await claim_one(adapter, "run-1.1")
        await adapter.close()
        uses: tuple[Callable[[], Awaitable[Any]], ...] = (
            lambda: adapter.create_task_run(task_run("run-2")),
            lambda: adapter.get_task_run("run-1"),
            lambda: adapter.update_task_run("run-1", status="failed"),
            lambda: adapter.query_task_runs(),
            lambda: adapter.create_stack_run(call(2)),
            lambda: adapter.get_stack_run("run-1.1"),
            lambda: adapter.update_stack_run("run-1.1", status="failed"),
            lambda: adapter.query_stack_runs(),
            lambda: adapter.get_pending_stack_runs(),
            lambda: adapter.store_task_function("digest", "1"),
            lambda: adapter.get_task_function("digest"),
            lambda: adapter.set_keystore("key", 1),
            lambda: adapter.get_keystore("key"),
            lambda: adapter.delete_keystore("key"),
            lambda: adapter.claim_stack_runs("worker-1"),
            lambda: adapter.heartbeat([claim]),
            lambda: adapter.commit([Wake("run-1.1")], id="commit-1"),
        )
        for use in uses:
            with pytest.raises(StorageClosed):
                await use()

    async def test_closing_ends_a_wait(self, adapter: StorageAdapter) -> None:
        """O4. `close` does not wait until those who wait for work have waited long enough."""
        waiting = asyncio.create_task(adapter.wait_for_work(60))
        await asyncio.sleep(0.05)
        await asyncio.wait_for(adapter.close(), 5)
        waiting.cancel()
        await asyncio.wait([waiting], timeout=5)
        assert waiting.done()

    async def test_async_with_opens_and_closes(self, storage: Storage) -> None:
        """O5. `async with` opens the adapter and closes it, whatever happens in between."""
        adapter = await storage.make()
        with suppress(ZeroDivisionError):
            async with adapter:
                await create(adapter, task_run())
                raise ZeroDivisionError
        with pytest.raises(StorageClosed):
            await adapter.get_task_run("run-1")

    @needs("reopening")
    async def test_everything_is_there_again(self, storage: Storage) -> None:
        """O6. Whatever was stored is there, unchanged, when the store is closed and opened again."""
        async with await storage.make() as adapter:
            stored = [await create(adapter, full(kind)) for kind in KINDS]
            stored.append(await create(adapter, plain(StackRun, "run-1.1", result=10**5000)))
            functions = [await adapter.store_task_function("digest", code, "flow", {"z": 1, "a": 2}) for code in "ba"]
            await adapter.set_keystore("key", {"z": [0], "a": -0.0})
            await adapter.set_keystore("gone", 1)
            await adapter.delete_keystore("gone")
            await adapter.commit([Create(call(2)), Update(StackRun, "run-1.1", {"log": ["x"]})], id="commit-1")
            stored[2] = await get(adapter, StackRun, "run-1.1")
        for _ in range(2):
            async with await storage.make() as adapter:
                assert [await get(adapter, type(record), record.id) for record in stored] == stored
                assert len(await everything(adapter)) == 4
                assert await adapter.get_task_function("digest") == functions[1]
                assert await adapter.get_task_function("digest", functions[0].version) == functions[0]
                assert repr(await adapter.get_keystore("key")) == "{'z': [0], 'a': -0.0}"
                assert await adapter.get_keystore("gone") is None

    @needs("reopening")
    async def test_claims_outlive_the_adapter(self, storage: Storage) -> None:
        """O7. Closing gives no claim back: it is held in the store until its lease ends, and good in another
        adapter."""
        async with await storage.make() as adapter:
            await create(adapter, call(1), call(2))
            claims = await adapter.claim_stack_runs("worker-1", limit=2, lease=300)
        async with await storage.make() as adapter:
            assert await adapter.claim_stack_runs("worker-2", limit=9) == []
            await adapter.commit([Update(StackRun, "run-1.1", {"result": 1})], claims=claims, id="commit-1")
            assert len(await adapter.heartbeat(claims)) == 2
            await adapter.update_stack_run("run-1.2", lease_expires_at=PAST)
        async with await storage.make() as adapter:
            assert (await claim_one(adapter, "run-1.2", "worker-2")).token == 2
            with pytest.raises(ClaimLost):
                await adapter.commit([], claims=claims, id="commit-2")

    @needs("atomic", "reopening")
    async def test_commit_ids_outlive_the_adapter(self, storage: Storage) -> None:
        """O8. A commit `id` is remembered when the store is closed and opened again."""
        async with await storage.make() as adapter:
            await create(adapter, frame())
            await adapter.commit([Wake("run-1")], id="commit-1")
        for _ in range(2):
            async with await storage.make() as adapter:
                await adapter.commit([Wake("run-1")], id="commit-1")
                found = await adapter.get_stack_run("run-1")
                assert found is not None
                assert found.wakes == 1

    @needs("sharing")
    async def test_others_do_not_notice(self, open_adapter: OpenAdapter) -> None:
        """O9. Opening or closing an adapter changes nothing for the others of the store."""
        one, two = await open_adapter(), await open_adapter()
        await create(one, task_run(), call())
        claim = await claim_one(one, "run-1.1")
        await two.close()
        three = await open_adapter()
        await one.commit([Update(StackRun, "run-1.1", {"result": 1})], claims=[claim], id="commit-1")
        found = await three.get_stack_run("run-1.1")
        assert found is not None
        assert found.result == 1

    async def test_stores_are_kept_apart(self, new_store: Callable[[], Storage]) -> None:
        """O10. Two stores know nothing of each other."""
        async with await new_store().make() as one, await new_store().make() as two:
            await create(one, task_run(), call())
            await one.set_keystore("key", 1)
            await one.store_task_function("digest", "1")
            assert await everything(two) == []
            assert await two.get_keystore("key") is None
            assert await two.get_task_function("digest") is None
            assert await two.claim_stack_runs("worker-1") == []
