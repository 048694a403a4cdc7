"""Engines on every backend that is installed, and services that count."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, TypeAlias

import pytest

from sequential_adaptor import Engine, ServiceClient, ServiceError, StorageAdapter, create_adapter

WORKER = Path(__file__).with_name("dying_worker.py")
LEASE = 1.0


class Desk:
    """A service that counts what it is asked, by method and by idempotency key, and fails as it is told to."""

    def __init__(self) -> None:
        self.asked: Counter[str] = Counter()
        self.broken: set[str] = set()
        self.hung: asyncio.Event = asyncio.Event()

    async def give(self, value: Any) -> Any:
        self.asked[f"give {value!r}"] += 1
        if repr(value) in self.broken:
            raise ServiceError(f"no {value!r} today")
        return value

    async def hang(self, value: Any = None) -> None:
        self.asked["hang"] += 1
        self.hung.set()
        await asyncio.sleep(60)

    def times(self, *values: Any) -> list[int]:
        """How often each of these was asked for."""
        return [self.asked[f"give {value!r}"] for value in values]


@pytest.fixture
async def store(
    backend: str, options_of: Callable[[str, Path], dict[str, Any]], tmp_path: Path
) -> AsyncIterator[StorageAdapter]:
    """An open store, of every kind that is installed."""
    async with create_adapter(backend, **options_of(backend, tmp_path / "store")) as adapter:
        yield adapter


@pytest.fixture
async def folder(options_of: Callable[[str, Path], dict[str, Any]], tmp_path: Path) -> AsyncIterator[StorageAdapter]:
    """An open folder, for what has nothing to do with storage."""
    async with create_adapter("folder", **options_of("folder", tmp_path / "folder")) as adapter:
        yield adapter


@pytest.fixture
def desk() -> Desk:
    return Desk()


OpenEngine: TypeAlias = Callable[[StorageAdapter], Awaitable[Engine]]


@pytest.fixture
async def open_engine(desk: Desk) -> AsyncIterator[OpenEngine]:
    """``await open_engine(store)``: an engine whose service ``desk`` is the desk."""
    async with AsyncExitStack() as stack:
        services = await stack.enter_async_context(ServiceClient())
        services.register_service("desk", desk)

        async def open_engine(store: StorageAdapter) -> Engine:
            return await stack.enter_async_context(Engine(store, services=services))

        yield open_engine


@pytest.fixture
async def engine(store: StorageAdapter, open_engine: OpenEngine) -> Engine:
    return await open_engine(store)


@pytest.fixture
async def quick(folder: StorageAdapter, open_engine: OpenEngine) -> Engine:
    """An engine on a folder."""
    return await open_engine(folder)


@pytest.fixture
def was_killed() -> Callable[..., Awaitable[bool]]:
    async def was_killed(backend: str, config: dict[str, Any], boundary: int, way: str = "work") -> bool:
        """Run the worker; say whether it died of SIGKILL, and not of old age."""
        args = (backend, json.dumps(config), str(LEASE), str(boundary), way)
        process = await asyncio.create_subprocess_exec(sys.executable, WORKER, *args, stderr=asyncio.subprocess.PIPE)
        _, said = await asyncio.wait_for(process.communicate(), 60)
        assert process.returncode in (0, -signal.SIGKILL), said.decode()
        return process.returncode != 0

    return was_killed
