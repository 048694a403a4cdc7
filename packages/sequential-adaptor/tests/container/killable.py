"""``killable.py FOLDER ISOLATION NAP``: runs, checks out, collects, and tells where it is, until it is killed."""

from __future__ import annotations

import asyncio
import itertools
import sys
from pathlib import Path

from sequential_adaptor.runners.base import Suspended
from sequential_adaptor.runners.container import ContainerRunner

_COMMAND = """
for i in $(seq 40); do echo $RANDOM-{n}-$i > f$i; done; rm -rf d; mkdir -p d/e; head -c 300000 /dev/urandom > d/big
ln -sf f{n} link; (setsid sleep {nap} &) ; sleep 0.0{n}
"""


async def work(folder: Path, isolation: str, nap: str) -> None:
    """Move about for ever. Each line says what the head is from now on."""
    async with ContainerRunnerContext(folder, isolation) as runner:
        for n in itertools.count():
            layer = await runner.run(_COMMAND.format(n=n % 7, nap=nap), salt=str(n), cache=n % 3 != 0)
            assert not isinstance(layer, Suspended)
            print(layer.hash, flush=True)
            if n % 3 == 1 and layer.parent is not None:
                print((await runner.checkout(layer.parent)).hash, flush=True)
            if n % 5 == 2:
                await runner.gc()


class ContainerRunnerContext:
    """A runner that says when it is open."""

    def __init__(self, folder: Path, isolation: str) -> None:
        self._runner = ContainerRunner(folder / "state", folder / "work", isolation=isolation)

    async def __aenter__(self) -> ContainerRunner:
        await self._runner.init()
        print("open", flush=True)
        return self._runner

    async def __aexit__(self, *_: object) -> None:
        await self._runner.dispose()


if __name__ == "__main__":
    asyncio.run(work(Path(sys.argv[1]), *sys.argv[2:]))
