"""The workers of a torture: so many at any time, a new one for each that was killed."""

from __future__ import annotations

import asyncio
import json
import random
import signal
import sys
import threading
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from sequential_adaptor.errors import SequentialError
from sequential_adaptor.testing.torture.killing import Killer


class Crew:
    """Starts workers by the nursery, keeps their number, and has one killed when it is asked to."""

    def __init__(
        self, folder: Path, storages: Sequence[str | None], options: Mapping[str, Any], chance: random.Random
    ) -> None:
        self._folder, self._storages, self._options, self._chance = folder, storages, options, chance
        self._loop = asyncio.get_running_loop()
        self._alive: dict[int, str] = {}
        self._lock = threading.Lock()
        self._count = 0
        self._broken: str | None = None

    def kill(self, name: str | None) -> None:
        """Kill a worker, by its name or any; from any thread."""
        with self._lock:
            pids = [pid for pid, one in self._alive.items() if name in (None, one)]
            pid = self._chance.choice(pids) if pids else None
        if pid is not None:
            self._loop.call_soon_threadsafe(self._order, {"kill": pid})

    def check(self) -> None:
        """Raise where a worker ended by itself: workers work for ever."""
        if self._broken is not None:
            raise SequentialError(f"a worker {self._broken}; its error is on standard error")

    @asynccontextmanager
    async def working(self, number: int, killer: Killer) -> AsyncIterator[None]:
        """Have so many workers while the context lasts, and none when it ends."""
        module = "sequential_adaptor.testing.torture.nursery"
        self._nursery = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", module), stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
        )
        listening = asyncio.create_task(self._listen(killer))
        try:
            for _ in range(number):
                self._start(killer)
            yield
        finally:
            self._stdin.close()
            await self._nursery.wait()
            listening.cancel()
            await asyncio.wait([listening])

    @property
    def _stdin(self) -> asyncio.StreamWriter:
        assert self._nursery.stdin is not None
        return self._nursery.stdin

    def _start(self, killer: Killer) -> None:
        self._count += 1
        name = f"worker-{self._count}"
        storage = self._storages[self._count % len(self._storages)]
        about = {"storage": storage, "name": name, "diary": str(self._folder / f"{name}.jsonl"), "fuse": killer.fuse()}
        self._order({"start": {**self._options, **about}})

    def _order(self, what: Mapping[str, Any]) -> None:
        if not self._stdin.is_closing():
            self._stdin.write(json.dumps(what).encode() + b"\n")

    async def _listen(self, killer: Killer) -> None:
        assert self._nursery.stdout is not None
        async for line in self._nursery.stdout:
            said = json.loads(line)
            with self._lock:
                if "started" in said:
                    self._alive[said["started"]] = said["name"]
                    continue
                self._alive.pop(said["ended"], None)
            if said["status"] == -signal.SIGKILL:
                killer.died()
                self._start(killer)
            else:
                self._broken = f"ended by itself with status {said['status']}"
