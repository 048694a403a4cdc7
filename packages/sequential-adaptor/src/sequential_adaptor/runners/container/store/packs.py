"""Packs: files of objects one after the other, which do not change any more once they have their name."""

from __future__ import annotations

import errno
import os
import secrets
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, NamedTuple

from sequential_adaptor.runners.container.store.errors import NoRoom
from sequential_adaptor.runners.container.store.places import Places, sync_folder

FULL = 128 << 20
"""A pack that has grown to this is followed by another: to be rid of a little, ``gc`` copies a pack at most."""
_BUFFER = 1 << 20
NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class Frame(NamedTuple):
    """One packed object, and where in its pack it lies."""

    id: bytes
    start: int
    stored: int
    length: int
    codec: int


class PackWriter:
    """New packs, under temporary names until ``publish``. Not for two threads at once."""

    def __init__(self, places: Places) -> None:
        self._places = places
        self._file: BinaryIO | None = None
        self._size = 0
        self._packs: list[tuple[Path, list[Frame]]] = []
        self.stored = 0

    def append(self, id: bytes, length: int, codec: int, packed: bytes) -> None:
        """Write one object behind the others."""
        with no_room(self._places.state):
            file = self._file if self._file is not None and self._size < FULL else self._next()
            file.write(packed)
        self._packs[-1][1].append(Frame(id, self._size, len(packed), length, codec))
        self._size += len(packed)
        self.stored += len(packed)

    def sync(self) -> list[tuple[str, list[Frame]]]:
        """Make all of it safe under its last name; what the index has to be told. Nothing can be added any more."""
        with no_room(self._places.state):
            self._end()
            named = []
            for path, frames in self._packs:
                path.rename(self._places.packs / path.name)
                named.append((path.name, frames))
            if named:
                sync_folder(self._places.packs)
        return named

    def discard(self) -> None:
        """Take away what was written; after ``sync``, what no transaction has told the index of is left to ``gc``."""
        if self._file is not None:
            with no_room(self._places.state, ignore=True):
                self._file.close()
        for path, _ in self._packs:
            path.unlink(missing_ok=True)

    def _next(self) -> BinaryIO:
        self._end()
        path = self._places.temporary / f"{secrets.token_hex(16)}.pack"
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        self._file, self._size = os.fdopen(fd, "wb", _BUFFER), 0
        self._packs.append((path, []))
        return self._file

    def _end(self) -> None:
        if self._file is not None:
            self._file.flush()
            os.fsync(self._file.fileno())
            self._file.close()
            self._file = None


def record(connection: sqlite3.Connection, packs: list[tuple[str, list[Frame]]], *, replace: bool = False) -> None:
    """Tell the index of packs; an object that it has already stays where it is, unless it is to be replaced."""
    how = "replace" if replace else "ignore"
    for name, frames in packs:
        size = sum(frame.stored for frame in frames)
        pack = connection.execute("insert into packs (name, size) values (?, ?)", (name, size)).lastrowid
        connection.executemany(
            f"insert or {how} into objects (id, start, stored, length, codec, pack) values (?, ?, ?, ?, ?, {pack})",
            frames,
        )


@contextmanager
def no_room(path: Path, *, ignore: bool = False) -> Iterator[None]:
    """Say of a full disk what it means, or nothing, where it no longer matters."""
    try:
        yield
    except OSError as error:
        if ignore:
            return
        if error.errno in NO_ROOM:
            raise NoRoom(str(path), error) from error
        raise
