"""What becomes of the content that a scan comes across: it is stored, or only given its name."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Protocol, TypeVar

from sequential_adaptor.runners.container.store.codecs import PLAIN, compressor
from sequential_adaptor.runners.container.store.entries import CHUNK, EMPTY, Tree, name_of
from sequential_adaptor.runners.container.store.objects import Objects
from sequential_adaptor.runners.container.store.packs import Frame, PackWriter
from sequential_adaptor.runners.container.store.places import Places

_T = TypeVar("_T")
_AHEAD = 4
_THREADS = min(4, os.cpu_count() or 1)


class ShortRead(Exception):
    """A file is not of the size that it was said to have."""


class Sink(Protocol):
    """Takes content, gives its id."""

    def holds(self, id: bytes) -> bool:
        """Whether content whose id is known needs no more looking at."""
        ...

    def holds_tree(self, tree: Tree) -> bool:
        """Whether a folder that is known, and all below it, needs no more looking at."""
        ...

    def folder(self, data: bytes) -> bytes:
        """Take a folder or times object."""
        ...

    def blob(self, data: bytes) -> bytes:
        """Take the content of a file, or the target of a link."""
        ...

    def file(self, read: Callable[[int], bytes], size: int) -> bytes:
        """Take a file of more than ``CHUNKED`` bytes, piece by piece."""
        ...


class Naming:
    """Stores nothing; folders are remembered in ``memory``, so that they can be compared."""

    def __init__(self, objects: Objects) -> None:
        self._objects = objects
        self.memory: dict[bytes, bytes] = {}

    def holds(self, id: bytes) -> bool:
        return True

    def holds_tree(self, tree: Tree) -> bool:
        return all(id in self.memory or id == EMPTY.id or self._objects.has(id) for id in (tree.id, tree.times))

    def folder(self, data: bytes) -> bytes:
        id = name_of(data)
        self.memory[id] = data
        return id

    def blob(self, data: bytes) -> bytes:
        return name_of(data)

    def file(self, read: Callable[[int], bytes], size: int) -> bytes:
        return name_of(b"".join(_in_threads(name_of, _pieces(read, size))))


class Storing:
    """Stores in new packs what the store does not have."""

    def __init__(self, places: Places, objects: Objects) -> None:
        self._objects = objects
        self._writer = PackWriter(places)
        self._pack = compressor()
        self._held: set[bytes] = set()

    @property
    def stored(self) -> int:
        """Bytes that were added to packs."""
        return self._writer.stored

    def holds(self, id: bytes) -> bool:
        if id in self._held:
            return True
        if self._objects.has(id):
            self._held.add(id)
            return True
        return False

    def holds_tree(self, tree: Tree) -> bool:
        return self.holds(tree.id) and self.holds(tree.times)

    def folder(self, data: bytes) -> bytes:
        return self.blob(data)

    def blob(self, data: bytes) -> bytes:
        id = name_of(data)
        if not self.holds(id):
            codec, packed = self._pack(data)
            self._append(id, len(data), codec, packed)
        return id

    def file(self, read: Callable[[int], bytes], size: int) -> bytes:
        ids = []
        for id, length, codec, packed in _in_threads(self._packed, _pieces(read, size)):
            ids.append(id)
            if not self.holds(id):
                self._append(id, length, codec, packed)
        return self.blob(b"".join(ids))

    def sync(self) -> list[tuple[str, list[Frame]]]:
        """Make everything safe; what the index has to be told."""
        return self._writer.sync()

    def discard(self) -> None:
        """Take away what was stored."""
        self._writer.discard()

    def _append(self, id: bytes, length: int, codec: int, packed: bytes) -> None:
        self._writer.append(id, length, codec, packed)
        self._held.add(id)

    def _packed(self, piece: bytes) -> tuple[bytes, int, int, bytes]:
        """In a thread of its own, which has a compressor of its own."""
        id = name_of(piece)
        if self.holds(id):
            return id, len(piece), PLAIN, b""
        return id, len(piece), *compressor()(piece)


def _pieces(read: Callable[[int], bytes], size: int) -> Iterator[bytes]:
    """A file in chunks, each of which but the last is full."""
    left = size
    while left:
        wanted, parts = min(CHUNK, left), []
        while wanted:
            data = read(wanted)
            if not data:
                raise ShortRead
            parts.append(data)
            wanted -= len(data)
            left -= len(data)
        yield parts[0] if len(parts) == 1 else b"".join(parts)


def _in_threads(work: Callable[[bytes], _T], pieces: Iterable[bytes]) -> Iterator[_T]:
    """The results in order; a few pieces at most are in memory."""
    with ThreadPoolExecutor(_THREADS) as pool:
        running: list[Future[_T]] = []
        for piece in pieces:
            running.append(pool.submit(work, piece))
            if len(running) > _AHEAD:
                yield running.pop(0).result()
        for future in running:
            yield future.result()
