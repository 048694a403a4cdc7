"""Section P: several processes on one store, and what is left when one of them is killed."""

from __future__ import annotations

import asyncio
import json
import sys
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, TypeAlias

import pytest_asyncio

from sequential_adaptor.records import StackRun
from sequential_adaptor.storage import Create, StorageAdapter, Wake
from sequential_adaptor.testing.laws.base import Laws, needs
from sequential_adaptor.testing.laws.samples import call, claim_one, create, end_lease, frame
from sequential_adaptor.testing.storage import Storage

PATIENCE = 60.0
"""Seconds after which another process is taken to hang."""


class Child:
    """Another process that has the store open."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def said(self) -> Any:
        """The next thing that it says; ``None`` at its end."""
        assert self._process.stdout is not None
        line = await asyncio.wait_for(self._process.stdout.readline(), PATIENCE)
        return json.loads(line) if line else None

    async def rest(self) -> list[Any]:
        """Everything that it says from now to its end, which has to be a good one."""
        assert self._process.stdout is not None
        lines = (await asyncio.wait_for(self._process.stdout.read(), PATIENCE)).splitlines()
        assert await self._process.wait() == 0, "the other process failed; its error is on standard error"
        return [json.loads(line) for line in lines]

    async def ask(self) -> Any:
        """Have it go on, and hear what it says."""
        assert self._process.stdin is not None
        self._process.stdin.write(b"\n")
        return await self.said()

    async def kill(self) -> list[Any]:
        """Kill it in the midst of whatever it does (SIGKILL), and hear what it had said in full."""
        assert self._process.stdout is not None
        if self._process.returncode is None:
            self._process.kill()
        lines = (await self._process.stdout.read()).splitlines(keepends=True)
        await self._process.wait()
        return [json.loads(line) for line in lines if line.endswith(b"\n")]


Spawn: TypeAlias = Callable[[str, object], Awaitable[Child]]


class ProcessLaws(Laws):
    """Section P."""

    @pytest_asyncio.fixture
    async def spawn(self, storage: Storage) -> AsyncIterator[Spawn]:
        """A function that starts another process, which opens the store of this test and does a job."""
        children: list[Child] = []

        async def spawn(job: str, argument: object) -> Child:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "sequential_adaptor.testing.child", job, str(argument)),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
            )
            children.append(Child(process))
            assert process.stdin is not None
            process.stdin.write(storage.to_text().encode() + b"\n")
            return children[-1]

        yield spawn
        for child in children:
            await child.kill()

    @needs("atomic", "sharing", "processes")
    async def test_each_stack_run_goes_to_one_process(self, adapter: StorageAdapter, spawn: Spawn) -> None:
        """P1. Processes that claim at once get each stack run exactly once between them."""
        await adapter.commit([Create(call(n)) for n in range(150)], id="commit-1")
        children = [await spawn("claim_all", f"worker-{n}") for n in range(2)]
        said = [await child.rest() for child in children]
        claimed = Counter(id for batches in said for ids in batches for id in ids)
        assert claimed == Counter(f"run-1.{n}" for n in range(150))

    @needs("sharing", "processes")
    async def test_processes_see_what_was_stored_at_once(self, adapter: StorageAdapter, spawn: Spawn) -> None:
        """P2. What a method stored is seen by every process as soon as the method returns."""
        await create(adapter, call(1, result="first"))
        child = await spawn("look", "run-1.1")
        assert await child.said() == "ready"
        for result in ("first", 0, None, [1], "last"):
            await adapter.update_stack_run("run-1.1", result=result)
            assert await child.ask() == result

    @needs("atomic", "sharing", "processes")
    async def test_processes_lose_no_change(self, adapter: StorageAdapter, spawn: Spawn) -> None:
        """P3. Processes that change one record by expectation, and try again on `Conflict`, lose no change."""
        await create(adapter, call(1))
        children = [await spawn("count", 25) for _ in range(2)]
        assert [await child.rest() for child in children] == [[25], [25]]
        found = await adapter.get_stack_run("run-1.1")
        assert found is not None
        assert found.wakes == 50

    @needs("atomic", "sharing", "processes")
    async def test_a_killed_process_leaves_whole_commits(self, adapter: StorageAdapter, spawn: Spawn) -> None:
        """P4. Of a process that is killed, every commit is there whole or not at all, and those it was told of are
        there."""
        await create(adapter, call(1), call(2))
        for round, wanted in enumerate((1, 7, 20)):
            child = await spawn("commit_for_ever", f"w{round}")
            said = [await child.said() for _ in range(wanted)]
            acknowledged = max([*said, *await child.kill()])
            one, two = await adapter.get_stack_run("run-1.1"), await adapter.get_stack_run("run-1.2")
            assert one is not None
            assert two is not None
            assert one.result == two.result
            assert one.result in (acknowledged, acknowledged + 1)
            for number in range(acknowledged + 3):
                found = await adapter.get_stack_run(f"run-1.{number}.w{round}")
                assert (found is not None) == (number <= one.result)

    @needs("atomic", "sharing", "processes")
    async def test_claims_of_a_killed_process_come_back(self, adapter: StorageAdapter, spawn: Spawn) -> None:
        """P5. What a killed process held stays held until its lease ends, and goes to the next worker then."""
        await create(adapter, call(1), call(2))
        child = await spawn("hold", "worker-1")
        assert await child.said() == ["run-1.1", "run-1.2"]
        await child.kill()
        assert await adapter.claim_stack_runs("worker-2", limit=9) == []
        await end_lease(adapter, "run-1.1")
        assert (await claim_one(adapter, "run-1.1", "worker-2")).token == 2

    @needs("atomic", "sharing", "processes")
    async def test_work_of_another_process_ends_the_waiting(self, adapter: StorageAdapter, spawn: Spawn) -> None:
        """P6. `wait_for_work` returns early when another process committed work."""
        child = await spawn("wait", PATIENCE * 2)
        assert await child.said() == "waiting"
        await asyncio.sleep(0.2)
        await adapter.commit([Create(call(1))], id="commit-1")
        assert await child.said() == "woken"

    @needs("atomic", "sharing", "processes")
    async def test_the_same_id_in_two_processes_writes_once(self, adapter: StorageAdapter, spawn: Spawn) -> None:
        """P7. The same commit `id` in several processes is written once, and succeeds in all of them."""
        await create(adapter, frame())
        children = [await spawn("wake", 20) for _ in range(2)]
        for number in range(20):
            await adapter.commit([Wake("run-1")], id=f"commit-{number}")
        assert [await child.rest() for child in children] == [["done"], ["done"]]
        found = await adapter.get_stack_run("run-1")
        assert found is not None
        assert found.wakes == 20

    @needs("sharing", "processes", "reopening")
    async def test_a_killed_process_leaves_a_store_that_opens(self, storage: Storage, spawn: Spawn) -> None:
        """P8. A store whose only process was killed opens again, with everything that it was told of."""
        async with await storage.make() as adapter:
            await create(adapter, call(1), call(2))
        child = await spawn("commit_for_ever", "w")
        said = [await child.said() for _ in range(10)]
        acknowledged = max([*said, *await child.kill()])
        async with await storage.make() as adapter:
            found = await adapter.query_stack_runs({"status": "completed"})
            assert {one.result for one in found} >= set(range(acknowledged + 1))
            assert await adapter.get_stack_run("run-1.1") is not None
            assert isinstance(await adapter.create_stack_run(call(3)), StackRun)
