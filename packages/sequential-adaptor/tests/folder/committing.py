"""A child process: commits for ever, and says what was acknowledged. Arguments: folder, name, durability."""

from __future__ import annotations

import asyncio
import sys

from sequential_adaptor.backends.folder import FolderAdapter, keeper
from sequential_adaptor.records import StackRun, TaskRun
from sequential_adaptor.storage import Change, Create, Update

keeper.SEGMENT, keeper.DELAY = 30_000, 0.01  # cut the journal all the time


async def main(base: str, name: str, durability: str) -> None:
    async with FolderAdapter(base, durability=durability) as adapter:
        await adapter.create_task_run(TaskRun(id=name, task_identifier="t", metadata=[0] * 4))
        print("ready", flush=True)
        await asyncio.gather(*(lane(adapter, name, number) for number in range(4)))


async def lane(adapter: FolderAdapter, name: str, lane: int) -> None:
    for number in range(1, 100_000):
        call = StackRun(
            id=f"{name}.{lane}.{number}", task_run_id=name, operation="a.b", status="completed", result="x" * number
        )
        changes: list[Change] = [Create(call)]
        if number > 1:
            changes.append(
                Update(StackRun, f"{name}.{lane}.{number - 1}", {"position": number}, expect={"position": None})
            )
        await adapter.commit(changes, id=f"{name}-{lane}-{number}")
        print(lane, number, flush=True)


asyncio.run(main(*sys.argv[1:]))
