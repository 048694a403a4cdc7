"""The processes of the demo: the bank and the workers. None of them outlives the demo."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from sequential_adaptor.cli.failures import CommandFailed

LEASE = 1.5
_PIPE = asyncio.subprocess.PIPE


class BankProcess:
    """The bank, as seen from outside."""

    def __init__(self, process: asyncio.subprocess.Process, url: str) -> None:
        self._process = process
        self.url, self.pid = url, process.pid

    async def next_event(self) -> Mapping[str, Any]:
        """What happens next at the bank."""
        assert self._process.stdout is not None  # it was asked for
        line = await self._process.stdout.readline()
        if not line:
            raise CommandFailed("the demo's bank has stopped", "Try again with --debug.")
        found: Mapping[str, Any] = json.loads(line)
        return found


@asynccontextmanager
async def bank() -> AsyncIterator[BankProcess]:
    """A bank that is ready."""
    async with _started("sequential_adaptor.cli.demonstration.bank", stdin=_PIPE, stdout=_PIPE) as process:
        assert process.stdout is not None  # it was asked for
        ready = await process.stdout.readline()
        if not ready:
            raise CommandFailed("the demo's bank did not start", "May this machine listen on 127.0.0.1?")
        yield BankProcess(process, json.loads(ready)["url"])


@asynccontextmanager
async def worker(storage: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """An ordinary ``sequential work`` on a storage."""
    arguments = ("--storage", storage, "work", "--lease", str(LEASE))
    async with _started("sequential_adaptor.cli", *arguments, stderr=asyncio.subprocess.DEVNULL) as process:
        yield process


async def kill(process: asyncio.subprocess.Process) -> None:
    """SIGKILL: nothing in the process gets a chance to tidy up."""
    process.send_signal(getattr(signal, "SIGKILL", signal.SIGTERM))
    await process.wait()


@asynccontextmanager
async def _started(module: str, *arguments: str, **streams: Any) -> AsyncIterator[asyncio.subprocess.Process]:
    # The bank is on this machine, whatever proxies the environment names.
    environment = {**os.environ, "NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1"}
    process = await asyncio.create_subprocess_exec(sys.executable, "-m", module, *arguments, env=environment, **streams)
    try:
        yield process
    finally:
        if process.returncode is None:
            process.terminate()
            await process.wait()
