"""The tree of a work directory as it is now, with no more reading than its stat index leaves to do."""

from __future__ import annotations

import os
import stat
from array import array
from collections.abc import Iterator, Mapping

from sequential_adaptor.runners.container.store.entries import (
    CONTENTS,
    EMPTY,
    FILE,
    FOLDER,
    KEPT_MODE,
    LINK,
    NO_ID,
    Entry,
    Tree,
    encode_folder,
    encode_times,
    kind_of,
)
from sequential_adaptor.runners.container.store.errors import NotCapturable
from sequential_adaptor.runners.container.store.files import GONE, fold, open_folder, take
from sequential_adaptor.runners.container.store.ignoring import Ignored
from sequential_adaptor.runners.container.store.index import NUMBERS, UNKNOWN, Index, Known, Row, Stat, make_row
from sequential_adaptor.runners.container.store.names import join
from sequential_adaptor.runners.container.store.sinks import Sink
from sequential_adaptor.runners.container.store.ticks import settle
from sequential_adaptor.runners.container.store.trees import Item, Trees

MAX_DEPTH = 200
_TOO_DEEP = f"it lies deeper than {MAX_DEPTH} folders"
_SET_ID = stat.S_ISUID | stat.S_ISGID


class Scan:
    """One look at a work directory.

    - What is ignored is as in the tree of the head.
    - ``lenient``: what cannot be kept has no id, and so is like nothing else; without it, it is an error. So are files
      with setuid or setgid bits, which no layer has.
    """

    def __init__(
        self, index: Index, sink: Sink, trees: Trees, ignored: Ignored | None = None, *, lenient: bool = False
    ) -> None:
        self._index = index
        self._sink = sink
        self._trees = trees
        self._ignored = ignored
        self._lenient = lenient
        self._seen: list[str] = []

    def run(self, fd: int, head: Tree) -> Tree:
        """The tree below an open folder."""
        tree = self._folder(fd, "", head)
        self._index.keep_only(self._seen)
        return tree

    def _folder(self, fd: int, path: str, base: Tree) -> Tree:
        self._seen.append(path)
        if path.count("/") >= MAX_DEPTH:
            raise NotCapturable(path, _TOO_DEEP)
        names, stats = list_folder(fd, path)
        row = self._index.rows.get(path)
        inside: dict[str, Tree] = {}
        if row is not None and row.tree is not None and self._is_unchanged(row, names, stats):
            inside = {name: self._below(fd, name, join(path, name), EMPTY) for name in row.inside}
            if inside == row.inside:
                return row.tree
        return self._look(fd, path, base, dict(zip(names, unpacked(stats), strict=True)), inside)

    def _is_unchanged(self, row: Row, names: list[str], stats: bytes) -> bool:
        if self._ignored is not None or row.tree is None or row.stats != stats or row.names != "\0".join(names):
            return False
        return self._sink.holds_tree(row.tree)

    def _below(self, fd: int, name: str, path: str, base: Tree) -> Tree:
        folder = open_folder(name, fd, path)
        try:
            return self._folder(folder, path, base)
        finally:
            os.close(folder)

    # ---- a folder that is new, or not as it was

    def _look(self, fd: int, path: str, base: Tree, found: Mapping[str, Stat], inside: dict[str, Tree]) -> Tree:
        row = self._index.rows.get(path)
        before = row.known() if row is not None else {}
        heads = self._trees.items(base) if self._ignored is not None else {}
        items, known = self._kept_items(path, heads), {}
        for name, numbers in found.items():
            at, raw = join(path, name), os.fsencode(name)
            if self._ignored is not None and self._ignored(at, stat.S_ISDIR(numbers[0])):
                continue
            head = heads.get(raw)
            below = head.tree if head is not None and head.tree is not None else EMPTY
            item, known[name] = self._item(fd, name, at, numbers, before.get(name), below, inside)
            items.append(item)
        items.sort()
        tree = write_folder(self._sink, items)
        trees = {os.fsdecode(item.entry.name): item.tree for item in items if item.tree is not None}
        is_whole = self._ignored is None and all(one.stat != UNKNOWN for one in known.values())
        self._index.put(path, make_row(known, trees, tree if is_whole else None))
        return tree

    def _kept_items(self, path: str, heads: Mapping[bytes, Item]) -> list[Item]:
        """What the head has at ignored names, whether or not it is still there."""
        if self._ignored is None:
            return []
        ignored = self._ignored
        return [
            item for name, item in heads.items() if ignored(join(path, os.fsdecode(name)), item.entry.kind == FOLDER)
        ]

    def _item(
        self, fd: int, name: str, path: str, numbers: Stat, before: Known | None, base: Tree, inside: dict[str, Tree]
    ) -> tuple[Item, Known]:
        raw, (mode, _, mtime, _, _) = os.fsencode(name), numbers
        try:
            if stat.S_ISDIR(mode):
                tree = inside[name] if name in inside else self._below(fd, name, path, base)
                entry = Entry(raw, FOLDER, mode & KEPT_MODE, tree.size, tree.id)
                return Item(entry, mtime, tree), Known(numbers, NO_ID)
            known = self._content(fd, name, path, numbers, before)
        except NotCapturable:
            if not self._lenient:
                raise
            return Item(Entry(raw, FILE, mode & KEPT_MODE, 0, NO_ID), mtime, None), Known(UNKNOWN, NO_ID)
        return leaf(raw, numbers, known.id), known

    def _content(self, fd: int, name: str, path: str, numbers: Stat, before: Known | None) -> Known:
        mode, _, mtime, ctime, _ = numbers
        if before is not None and before.stat == numbers and (before.id == NO_ID or self._sink.holds(before.id)):
            return before
        if self._lenient and mode & _SET_ID:
            raise NotCapturable(path, "it has a setuid or setgid bit, and no layer has one")
        trusted = not stat.S_ISREG(mode) or (not mode & _SET_ID and settle(mtime, ctime))
        id = take(self._sink, fd, name, path, numbers)
        return Known(numbers if trusted else UNKNOWN, id)


def leaf(name: bytes, found: Stat, id: bytes) -> Item:
    """What is no folder, as an item."""
    mode, size, mtime, _, _ = found
    kind = kind_of(mode, size)
    assert kind is not None, "only what can be kept has an id"
    bits = 0o777 if kind == LINK else mode & KEPT_MODE
    return Item(Entry(name, kind, bits, size if kind in CONTENTS else 0, id), mtime, None)


def write_folder(sink: Sink, items: list[Item]) -> Tree:
    """Give the objects of a folder, whose items are sorted by name, to a sink."""
    folder = encode_folder([item.entry for item in items])
    times = encode_times([item.time for item in items], [item.tree.times for item in items if item.tree is not None])
    return Tree(sink.folder(folder), sink.folder(times), sum(item.entry.size for item in items))


def list_folder(fd: int, path: str) -> tuple[list[str], bytes]:
    """The names in an open folder, and the stats of each, in the order of the file system."""
    names: list[str] = []
    numbers: list[int] = []
    name = ""
    try:
        with os.scandir(fd) as entries:
            for entry in entries:
                names.append(name := entry.name)
                found = entry.stat(follow_symlinks=False)
                numbers += (found.st_mode, found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino)
    except FileNotFoundError as error:
        raise NotCapturable(join(path, name), GONE) from error
    except OSError as error:
        raise NotCapturable(path or ".", f"it cannot be read ({error.strerror})") from error
    try:
        return names, array("q", numbers).tobytes()
    except OverflowError:
        numbers[NUMBERS - 1 :: NUMBERS] = map(fold, numbers[NUMBERS - 1 :: NUMBERS])
        return names, array("q", numbers).tobytes()


def unpacked(stats: bytes) -> Iterator[Stat]:
    """The stats of each name."""
    numbers = iter(array("q", stats))
    return zip(*[numbers] * NUMBERS, strict=True)
