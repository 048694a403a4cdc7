"""The objects that trees need."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from sequential_adaptor.errors import StorageDamaged
from sequential_adaptor.runners.container.store.entries import (
    CHUNKS,
    CONTENTS,
    FOLDER,
    Tree,
    decode_chunks,
    decode_folder,
    decode_times,
)
from sequential_adaptor.runners.container.store.objects import Objects

Trouble = Callable[[bytes, StorageDamaged], None]


class Reach:
    """What some trees need: ``structure`` (folders, times, lists of chunks) has been read, ``contents`` has not.

    ``trouble`` is told of structure that cannot be read; without it, that is raised.
    """

    def __init__(self, objects: Objects, trouble: Trouble | None = None) -> None:
        self._objects = objects
        self._trouble = trouble
        self.structure: set[bytes] = set()
        self.contents: set[bytes] = set()
        self._trees: set[tuple[bytes, bytes]] = set()

    def add(self, trees: Iterable[Tree]) -> None:
        """Follow trees to all that is below them."""
        waiting = list(trees)
        while waiting:
            tree = waiting.pop()
            if tree[:2] not in self._trees:
                self._trees.add(tree[:2])
                waiting += self._below(tree)

    @property
    def ids(self) -> set[bytes]:
        """All of it."""
        return self.structure | self.contents

    def _below(self, tree: Tree) -> list[Tree]:
        self.structure.update(tree[:2])
        try:
            entries = decode_folder(self._objects.get(tree.id))
            self.contents.update(entry.id for entry in entries if entry.kind in CONTENTS and entry.kind != CHUNKS)
            for entry in entries:
                if entry.kind == CHUNKS and entry.id not in self.structure:
                    self._list(entry.id)
        except StorageDamaged as error:
            self._say(tree.id, error)
            return []
        try:
            times = iter(decode_times(self._objects.get(tree.times), entries)[1])
        except StorageDamaged as error:
            self._say(tree.times, error)
            return []
        return [Tree(entry.id, next(times), entry.size) for entry in entries if entry.kind == FOLDER]

    def _list(self, id: bytes) -> None:
        self.structure.add(id)
        try:
            self.contents.update(decode_chunks(self._objects.get(id)))
        except StorageDamaged as error:
            self._say(id, error)

    def _say(self, id: bytes, error: StorageDamaged) -> None:
        if self._trouble is None:
            raise error
        self._trouble(id, error)
