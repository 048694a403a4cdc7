"""A process that works on a folder in one of three ways, and kills itself at the n-th boundary of its storage.

python dying_process.py WAY FOLDER LEASE [N]
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from typing import Any

import httpx  # noqa: F401 - its import takes as long as the lease where the machine is busy: not under a claim

from sequential_adaptor import Engine, FolderAdapter, StackProcessor, TaskExecutor, Worker
from sequential_adaptor.lifecycles import TASK_RUN


class Dying(FolderAdapter):
    """Counts what it writes, before and after, and ends its process there."""

    left = 0

    def boundary(self) -> None:
        self.left -= 1
        if self.left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    async def claim_stack_runs(self, *args: Any, **options: Any) -> Any:
        self.boundary()
        found = await super().claim_stack_runs(*args, **options)
        self.boundary()
        return found

    async def commit(self, *args: Any, **options: Any) -> None:
        self.boundary()
        await super().commit(*args, **options)
        self.boundary()


async def work(store: Dying, lease: float) -> None:
    await Worker(store, lease=lease).run(until_idle=True)


async def run(store: Dying, lease: float) -> None:
    async with Engine(store) as engine:
        await engine.carry(engine.handle("run"), lease=lease)


async def stop_and_go(store: Dying, lease: float) -> None:
    await TaskExecutor(store, lease=lease).execute("run")
    processor = StackProcessor(store, lease=lease)
    while (found := await store.get_task_run("run")) is not None and found.status not in TASK_RUN.ended:
        await processor.process_pending()


async def main(way: str, folder: str, lease: str, dies_at: str = "0") -> None:
    async with Dying(folder) as store:
        store.left = int(dies_at)
        await {"work": work, "run": run, "stop_and_go": stop_and_go}[way](store, float(lease))


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
