"""Trees of folders, and the differences between two of them. Folders that two trees have alike are not looked at."""

from __future__ import annotations

import os
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from threading import Lock
from typing import NamedTuple

from sequential_adaptor.runners.container.store.entries import (
    EMPTY,
    FOLDER,
    Entry,
    Tree,
    decode_folder,
    decode_times,
)
from sequential_adaptor.runners.container.store.names import join
from sequential_adaptor.runners.container.store.objects import Objects
from sequential_adaptor.runners.container.store.records import Changes

_REMEMBERED = 4096


class Item(NamedTuple):
    """An entry, its modification time, and for a folder all below it."""

    entry: Entry
    time: int
    tree: Tree | None


class Trees:
    """The folders of a store; those that were read last are remembered, as are those in ``memory``, of no store yet."""

    def __init__(self, objects: Objects, memory: Mapping[bytes, bytes] | None = None) -> None:
        self._objects = objects
        self._memory = memory or {}
        self._known: OrderedDict[tuple[bytes, bytes], dict[bytes, Item]] = OrderedDict()
        self._lock = Lock()

    def items(self, tree: Tree) -> dict[bytes, Item]:
        """What a folder holds, by name and sorted. It is not to be changed."""
        key = tree[:2]
        with self._lock:
            found = self._known.get(key)
        if found is None:
            found = self._read(tree)
            with self._lock:
                self._known[key] = found
                if len(self._known) > _REMEMBERED:
                    self._known.popitem(last=False)
        return found

    def find(self, tree: Tree, names: list[bytes]) -> Item | None:
        """What lies at a path; links on the way are not followed."""
        item = None
        for name in names:
            below = tree if item is None else item.tree
            item = self.items(below).get(name) if below is not None else None
            if item is None:
                return None
        return item

    def walk(self, tree: Tree, path: str = "") -> Iterator[tuple[str, Item]]:
        """All entries with their paths, each folder before what is in it."""
        for name, item in self.items(tree).items():
            at = join(path, os.fsdecode(name))
            yield at, item
            if item.tree is not None:
                yield from self.walk(item.tree, at)

    def _read(self, tree: Tree) -> dict[bytes, Item]:
        entries = decode_folder(self._object(tree.id))
        times, ids = decode_times(self._object(tree.times), entries)
        below = iter(ids)
        items = {}
        for entry, time in zip(entries, times, strict=True):
            inside = Tree(entry.id, next(below), entry.size) if entry.kind == FOLDER else None
            items[entry.name] = Item(entry, time, inside)
        return items

    def _object(self, id: bytes) -> bytes:
        if id == EMPTY.id:
            return b""
        data = self._memory.get(id)
        return data if data is not None else self._objects.get(id)


def differences(trees: Trees, old: Tree, new: Tree) -> Changes:
    """What differs between two trees; modification times count for nothing."""
    added: list[str] = []
    modified: list[str] = []
    deleted: list[str] = []
    waiting = [("", old, new)]
    while waiting:
        path, left, right = waiting.pop()
        if left.id == right.id:
            continue
        was, now = trees.items(left), trees.items(right)
        for name in was.keys() | now.keys():
            before, after, at = was.get(name), now.get(name), join(path, os.fsdecode(name))
            if before is None or after is None:
                (deleted if after is None else added).append(at)
            elif _is_modified(before.entry, after.entry):
                modified.append(at)
            inside = [item.tree or EMPTY if item is not None else EMPTY for item in (before, after)]
            if inside[0].id != inside[1].id:
                waiting.append((at, inside[0], inside[1]))
    return Changes(tuple(sorted(added)), tuple(sorted(modified)), tuple(sorted(deleted)))


def _is_modified(before: Entry, after: Entry) -> bool:
    if before.kind != after.kind or before.mode != after.mode:
        return True
    return before.kind != FOLDER and before.id != after.id
