"""Opening files: new ones, ours of any version, and those of other programs, which are not touched."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import stat
import subprocess
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeAlias

import pytest

from sequential_adaptor import ConfigurationError, StorageDamaged, StorageError, StorageUnavailable
from sequential_adaptor.backends.sqlite import IncompatibleDatabase, SQLiteAdapter, opening, schema
from sequential_adaptor.backends.sqlite.waiting import Patience
from sequential_adaptor.records import StackRun, TaskFunction, TaskRun, field_names

OpenAdapter: TypeAlias = Callable[..., Awaitable[SQLiteAdapter]]
StartProcess: TypeAlias = Callable[..., subprocess.Popen[str]]


def pragma(path: Path, name: str) -> object:
    with sqlite3.connect(path) as connection:
        found = connection.execute(f"PRAGMA {name}").fetchone()[0]
    connection.close()
    return found


async def test_a_column_for_each_field(adapter: SQLiteAdapter) -> None:
    """Tables have the fields of the records, in their order: who adds a field adds a migration."""

    def columns(table: str) -> Awaitable[list[str]]:
        return adapter._thread.call(
            lambda connection: [row[1] for row in connection.execute(f"PRAGMA table_info({table})")]
        )

    assert await columns("task_runs") == list(field_names(TaskRun))
    assert await columns("stack_runs") == list(field_names(StackRun))
    assert await columns("task_functions") == [*field_names(TaskFunction), "stored"]


@pytest.mark.skipif(os.name != "posix", reason="modes are POSIX's")
async def test_files_are_for_their_owner_only(open_adapter: OpenAdapter, tmp_path: Path) -> None:
    """New folders are 0700, the file and what SQLite puts beside it 0600; a mode somebody chose stays."""
    path = tmp_path / "new" / "folder" / "tasks.db"
    adapter = await open_adapter(path)
    await adapter.set_keystore("k", 1)
    assert {found.name: stat.S_IMODE(found.stat().st_mode) for found in path.parent.iterdir()} == {
        "tasks.db": 0o600,
        "tasks.db-shm": 0o600,
        "tasks.db-wal": 0o600,
    }
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    await adapter.close()
    assert [found.name for found in path.parent.iterdir()] == ["tasks.db"]
    path.chmod(0o640)
    await adapter.init()
    assert stat.S_IMODE(path.stat().st_mode) == 0o640


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="descriptors are counted in /proc")
async def test_closing_gives_every_descriptor_back(path: Path) -> None:
    """Opening and closing again and again, with work in between, holds on to nothing."""

    async def once() -> int:
        async with SQLiteAdapter(path) as adapter:
            await adapter.set_keystore("k", 1)
            await adapter.wait_for_work(0.01)
        return len(list(Path("/proc/self/fd").iterdir()))

    first = await once()
    assert [await once() for _ in range(5)] == [first] * 5


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="descriptors are counted in /proc")
async def test_opening_that_is_given_up_gives_every_descriptor_back(path: Path) -> None:
    """Somebody else has the file, and it is not waited for: what is opened at last is closed."""

    def descriptors() -> int:
        return len(list(Path("/proc/self/fd").iterdir()))

    async with SQLiteAdapter(path) as adapter:
        await adapter.set_keystore("k", 1)
    before = descriptors()
    for _ in range(3):
        other = sqlite3.connect(path, isolation_level=None)
        other.execute("PRAGMA journal_mode = DELETE")
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(adapter.init(), 0.1)
        other.execute("ROLLBACK")
        other.close()
        async with adapter:
            assert await adapter.get_keystore("k") == 1
        assert descriptors() == before


@pytest.mark.parametrize(("durability", "synchronous"), [("power", 2), ("process", 1)])
async def test_durability_is_what_was_asked_for(open_adapter: OpenAdapter, durability: str, synchronous: int) -> None:
    """`power` syncs at each commit (FULL), `process` at checkpoints only (NORMAL)."""
    adapter = await open_adapter(durability=durability)
    settings = {
        name: await adapter._thread.call(lambda c, name=name: c.execute(f"PRAGMA {name}").fetchone()[0])
        for name in ("journal_mode", "synchronous")
    }
    assert settings == {"journal_mode": "wal", "synchronous": synchronous}


@pytest.mark.parametrize("options", [{"durability": "none"}, {"db_path": ""}, {"db_path": "a\0b"}])
def test_options_that_cannot_be_right_are_refused(options: dict[str, str]) -> None:
    """The error names what was given, and the choices."""
    with pytest.raises(ConfigurationError, match=next(iter(options))):
        SQLiteAdapter(**options)  # type: ignore[arg-type]  # wrong on purpose


async def test_a_relative_path_is_meant_where_it_was_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Changing the directory afterwards changes nothing."""
    monkeypatch.chdir(tmp_path)
    adapter = SQLiteAdapter("tasks.db")
    (tmp_path / "other").mkdir()
    monkeypatch.chdir(tmp_path / "other")
    async with adapter:
        await adapter.set_keystore("k", 1)
    assert (tmp_path / "tasks.db").exists()
    assert not list((tmp_path / "other").iterdir())


@pytest.mark.skipif(os.name != "posix", reason="links need rights on Windows")
async def test_a_link_is_the_file_it_leads_to(open_adapter: OpenAdapter, path: Path, tmp_path: Path) -> None:
    """Adapters on a file and on a link to it share one store, also where the link was there first."""
    link = tmp_path / "link.db"
    link.symlink_to(path)
    by_link, by_name = await open_adapter(link), await open_adapter()
    await by_link.set_keystore("k", 1)
    await by_name.set_keystore("k", 2)
    assert await by_link.get_keystore("k") == 2
    assert sorted(found.name for found in tmp_path.iterdir()) == ["link.db", "tasks.db", "tasks.db-shm", "tasks.db-wal"]


async def test_a_newer_file_is_refused(path: Path) -> None:
    """A file whose tables are of a newer version is not touched, and the error says what to do."""
    async with SQLiteAdapter(path):
        pass
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA user_version = 99")
    connection.close()
    before = path.read_bytes()
    with pytest.raises(IncompatibleDatabase, match="version 99.*pip install --upgrade"):
        await SQLiteAdapter(path).init()
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    "script",
    ["CREATE TABLE users (id)", "PRAGMA application_id = 77", "PRAGMA user_version = 3; CREATE TABLE task_runs (id)"],
)
async def test_another_programs_database_is_refused(path: Path, script: str) -> None:
    """A database that is not ours is not written to, not even to put it into WAL mode."""
    connection = sqlite3.connect(path)
    connection.executescript(script)
    connection.close()
    before = path.read_bytes()
    with pytest.raises(IncompatibleDatabase, match="another application"):
        await SQLiteAdapter(path).init()
    assert path.read_bytes() == before


async def test_what_is_no_database_is_refused(path: Path) -> None:
    """Some other file is not touched."""
    path.write_bytes(b"dear diary, " * 1000)
    with pytest.raises(StorageDamaged, match="not a database"):
        await SQLiteAdapter(path).init()
    assert path.read_bytes() == b"dear diary, " * 1000


async def test_an_empty_file_is_a_new_store(path: Path) -> None:
    """What `mktemp` leaves is good enough."""
    path.touch()
    async with SQLiteAdapter(path) as adapter:
        await adapter.set_keystore("k", 1)
    assert pragma(path, "user_version") == len(schema.MIGRATIONS)
    assert pragma(path, "application_id") == schema.APPLICATION_ID


def test_migrations_go_forward_one_after_the_other(path: Path) -> None:
    """A file of an older version gets what it lacks, in order, and keeps its rows; one of this version gets nothing."""
    patience = Patience(str(path), 5)
    history = [("CREATE TABLE one (id INTEGER)",)]
    connection = sqlite3.connect(path, isolation_level=None)
    opening.migrate(connection, str(path), patience, history)
    connection.execute("INSERT INTO one VALUES (7)")
    history += [("ALTER TABLE one ADD COLUMN more TEXT DEFAULT 'x'",), ("UPDATE one SET id = id * 2",)]
    opening.migrate(connection, str(path), patience, history)
    opening.migrate(connection, str(path), patience, history)
    assert connection.execute("SELECT * FROM one").fetchall() == [(14, "x")]
    assert connection.execute("PRAGMA user_version").fetchone() == (3,)
    connection.close()


def test_a_migration_that_fails_leaves_the_old_version(path: Path) -> None:
    """All the migrations of one opening are one transaction."""
    patience = Patience(str(path), 5)
    connection = sqlite3.connect(path, isolation_level=None)
    opening.migrate(connection, str(path), patience, [("CREATE TABLE one (id)",)])
    with pytest.raises(sqlite3.OperationalError):
        opening.migrate(connection, str(path), patience, [(), ("DROP TABLE one",), ("CREATE NONSENSE",)])
    assert connection.execute("SELECT name FROM sqlite_schema").fetchall() == [("one",)]
    assert connection.execute("PRAGMA user_version").fetchone() == (1,)
    assert not connection.in_transaction
    connection.close()


def test_an_old_sqlite_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """The error says which version there is, and which one is needed."""
    monkeypatch.setattr(opening.sqlite3, "sqlite_version_info", (3, 31, 0))
    with pytest.raises(ConfigurationError, match="3.38"):
        opening.check_library()


_FIRST = """
import asyncio, sys
from sequential_adaptor.backends.sqlite import SQLiteAdapter
async def main():
    print("ready", flush=True)
    sys.stdin.readline()
    async with SQLiteAdapter(sys.argv[1]) as adapter:
        await adapter.create_task_run({"id": sys.argv[2], "task_identifier": "x"})
asyncio.run(main())
"""


async def test_many_processes_make_the_file_at_once(
    path: Path, start_process: StartProcess, open_adapter: OpenAdapter
) -> None:
    """Whoever comes first makes the tables; nobody sees them half made, and nobody sees "database is locked"."""
    processes = [start_process(_FIRST, path, f"p{number}") for number in range(6)]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    assert [await asyncio.to_thread(process.wait, 60) for process in processes] == [0] * 6
    adapter = await open_adapter()
    assert sorted(run.id for run in await adapter.query_task_runs()) == [f"p{number}" for number in range(6)]


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may write to everything")
async def test_a_file_that_may_not_be_written_is_an_error(path: Path) -> None:
    """The error says to look at the permissions."""
    async with SQLiteAdapter(path):
        pass
    path.chmod(0o400)
    with pytest.raises(StorageUnavailable, match="permissions"):
        await SQLiteAdapter(path).init()


async def test_a_damaged_page_is_an_error(path: Path, open_adapter: OpenAdapter) -> None:
    """A page that was overwritten is reported, in an error of the library, and never passed over."""
    async with SQLiteAdapter(path) as adapter:
        for number in range(200):
            await adapter.create_task_run({"id": f"r{number}", "task_identifier": "x", "input": "y" * 500})
    content = bytearray(path.read_bytes())
    for page in range(len(content) // 4096 // 2, len(content) // 4096):
        content[page * 4096 : page * 4096 + 2000] = b"\xa5" * 2000
    path.write_bytes(content)
    adapter = await open_adapter()
    with pytest.raises(StorageError) as caught:
        await adapter.query_task_runs()
    assert isinstance(caught.value, StorageDamaged)
    assert any(line.startswith("damaged") for line in await adapter.diagnose(thorough=True))


@pytest.mark.skipif(os.name != "posix", reason="elsewhere an open file keeps its name")
async def test_a_file_that_is_gone_while_it_is_open_takes_nothing_more(path: Path, open_adapter: OpenAdapter) -> None:
    """Nothing is acknowledged that nobody would ever see, nobody idles on; put back, the file goes on as it was."""
    old = await open_adapter()
    await old.set_keystore("k", "old")
    path.rename(path.with_suffix(".away"))
    for asked in (
        old.set_keystore("k", "lost"),
        old.get_keystore("k"),
        old.claim_stack_runs("w"),
        old.wait_for_work(1),
    ):
        with pytest.raises(StorageUnavailable, match="deleted or replaced"):
            await asked
    path.with_suffix(".away").rename(path)
    assert await old.get_keystore("k") == "old"
    for file in path.parent.glob(f"{path.name}*"):
        file.unlink()
    new = await open_adapter()
    await new.set_keystore("k", "new")
    with pytest.raises(StorageUnavailable, match="deleted or replaced"):
        await old.set_keystore("k", "lost")
    await old.close()
    assert await new.get_keystore("k") == "new"
    assert Path(f"{path}-wal").exists()


@pytest.mark.skipif(os.name != "posix", reason="elsewhere an open file keeps its name")
async def test_a_process_that_may_not_look_at_its_file_any_more_goes_on(
    path: Path, open_adapter: OpenAdapter, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Daemons open their files, and give up their rights then: that is no sign of a file that was replaced."""
    adapter = await open_adapter()
    look = os.stat

    def refused(at: Any, *args: Any, **options: Any) -> os.stat_result:
        if at == str(path):
            raise PermissionError(13, "Permission denied", str(path))
        return look(at, *args, **options)

    monkeypatch.setattr(os, "stat", refused)
    await adapter.set_keystore("k", "value")
    assert await adapter.get_keystore("k") == "value"
