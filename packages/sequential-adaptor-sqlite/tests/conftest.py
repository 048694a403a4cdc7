"""What the tests of this backend share: files, adapters on them, processes beside this one."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any, TypeAlias

import pytest
import pytest_asyncio

from sequential_adaptor.backends.sqlite import SQLiteAdapter
from sequential_adaptor.ids import new_id
from sequential_adaptor.records import StackRun
from sequential_adaptor.storage import Change, Create, Update

OpenAdapter: TypeAlias = Callable[..., Awaitable[SQLiteAdapter]]
StartProcess: TypeAlias = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """The path of a file that is not there yet."""
    return tmp_path / "tasks.db"


@pytest_asyncio.fixture
async def open_adapter(path: Path) -> AsyncIterator[OpenAdapter]:
    """Opens adapters, on one file unless another is named; they are closed in the end."""
    opened: list[SQLiteAdapter] = []

    async def open_one(db_path: str | Path = path, **options: Any) -> SQLiteAdapter:
        adapter = SQLiteAdapter(db_path, **options)
        await adapter.init()
        opened.append(adapter)
        return adapter

    yield open_one
    for adapter in opened:
        await adapter.close()


@pytest_asyncio.fixture
async def adapter(open_adapter: OpenAdapter) -> SQLiteAdapter:
    """An adapter on a new file."""
    return await open_adapter()


@pytest.fixture
def start_process() -> Iterator[StartProcess]:
    """Starts another Python with a script and arguments; it is killed in the end."""
    started: list[subprocess.Popen[str]] = []

    def start(script: str, *arguments: object) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-c", script, *map(str, arguments)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONWARNINGS": "error"},
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


@pytest.fixture
def foreign(path: Path) -> Iterator[Callable[[], sqlite3.Connection]]:
    """Opens the file as another program would, with no manners of ours."""
    opened: list[sqlite3.Connection] = []

    def connect() -> sqlite3.Connection:
        connection = sqlite3.connect(path, isolation_level=None, timeout=5)
        opened.append(connection)
        return connection

    yield connect
    for connection in opened:
        connection.close()


@pytest.fixture
def traced() -> Callable[[SQLiteAdapter], Awaitable[list[str]]]:
    """Lists the statements that an adapter's connection runs from now on."""

    async def trace(adapter: SQLiteAdapter) -> list[str]:
        statements: list[str] = []
        await adapter._thread.call(lambda connection: connection.set_trace_callback(statements.append))
        return statements

    return trace


@pytest.fixture
def step() -> Callable[[str, int], list[Change]]:
    """What a worker commits between two calls of a task: the outcome of call n, and call n + 1."""

    def changes(run: str, number: int) -> list[Change]:
        call = StackRun(
            id=f"{run}.{number + 1}",
            task_run_id=run,
            parent_stack_run_id=run,
            sequence=number + 1,
            operation="fetch",
            status="in_progress",
            input={"page": number},
        )
        if number == 0:
            return [Create(call)]
        outcome = {"status": "completed", "result": {"ok": number}, "position": number}
        return [Update(StackRun, f"{run}.{number}", outcome, {"position": None}), Create(call)]

    return changes


@pytest.fixture
def new_frame() -> Callable[[SQLiteAdapter], Awaitable[str]]:
    """Stores a run with its root frame, which is due, and gives its id."""

    async def make(adapter: SQLiteAdapter) -> str:
        id = new_id()
        await asyncio.gather(
            adapter.create_task_run({"id": id, "task_identifier": "digest"}),
            adapter.create_stack_run({"id": id, "task_run_id": id}),
        )
        return id

    return make
