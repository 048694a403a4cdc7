"""The stat index of a work directory: what its files were like when their content was last known.

A file whose mode, size, mtime, ctime and inode are as they were has the content that it had, so it is not read again.
The index is a cache: without it everything is read once more. Each line is true by itself, whatever the head is.
"""

from __future__ import annotations

import os
from array import array
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

from sequential_adaptor.errors import SequentialError, StorageUnavailable
from sequential_adaptor.runners.container.store.database import Database
from sequential_adaptor.runners.container.store.entries import Tree

NUMBERS = 5
Stat = tuple[int, int, int, int, int]
"""Mode, size, mtime, ctime (both in nanoseconds) and inode."""
UNKNOWN: Stat = (0, 0, 0, 0, 0)
_TREE = 72
_SCHEMA = """
create table if not exists folders (
    path blob primary key, names blob not null, stats blob not null, ids blob not null,
    inside blob not null, tree blob not null
);
"""


class Known(NamedTuple):
    """What is known of one file."""

    stat: Stat
    id: bytes


class Row(NamedTuple):
    """One folder: its names in the order of the file system, their stats and ids, the trees of its folders by name, and
    its own tree, where that has not been outdated since."""

    names: str
    stats: bytes
    ids: bytes
    inside: dict[str, Tree]
    tree: Tree | None

    def known(self) -> dict[str, Known]:
        """What is known of each name."""
        numbers = array("q", self.stats)
        names = self.names.split("\0") if self.names else []
        found = {}
        for at, name in enumerate(names):
            mode, size, mtime, ctime, inode = numbers[NUMBERS * at : NUMBERS * (at + 1)]
            found[name] = Known((mode, size, mtime, ctime, inode), self.ids[32 * at : 32 * (at + 1)])
        return found


class Index:
    """The rows of a work directory by path (``""`` is the work directory itself), all of them in memory."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._database = _open(path)
        self._changed: dict[str, Row | None] = {}
        self.rows: dict[str, Row] = dict(map(_decode, self._database.rows("select * from folders")))

    def close(self) -> None:
        """Close the file; what was not saved is known no more."""
        self._database.close()

    def put(self, path: str, row: Row) -> None:
        """Know a folder."""
        self.rows[path] = row
        self._changed[path] = row

    def keep_only(self, paths: Iterable[str]) -> None:
        """Forget the folders that are no more."""
        for path in self.rows.keys() - set(paths):
            del self.rows[path]
            self._changed[path] = None

    def learn(self, path: str, files: Mapping[str, Known], gone: Iterable[str] = ()) -> None:
        """Know files anew; the folder is looked at more closely the next time."""
        row = self.rows.get(path)
        known = row.known() if row is not None else {}
        for name in gone:
            known.pop(name, None)
        known.update(files)
        self.put(path, make_row(known, {}, None))

    def save(self) -> None:
        """Remember what has changed, for the next process too."""
        changed, self._changed = self._changed, {}
        if not changed:
            return
        try:
            with self._database.transaction() as connection:
                gone = [(os.fsencode(path),) for path, row in changed.items() if row is None]
                connection.executemany("delete from folders where path = ?", gone)
                rows = [_encode(path, row) for path, row in changed.items() if row is not None]
                connection.executemany("replace into folders values (?, ?, ?, ?, ?, ?)", rows)
        except StorageUnavailable:  # no room: this process knows it, and may find room later
            self._changed = {**changed, **self._changed}


def make_row(known: Mapping[str, Known], inside: dict[str, Tree], tree: Tree | None) -> Row:
    """The row of a folder, in the order of ``known``."""
    stats = array("q", [number for one in known.values() for number in one.stat]).tobytes()
    return Row("\0".join(known), stats, b"".join([one.id for one in known.values()]), inside, tree)


def _open(path: Path) -> Database:
    """A cache that is damaged is made anew."""
    try:
        return Database(path, _SCHEMA, safe=False)
    except SequentialError:
        for file in (path, path.with_name(f"{path.name}-wal"), path.with_name(f"{path.name}-shm")):
            file.unlink(missing_ok=True)
        return Database(path, _SCHEMA, safe=False)


def _encode(path: str, row: Row) -> tuple[bytes, ...]:
    names = "\0".join(row.inside)
    trees = b"".join(_pack(tree) for tree in row.inside.values())
    inside = trees + os.fsencode(names)
    tree = _pack(row.tree) if row.tree is not None else b""
    return os.fsencode(path), os.fsencode(row.names), row.stats, row.ids, len(row.inside).to_bytes(4) + inside, tree


def _decode(values: tuple[bytes, ...]) -> tuple[str, Row]:
    path, names, stats, ids, inside, tree = values
    count, trees = int.from_bytes(inside[:4]), inside[4:]
    folders = os.fsdecode(trees[_TREE * count :]).split("\0") if count else []
    found = {name: _unpack(trees[_TREE * at : _TREE * (at + 1)]) for at, name in enumerate(folders)}
    return os.fsdecode(path), Row(os.fsdecode(names), stats, ids, found, _unpack(tree) if tree else None)


def _pack(tree: Tree) -> bytes:
    return tree.id + tree.times + tree.size.to_bytes(8)


def _unpack(data: bytes) -> Tree:
    return Tree(data[:32], data[32:64], int.from_bytes(data[64:_TREE]))
