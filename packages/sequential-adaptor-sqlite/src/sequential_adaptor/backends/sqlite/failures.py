"""What SQLite says when it cannot, in the errors of the library."""

from __future__ import annotations

import sqlite3
from typing import Final

from sequential_adaptor.errors import StorageDamaged, StorageError, StorageUnavailable

_BUSY: Final = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_PROTOCOL})
_DAMAGED: Final = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})


class DatabaseBusy(StorageUnavailable, TimeoutError):
    """Another program has held the database for longer than ``waited`` seconds; nothing was written."""

    def __init__(self, path: str, waited: float) -> None:
        self.path, self.waited = path, waited
        super().__init__(
            f"{path} has been locked by another program for {waited:.0f} s; nothing was written. "
            "Look for a shell or a backup that holds a transaction open on it"
        )


class IncompatibleDatabase(StorageError):
    """The file is not a store of this library, or one of a newer version; it was not touched."""


def is_busy(error: sqlite3.Error) -> bool:
    """Whether trying again may help: somebody else has the lock just now."""
    return _code(error) in _BUSY


def translate(error: sqlite3.Error, path: str) -> StorageError:
    """The library's error that says the same, and what to do."""
    code = _code(error)
    if code in _DAMAGED:
        return StorageDamaged(f"{path} is damaged ({error}); keep a copy of it and run `PRAGMA integrity_check`")
    if code == sqlite3.SQLITE_FULL:
        return StorageUnavailable(f"no room left on the disk of {path}; nothing was written. Free some and go on")
    if code in (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM):
        return StorageUnavailable(f"{path} cannot be written to ({error}); check its permissions and its folder's")
    if code == sqlite3.SQLITE_CANTOPEN:
        return StorageUnavailable(f"{path} cannot be opened ({error}); check that it is a file, and its permissions")
    if code in (sqlite3.SQLITE_IOERR, *_BUSY):
        return StorageUnavailable(f"{path}: {error}; whether it was written shows when the same commit is repeated")
    return StorageError(f"{path}: {error} ({getattr(error, 'sqlite_errorname', 'no code')})")


def _code(error: sqlite3.Error) -> int:
    # The low byte is the primary code; the rest of an extended one says where it happened.
    return int(getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR)) & 0xFF
