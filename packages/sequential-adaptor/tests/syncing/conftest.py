"""Pairs of stores, and what is put into them."""

from __future__ import annotations

import importlib.util
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any, TypeAlias

import pytest

from sequential_adaptor.engine import Engine
from sequential_adaptor.registry import create_adapter
from sequential_adaptor.storage import StorageAdapter

Pair: TypeAlias = tuple[StorageAdapter, StorageAdapter]
OpenStore: TypeAlias = Callable[[str, str], Awaitable[StorageAdapter]]

CODES = {
    "greet": """
from sequential_adaptor.task import step

def greeting(name):
    return f"Hello, {name}!"

async def main(input):
    return [await step(greeting, name) for name in input["names"]]
""",
    "echo": "async def main(input):\n    return input\n",
    "waiting": """
from sequential_adaptor.task import step, wait_for_event

def twice(n):
    return 2 * n

async def main(input):
    first = await step(twice, 1)
    said = await wait_for_event("approve")
    return [input, first, said, await step(twice, first)]
""",
    "sleeping": """
from sequential_adaptor.task import sleep

async def main(input):
    await sleep(input)
    return "rested"
""",
    "parent": """
from sequential_adaptor.task import run_task

async def main(input):
    return {"child": await run_task("waiting", input)}
""",
}


@pytest.fixture
async def open_store(options_of: Callable[[str, Path], dict[str, Any]], tmp_path: Path) -> AsyncIterator[OpenStore]:
    """``await open_store(backend, name)``, closed when the test ends."""
    opened: list[StorageAdapter] = []

    async def open_store(backend: str, name: str) -> StorageAdapter:
        adapter: Any = create_adapter(backend, **options_of(backend, tmp_path / name))
        opened.append(await adapter.__aenter__())
        return opened[-1]

    yield open_store
    for adapter in opened:
        await adapter.close()


PAIRS = [
    ("folder", "folder"),
    ("folder", "sqlite"),
    ("sqlite", "folder"),
    ("sqlite", "supabase"),
    ("supabase", "folder"),
    ("supabase", "supabase"),
]


def _is_installed(pair: tuple[str, str]) -> bool:
    return all(importlib.util.find_spec(f"sequential_adaptor.backends.{backend}") is not None for backend in pair)


@pytest.fixture(params=filter(_is_installed, PAIRS), ids=" to ".join)
async def pair(request: pytest.FixtureRequest, open_store: OpenStore) -> Pair:
    """A source and a target."""
    source, target = request.param
    return await open_store(source, "source"), await open_store(target, "target")


@pytest.fixture
async def folders(open_store: OpenStore) -> Pair:
    """A source and a target, both folders."""
    return await open_store("folder", "source"), await open_store("folder", "target")


@pytest.fixture
def engine() -> Callable[[StorageAdapter], Engine]:
    """An engine on an open store."""
    return lambda adapter: Engine(adapter)


@pytest.fixture
def publish() -> Callable[[StorageAdapter], Awaitable[None]]:
    """Store the functions that the tests run."""

    async def publish(adapter: StorageAdapter) -> None:
        for identifier, code in CODES.items():
            await adapter.store_task_function(identifier, code)

    return publish
