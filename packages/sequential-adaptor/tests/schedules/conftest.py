"""Stores whose clock can be set."""

from __future__ import annotations

import importlib.util
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from sequential_adaptor import Engine, create_adapter

WORKER = Path(__file__).with_name("shifted_worker.py")
CODE = "async def main(input):\n    return input\n"
SLOW = """
from sequential_adaptor.task import wait_for_event

async def main(input):
    return await wait_for_event("go")
"""

SET_CLOCK = """
create schema shifted;
create table shifted.clock (ahead interval not null);
insert into shifted.clock values ('0');
create function shifted.now() returns timestamptz language sql as
    $$ select clock_timestamp() + ahead from shifted.clock $$;
do $$
declare ours record;
begin
    for ours in select oid from pg_proc
        where pronamespace = 'public'::regnamespace and prosrc like '%clock_timestamp()%'
    loop
        execute replace(pg_get_functiondef(ours.oid), 'clock_timestamp()', 'shifted.now()');
    end loop;
end $$;
"""
"""Has the functions of a database ask for the time where a test can set it."""

SetClock = Callable[[datetime], None]


@pytest.fixture
def new_dsn(new_dsn: Callable[[], str], postgres: tuple[Any, str]) -> Callable[[], str]:
    """How to connect to a new database whose clock can be set."""
    server, _ = postgres

    def shifted_dsn() -> str:
        dsn = new_dsn()
        server.sql(SET_CLOCK, database_of(dsn), user="postgres")
        return dsn

    return shifted_dsn


def database_of(dsn: str) -> str:
    """The name of the database."""
    return urlsplit(dsn).path.removeprefix("/")


@pytest.fixture
def storage(backend: str, url_of: Callable[[str, Path], str], tmp_path: Path) -> str:
    """The URL of an empty store."""
    return url_of(backend, tmp_path / "tasks")


@pytest.fixture
def offset_file(tmp_path: Path) -> Path:
    """By how much the clock of a store that asks this machine is ahead, in seconds."""
    path = tmp_path / "offset"
    path.write_text("0")
    return path


@pytest.fixture
def set_clock(backend: str, storage: str, offset_file: Path, request: pytest.FixtureRequest) -> SetClock:
    """Set the clock of the store; it goes on from there."""

    def set_clock(now: datetime) -> None:
        ahead = (now - datetime.now(UTC)).total_seconds()
        if backend == "supabase":
            server, _ = request.getfixturevalue("postgres")
            server.sql(f"update shifted.clock set ahead = '{ahead} s'", database_of(storage), user="postgres")
            return
        new = offset_file.with_suffix(".new")
        new.write_text(str(ahead))
        new.replace(offset_file)

    return set_clock


@pytest.fixture
async def engine(storage: str, offset_file: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Engine]:
    """An engine on the store, whose clock is that of ``set_clock``, with two tasks."""
    spec = importlib.util.spec_from_file_location("shifted_worker", WORKER)
    assert spec is not None
    assert spec.loader is not None
    worker: Any = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(worker)
    async with create_adapter(storage) as adapter, Engine(adapter) as engine:
        clock = worker.shifted(offset_file)
        for module in worker.clocks():
            monkeypatch.setattr(module, "datetime", clock)
        await engine.publish("note", CODE)
        await engine.publish("slow", SLOW)
        yield engine


@pytest.fixture
def runs_of() -> Callable[[Engine, str], Any]:
    """The times, by their ids, of the runs that a schedule has started, sorted."""

    async def runs_of(engine: Engine, name: str) -> list[str]:
        runs = await engine.adapter.query_task_runs()
        found = [run.id.removeprefix(f"{name}-") for run in runs if (run.metadata or {}).get("schedule") == name]
        return sorted(found)

    return runs_of
