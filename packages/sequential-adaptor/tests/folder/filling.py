"""A child process: fills its disk (a limit on the size of files), and goes on when there is room again."""

from __future__ import annotations

import asyncio
import resource
import sys

from sequential_adaptor.backends.folder import FolderAdapter
from sequential_adaptor.errors import StorageError
from sequential_adaptor.records import TaskRun
from sequential_adaptor.storage import Create

LIMIT = 600_000


def limit(size: int) -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))


def run(number: int) -> TaskRun:
    return TaskRun(id=f"run-{number}", task_identifier="t", input="x" * 9_000)


async def fill(adapter: FolderAdapter) -> int:
    """The number of the first commit that failed; it fails again, and so does anything else."""
    for number in range(1000):
        try:
            await adapter.commit([Create(run(number)), Create(run(number + 10_000))], id=f"commit-{number}")
        except StorageError as error:
            if isinstance(error.__cause__, OSError) and "nothing was written" in str(error):
                return number
            raise
    raise AssertionError("the disk was never full")


async def main(base: str) -> None:
    limit(LIMIT)
    async with FolderAdapter(base) as adapter, FolderAdapter(base) as other:
        failed = await fill(adapter)
        assert failed > 5
        outcomes = await asyncio.gather(
            *(adapter.commit([Create(run(n))], id=f"more-{n}") for n in range(2000, 2100)), return_exceptions=True
        )
        assert any(isinstance(one, StorageError) for one in outcomes)
        for each in (adapter, other):
            found = {one.id for one in await each.query_task_runs()}
            stored = {f"run-{n + 2000}" for n, one in enumerate(outcomes) if one is None}
            assert found == {f"run-{n + more}" for n in range(failed) for more in (0, 10_000)} | stored
        limit(resource.RLIM_INFINITY)
        await adapter.commit([Create(run(failed))], id=f"commit-{failed}")
        await other.commit([Create(run(failed + 1))], id=f"commit-{failed + 1}")
        before = await adapter.query_task_runs()
    async with FolderAdapter(base) as again:
        assert await again.query_task_runs() == before
    print("good")


asyncio.run(main(*sys.argv[1:]))
