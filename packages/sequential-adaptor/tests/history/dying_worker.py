"""A worker that kills itself at the n-th boundary of its storage.

python dying_worker.py BACKEND CONFIG_AS_JSON LEASE N WAY [ARGUMENT]

WAY is ``work``, or ``prune`` to forget all runs that have ended.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from datetime import timedelta
from typing import Any

import httpx  # noqa: F401 - its import takes as long as the lease where the machine is busy: not under a claim

from sequential_adaptor import Engine, Worker, create_adapter


class Boundaries:
    """Counts what is written, before and after, and ends the process there."""

    def __init__(self, store: Any, dies_at: int) -> None:
        self.left = dies_at
        for name in ("claim_stack_runs", "commit", "delete_task_run"):
            setattr(store, name, self._counted(getattr(store, name)))

    def _counted(self, method: Any) -> Any:
        async def counted(*args: Any, **options: Any) -> Any:
            self._boundary()
            found = await method(*args, **options)
            self._boundary()
            return found

        return counted

    def _boundary(self) -> None:
        self.left -= 1
        if self.left == 0:
            os.kill(os.getpid(), signal.SIGKILL)


async def main(backend: str, config: str, lease: str, dies_at: str, way: str) -> None:
    async with create_adapter(backend, **json.loads(config)) as store:
        Boundaries(store, int(dies_at))
        if way == "work":
            await Worker(store, lease=float(lease)).run(until_idle=True)
        else:
            async with Engine(store) as engine:
                await engine.prune(older_than=timedelta(0))


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
