"""Migrations are applied once, whoever applies them and how many do so at once: our command, or the Supabase CLI."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path

import asyncpg
import pytest
from parts.install import SUPABASE
from parts.pgbouncer import Bouncer
from parts.postgres import HOW, Postgres

from sequential_adaptor.backends import supabase as package
from sequential_adaptor.backends.supabase import migrating
from sequential_adaptor.backends.supabase.migrating import Migration, latest, migrations
from sequential_adaptor.errors import ConfigurationError, StorageError, StorageUnavailable

TOTAL = len(migrations())
migrate = package.SupabaseAdapter.migrate


@pytest.fixture(params=[15, 18])
def server(request: pytest.FixtureRequest) -> Postgres:
    """Both versions of Postgres."""
    found: Postgres = request.getfixturevalue(f"postgres{request.param}")
    return found


@pytest.fixture
def database(server: Postgres) -> Iterator[str]:
    """A database as a new project has it."""
    name = server.new_database()
    yield name
    server.drop_database(name)


def versions(server: Postgres, database: str) -> list[str]:
    """What the database says it has had."""
    return server.sql("select version from public.sequential_schema order by version", database).splitlines()


def schema(server: Postgres, database: str) -> str:
    """All there is, as text, with rights and comments."""
    command = [server.bin / "pg_dump", "--schema-only", "-h", server.place, "-p", str(server.port), "-U", "postgres"]
    found = subprocess.run([*map(str, command), database], capture_output=True, text=True, check=True).stdout
    lines = [line for line in found.splitlines() if "restrict" not in line and "supabase_migrations" not in line]
    return "\n".join(lines)


async def test_all_are_applied_and_then_none(server: Postgres, database: str) -> None:
    """The first time says what was done, the second that there was nothing to do."""
    first = await migrate(dsn=server.dsn(database))
    assert (first.total, len(first.applied)) == (TOTAL, TOTAL)
    assert str(first) == f"applied {TOTAL} of {TOTAL} migrations: {', '.join(one.name for one in migrations())}"
    before = schema(server, database)
    assert str(await migrate(dsn=server.dsn(database))) == f"nothing to do: {TOTAL} migrations applied already"
    assert schema(server, database) == before
    assert versions(server, database) == [one.version for one in migrations()]
    assert versions(server, database)[-1] == latest()


async def test_many_machines_at_once_apply_them_once(server: Postgres, database: str) -> None:
    """One of them does it all, the others wait for it and find it done."""
    done = await asyncio.gather(*(migrate(dsn=server.dsn(database)) for _ in range(12)))
    assert sorted(len(one.applied) for one in done) == [0] * 11 + [TOTAL]


async def test_they_are_applied_through_a_pooler(bouncer15: Bouncer, postgres15: Postgres) -> None:
    """In transaction mode, with others who do the same."""
    database = postgres15.new_database()
    done = await asyncio.gather(*(migrate(dsn=bouncer15.dsn(database)) for _ in range(6)))
    assert sorted(len(one.applied) for one in done) == [0] * 5 + [TOTAL]
    assert versions(postgres15, database)[-1] == latest()


async def test_what_was_applied_in_part_is_completed(server: Postgres, database: str) -> None:
    """An older schema gets what it has not had yet, and nothing else."""
    older, *newer = migrations()
    server.sql(f"begin; {older.text}; commit;", database, user="postgres")
    done = await migrate(dsn=server.dsn(database))
    assert done.applied == tuple(one.name for one in newer)


async def test_all_or_nothing(server: Postgres, database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that fails leaves nothing of those before it, and the error says what the database said."""
    broken = Migration("29990101000000", "broken", "create table public.half (a int); select 1 / 0;")
    monkeypatch.setattr(migrating, "migrations", lambda: (*migrations(), broken))
    with pytest.raises(StorageError, match="division by zero"):
        await migrate(dsn=server.dsn(database))
    assert server.sql("select to_regclass('public.sequential_schema') is null", database) == "t"


async def test_each_may_run_twice(server: Postgres, database: str) -> None:
    """All of them once more change nothing: what was pushed after it was migrated is as it was."""
    await migrate(dsn=server.dsn(database))
    before = schema(server, database)
    for one in migrations():
        server.sql(f"begin; {one.text}; commit;", database, user="postgres")
    assert schema(server, database) == before


async def test_a_plain_postgres_will_do(server: Postgres, database: str) -> None:
    """Without Supabase's roles, on somebody's own server: the roles are not needed, and not made."""
    server.sql("create role plain login createdb; create database plain owner plain")
    try:
        for role in ("anon", "authenticated", "service_role"):
            server.sql(f"alter role {role} rename to hidden_{role}")
        assert (await migrate(dsn=server.dsn("plain", "plain"))).applied
        assert server.sql("select count(*) from pg_roles where rolname in ('anon', 'service_role')") == "0"
    finally:
        for role in ("anon", "authenticated", "service_role"):
            server.sql(f"alter role hidden_{role} rename to {role}")
        server.sql("drop database plain; drop role plain")


async def test_postgrest_is_told(server: Postgres, database: str) -> None:
    """Its schema cache is read anew when the migrations are there."""
    connection = await asyncpg.connect(server.dsn(database))
    heard: asyncio.Queue[str] = asyncio.Queue()
    await connection.add_listener("pgrst", lambda *given: heard.put_nowait(given[-1]))
    await migrate(dsn=server.dsn(database))
    assert await asyncio.wait_for(heard.get(), 30) == "reload schema"
    await connection.close()


async def test_rest_changes_no_schema() -> None:
    """Without a connection string there is one error, with the command that has one."""
    with pytest.raises(ConfigurationError, match="sequential migrate --storage postgresql://"):
        await migrate(url="https://project.example", service_key="sb_secret_x")


async def test_who_may_not_is_told(server: Postgres, database: str) -> None:
    """A role without rights, a password that is wrong, a server that is not there: one error of ours each."""
    with pytest.raises(StorageError, match="permission denied"):
        await migrate(dsn=server.dsn(database, "authenticator"))
    with pytest.raises(StorageError, match="nobody_at_all"):
        await migrate(dsn=server.dsn(database, "nobody_at_all"))
    with pytest.raises(StorageUnavailable, match="cannot be reached") as caught:
        await migrate(dsn="postgresql://user:s3cret@127.0.0.1:1/name")
    assert "s3cret" not in str(caught.value)


def test_the_command_says_what_it_did_in_one_line(server: Postgres, database: str) -> None:
    """``sequential migrate --storage URL``, and the same as JSON."""

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "sequential_adaptor.cli", "migrate", "--storage", server.dsn(database)]
        return subprocess.run([*command, *arguments], capture_output=True, text=True, check=False)

    first = run()
    assert (first.returncode, first.stdout, first.stderr.count("\n")) == (0, "", 1)
    assert f"applied {TOTAL} of {TOTAL} migrations" in first.stderr
    again = run("--json")
    assert (again.returncode, again.stderr) == (0, "")
    assert json.loads(again.stdout)["applied"] == []


@pytest.mark.slow
def test_the_cli_of_supabase_agrees(tmp_path: Path) -> None:
    """``supabase db push`` applies the same files; after it there is nothing to migrate, and after a migration a push
    does no harm; both ways the schema is the same."""
    if not SUPABASE.is_whole():
        pytest.fail(f"the Supabase CLI is not installed. {HOW}")
    shutil.copytree(str(files(package) / "supabase"), tmp_path / "supabase")

    def push(dsn: str) -> str:
        home = {**os.environ, "HOME": str(tmp_path), "DO_NOT_TRACK": "1", "SUPABASE_TELEMETRY_DISABLED": "1"}
        command = [SUPABASE.path, "db", "push", "--yes", "--db-url", f"{dsn}?sslmode=disable", "--workdir", tmp_path]
        done = subprocess.run(
            list(map(str, command)), capture_output=True, text=True, env=home, stdin=subprocess.DEVNULL, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout + done.stderr

    with Postgres.running(15, tcp=True) as server:
        pushed, migrated = server.new_database(), server.new_database()
        assert latest() in push(server.tcp_dsn(pushed))
        assert asyncio.run(migrate(dsn=server.dsn(pushed))).applied == ()
        assert "up to date" in push(server.tcp_dsn(pushed))
        assert asyncio.run(migrate(dsn=server.dsn(migrated))).applied
        assert latest() in push(server.tcp_dsn(migrated))
        assert versions(server, pushed) == versions(server, migrated)
        assert schema(server, pushed) == schema(server, migrated)
