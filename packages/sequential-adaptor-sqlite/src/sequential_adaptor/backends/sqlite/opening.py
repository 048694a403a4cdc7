"""Opening a file: making it, knowing it for ours, bringing it up to this version."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Sequence
from typing import Final

from sequential_adaptor.backends.sqlite.failures import IncompatibleDatabase
from sequential_adaptor.backends.sqlite.schema import APPLICATION_ID, MIGRATIONS
from sequential_adaptor.backends.sqlite.waiting import Patience
from sequential_adaptor.errors import ConfigurationError, StorageUnavailable

IN_MEMORY: Final = ":memory:"
OLDEST: Final = (3, 38, 0)
SYNCHRONOUS: Final = {"power": "FULL", "process": "NORMAL"}

# One statement, so that another process that makes the tables just now is seen before or after, and never halfway.
_HEADER = (
    "SELECT (SELECT application_id FROM pragma_application_id), (SELECT user_version FROM pragma_user_version), "
    "NOT EXISTS (SELECT 1 FROM sqlite_schema)"
)
_BUSY_SECONDS = 0.25
_WAL_PAGES, _WAL_BYTES = 1_000, 16 * 1024 * 1024
_CACHED_STATEMENTS = 512


def connect(path: str, durability: str, patience: Patience) -> sqlite3.Connection:
    """A connection to a store of ours, made where there is none yet. A file that is not ours is not touched."""
    check_library()
    if path != IN_MEMORY:
        _make_file(path)
    connection = sqlite3.connect(
        path, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False, cached_statements=_CACHED_STATEMENTS
    )
    try:
        patience.until_free(lambda: check_ours(connection, path))
        patience.until_free(lambda: _configure(connection, path, durability))
        migrate(connection, path, patience)
    except BaseException:
        connection.close()
        raise
    return connection


def check_library() -> None:
    """Refuse a SQLite that is too old for the tables."""
    if sqlite3.sqlite_version_info < OLDEST:
        needed = ".".join(map(str, OLDEST))
        raise ConfigurationError(f"this Python has SQLite {sqlite3.sqlite_version}; {needed} or newer is needed")


def _make_file(path: str) -> None:
    # The mode is that of the -wal and -shm files as well. Only a new file is opened here: closing a descriptor of one
    # that SQLite has open somewhere in this process would free its locks.
    try:
        if not os.path.exists(path):
            os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
            os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
    except FileExistsError:
        pass  # another process made it
    except OSError as error:
        raise StorageUnavailable(
            f"{path} cannot be made: {error.strerror}; check its folder and permissions"
        ) from error
    if not os.path.isfile(path):
        raise StorageUnavailable(f"{path} is not a file; name one that is, or one that can be made")


def check_ours(connection: sqlite3.Connection, path: str, newest: int = len(MIGRATIONS)) -> int:
    """The version of a file of ours, 0 for one without tables; :class:`IncompatibleDatabase` for every other."""
    application, version, empty = connection.execute(_HEADER).fetchone()
    if application == 0 and version == 0 and empty:
        return 0
    if application != APPLICATION_ID:
        raise IncompatibleDatabase(
            f"{path} is a database of another application (application_id {application:#x}); name another file"
        )
    if version > newest:
        raise IncompatibleDatabase(
            f"{path} was written by a newer version of sequential-adaptor-sqlite (its tables are version {version}, "
            f"this one knows {newest}). Try: pip install --upgrade sequential-adaptor-sqlite"
        )
    return int(version)


def _configure(connection: sqlite3.Connection, path: str, durability: str) -> None:
    if path != IN_MEMORY:
        mode = connection.execute("PRAGMA journal_mode = WAL").fetchone()[0]
        if mode != "wal":
            raise StorageUnavailable(f"{path} cannot be used in WAL mode; is it on a network file system?")
    for setting in (
        f"synchronous = {SYNCHRONOUS[durability]}",
        f"fullfsync = {'ON' if durability == 'power' else 'OFF'}",  # macOS: fsync alone does not reach the disk
        f"wal_autocheckpoint = {_WAL_PAGES}",
        f"journal_size_limit = {_WAL_BYTES}",
        "temp_store = MEMORY",
        "cache_size = -16000",
        "trusted_schema = OFF",
    ):
        connection.execute(f"PRAGMA {setting}")


def migrate(
    connection: sqlite3.Connection,
    path: str,
    patience: Patience,
    migrations: Sequence[Sequence[str]] = MIGRATIONS,
) -> None:
    """Bring the tables up to this version, all of it or nothing; several processes may do so at once."""
    newest = len(migrations)
    if check_ours(connection, path, newest) == newest:
        return
    patience.until_free(lambda: connection.execute("BEGIN IMMEDIATE"))
    try:
        # Somebody else may have done it while this one waited.
        for number in range(check_ours(connection, path, newest), newest):
            for statement in migrations[number]:
                connection.execute(statement)
            connection.execute(f"PRAGMA user_version = {number + 1}")
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
