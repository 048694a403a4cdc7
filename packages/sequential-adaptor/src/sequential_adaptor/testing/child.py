"""What another process does to a store in the laws of section P: ``python -m sequential_adaptor.testing.child NAME
[ARGUMENT]``.

The first line of standard input is the store, as text; each line of standard output is one JSON value.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

from sequential_adaptor.errors import Conflict
from sequential_adaptor.ids import new_id
from sequential_adaptor.records import StackRun
from sequential_adaptor.storage import Create, StorageAdapter, Update, Wake
from sequential_adaptor.testing.storage import Storage


async def claim_all(adapter: StorageAdapter, worker: str) -> None:
    """Claim, a few at a time, until nothing is left."""
    while claims := await adapter.claim_stack_runs(worker, limit=3, lease=300):
        say([claim.stack_run.id for claim in claims])


async def count(adapter: StorageAdapter, times: str) -> None:
    """Add one to a counter so many times, by expectation, trying again on ``Conflict``."""
    done = 0
    while done < int(times):
        found = await adapter.get_stack_run("run-1.1")
        assert found is not None
        change = Update(StackRun, found.id, {"wakes": found.wakes + 1}, expect={"wakes": found.wakes})
        try:
            await adapter.commit([change], id=new_id())
            done += 1
        except Conflict:
            continue
    say(done)


async def commit_for_ever(adapter: StorageAdapter, worker: str) -> None:
    """Commit several records with one number, tell the number when the commit is acknowledged, and go on till
    killed."""
    for number in range(10**9):
        created = StackRun(
            id=f"run-1.{number}.{worker}", task_run_id="run-1", operation="fetch", status="completed", result=number
        )
        updates = [Update(StackRun, id, {"result": number}) for id in ("run-1.1", "run-1.2")]
        await adapter.commit([updates[0], Create(created), updates[1]], id=f"{worker}-{number}")
        say(number)


async def hold(adapter: StorageAdapter, worker: str) -> None:
    """Claim whatever is due, and keep it till killed."""
    claims = await adapter.claim_stack_runs(worker, limit=99, lease=300)
    say([claim.stack_run.id for claim in claims])
    await asyncio.sleep(3600)


async def look(adapter: StorageAdapter, id: str) -> None:
    """Tell the result of a stack run each time a line comes in."""
    say("ready")
    while await asyncio.to_thread(sys.stdin.readline):
        found = await adapter.get_stack_run(id)
        say(None if found is None else found.result)


async def wait(adapter: StorageAdapter, timeout: str) -> None:
    """Wait for work, and tell when the wait begins and ends."""
    await adapter.wait_for_work(0.01)
    say("waiting")
    await adapter.wait_for_work(float(timeout))
    say("woken")


async def wake(adapter: StorageAdapter, times: str) -> None:
    """Commit the same wakes, under the same ids, as every other process that does this."""
    for number in range(int(times)):
        await adapter.commit([Wake("run-1")], id=f"commit-{number}")
    say("done")


JOBS: Final[Mapping[str, Callable[[StorageAdapter, str], Awaitable[None]]]] = {
    job.__name__: job for job in (claim_all, count, commit_for_ever, hold, look, wait, wake)
}


def say(value: Any) -> None:
    """Tell the parent process, at once."""
    print(json.dumps(value), flush=True)


async def main(job: str, argument: str, store: str) -> None:
    """Do one job with an adapter of one's own."""
    async with await Storage.from_text(store).make() as adapter:
        await JOBS[job](adapter, argument)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], sys.stdin.readline()))
