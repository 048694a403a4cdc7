"""The index of a store: which layers there are, where each object lies, where each work directory is."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import RLock
from typing import Any

from sequential_adaptor.errors import ConfigurationError, StorageDamaged, StorageError, StorageUnavailable

FORMAT = 1
_SCHEMA = """
create table if not exists packs (
    id integer primary key autoincrement, name text not null unique, size integer not null
);
create table if not exists objects (
    id blob primary key, pack integer not null, start integer not null, stored integer not null,
    length integer not null, codec integer not null
) without rowid;
create index if not exists objects_by_pack on objects (pack);
create table if not exists layers (
    number integer primary key autoincrement, hash text not null unique, key text not null, parent text,
    tree blob not null, times blob not null, size integer not null, stored integer not null, fields text not null
);
create index if not exists layers_by_key on layers (key);
create index if not exists layers_by_parent on layers (parent);
create table if not exists tags (name text primary key, hash text not null) without rowid;
create table if not exists works (
    id integer primary key autoincrement, path blob not null unique, head text, intention text,
    mode integer, holder integer
);
create table if not exists pins (
    work integer primary key, tree blob not null, times blob not null, size integer not null
);
"""


class Database:
    """One SQLite file with a write-ahead log. Readers never wait; writers wait for each other.

    With ``safe`` a transaction survives a power loss when it returns; else it survives the end of the process.
    """

    def __init__(self, path: Path, schema: str = _SCHEMA, *, safe: bool = True) -> None:
        self.path = path
        self._lock = RLock()
        self._connection = sqlite3.connect(path, isolation_level=None, timeout=60, check_same_thread=False)
        try:
            with self._mapped():
                self._prepare(schema, safe)
        except BaseException:
            self._connection.close()
            raise

    def _prepare(self, schema: str, safe: bool) -> None:
        run = self._connection.execute
        run("pragma journal_mode = wal")
        run(f"pragma synchronous = {'full' if safe else 'normal'}")
        (found,) = run("pragma user_version").fetchone()
        if found > FORMAT:
            raise ConfigurationError(f"{self.path} is of format {found}; this version knows {FORMAT}: upgrade it")
        if found < FORMAT:
            self._connection.executescript(f"begin immediate; {schema} pragma user_version = {FORMAT}; commit;")

    def close(self) -> None:
        """Close the file. Twice is harmless."""
        with self._lock:
            self._connection.close()

    def rows(self, query: str, values: Sequence[Any] = ()) -> list[Any]:
        """All rows of a query."""
        with self._lock, self._mapped():
            return self._connection.execute(query, values).fetchall()

    def row(self, query: str, values: Sequence[Any] = ()) -> Any:
        """The first row of a query, or ``None``."""
        with self._lock, self._mapped():
            return self._connection.execute(query, values).fetchone()

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Changes that happen together or not at all."""
        with self._lock, self._mapped():
            self._connection.execute("begin immediate")
            try:
                yield self._connection
                self._connection.execute("commit")
            except BaseException:
                if self._connection.in_transaction:
                    self._connection.execute("rollback")
                raise

    @contextmanager
    def _mapped(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.ProgrammingError as error:
            raise StorageError(f"the layer store at {self.path.parent} is closed; open it again") from error
        except sqlite3.OperationalError as error:
            raise StorageUnavailable(f"{self.path}: {error}; nothing was changed") from error
        except sqlite3.DatabaseError as error:
            raise StorageDamaged(f"{self.path}: {error}") from error
