"""The layers by name: full hash, beginning of one, or tag."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Mapping
from hashlib import sha256
from typing import Any

from sequential_adaptor import values
from sequential_adaptor.errors import InvalidId
from sequential_adaptor.runners.container.store.database import Database
from sequential_adaptor.runners.container.store.entries import Tree
from sequential_adaptor.runners.container.store.errors import UnknownLayer
from sequential_adaptor.runners.container.store.records import LayerRecord
from sequential_adaptor.values import JSON

_COLUMNS = "hash, key, tree, times, parent, size, stored, number, fields"
_HASH = re.compile("[0-9a-f]{64}")
_BEGINNING = re.compile("[0-9a-f]{4,64}")
_TAG = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/-]{0,254}")
_TAKEN = re.compile("[0-9a-f]{12,}")


def layer_hash(key: str, tree: bytes, parent: str | None) -> str:
    """The name of a layer: the same changes on another parent are another layer."""
    return sha256(f"layer 1\n{key}\n{tree.hex()}\n{parent or '-'}\n".encode()).hexdigest()


class Catalogue:
    """What is published in a store."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def resolve(self, ref: str) -> str:
        """The full hash that a reference means."""
        row = self._database.row("select hash from tags where name = ?", (ref,))
        if row is not None:
            return str(row[0])
        found: list[str] = []
        if _BEGINNING.fullmatch(ref):
            query = "select hash from layers where hash >= ? and hash < ? order by hash limit 20"
            found = [hash for (hash,) in self._database.rows(query, (ref, f"{ref}g"))]
        if len(found) == 1:
            return found[0]
        if found:
            raise UnknownLayer(ref, [hash[:16] for hash in found], ambiguous=True)
        raise UnknownLayer(ref, self._choices())

    def layer(self, ref: str) -> LayerRecord:
        """The layer of a reference."""
        return self._all("hash = ?", self.resolve(ref))[0]

    def find(self, key: str) -> LayerRecord | None:
        """The layer published last under a key."""
        found = self._all("key = ?", key)
        return found[-1] if found else None

    def layers(self) -> list[LayerRecord]:
        """All, in the order of publication."""
        return self._all("true")

    def children(self, ref: str) -> list[LayerRecord]:
        """Those that have a layer as their parent."""
        return self._all("parent = ?", self.resolve(ref))

    def ancestry(self, ref: str) -> list[LayerRecord]:
        """A layer, its parent, and so on."""
        query = f"""
            with recursive line (hash, parent, depth) as (
                select hash, parent, 0 from layers where hash = ? union all
                select layers.hash, layers.parent, depth + 1 from layers join line on layers.hash = line.parent
            ) select {", ".join(f"layers.{name}" for name in _COLUMNS.split(", "))}
            from line join layers on layers.hash = line.hash order by depth"""
        return list(map(_record, self._database.rows(query, (self.resolve(ref),))))

    def tag(self, name: str, ref: str) -> LayerRecord:
        """Let a tag stand for a layer."""
        if not _TAG.fullmatch(name) or _TAKEN.fullmatch(name):
            rule = "letters, digits and ._-/, the first a letter or digit, and nothing that looks like a hash"
            raise InvalidId("tag", name, rule)
        layer = self.layer(ref)
        with self._database.transaction() as connection:
            if connection.execute("select 1 from layers where hash = ?", (layer.hash,)).fetchone() is None:
                raise UnknownLayer(ref, self._choices())
            connection.execute("replace into tags values (?, ?)", (name, layer.hash))
        return layer

    def untag(self, name: str) -> None:
        """Take a tag away."""
        with self._database.transaction() as connection:
            if not connection.execute("delete from tags where name = ?", (name,)).rowcount:
                raise UnknownLayer(name, list(self.tags()))

    def tags(self) -> dict[str, str]:
        """Hashes by tag."""
        return dict(self._database.rows("select name, hash from tags order by name"))

    def _all(self, condition: str, *values: str) -> list[LayerRecord]:
        query = f"select {_COLUMNS} from layers where {condition} order by number"
        return list(map(_record, self._database.rows(query, values)))

    def _choices(self) -> list[str]:
        newest = self._database.rows("select hash from layers order by number desc limit 20")
        return [*self.tags(), *(hash[:12] for (hash,) in newest)]


def check_key(key: str) -> None:
    """A key is 64 hex digits."""
    if not _HASH.fullmatch(key):
        raise InvalidId("key", key, "64 digits of lower-case hex, as sha256 has them")


def insert(
    connection: sqlite3.Connection, key: str, tree: Tree, parent: str | None, stored: int, fields: Mapping[str, JSON]
) -> str:
    """Add a layer, unless it is there; its hash."""
    hash = layer_hash(key, tree.id, parent)
    connection.execute(
        "insert or ignore into layers (hash, key, parent, tree, times, size, stored, fields) "
        "values (?, ?, ?, ?, ?, ?, ?, ?)",
        (hash, key, parent, tree.id, tree.times, tree.size, stored, values.encode(dict(fields))),
    )
    return hash


def tree_of(layer: LayerRecord) -> Tree:
    """The tree of a layer."""
    return Tree(bytes.fromhex(layer.tree), bytes.fromhex(layer.times), layer.size)


def _record(row: Any) -> LayerRecord:
    hash, key, tree, times, parent, size, stored, number, fields = row
    return LayerRecord(hash, key, tree.hex(), times.hex(), parent, size, stored, number, values.decode(fields))
