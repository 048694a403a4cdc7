"""A tree that grows from the members of an archive, in memory: there is nothing that a member could write through."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from sequential_adaptor.runners.container.store.entries import CHUNKED, FILES, FOLDER, KEPT_MODE, Entry, Tree, kind_of
from sequential_adaptor.runners.container.store.errors import ArchiveRefused
from sequential_adaptor.runners.container.store.scanning import MAX_DEPTH, write_folder
from sequential_adaptor.runners.container.store.sinks import ShortRead, Sink
from sequential_adaptor.runners.container.store.trees import Item

_LONGEST_NAME = 255
_LONGEST_TARGET = 4095
_FOLDER_MODE = 0o755


class Limits(NamedTuple):
    """How much an archive may hold: bytes of content, and names."""

    bytes: int
    files: int


@dataclass(slots=True)
class _Branch:
    """A folder; ``layer`` is the last of an image's layers that had it."""

    mode: int = _FOLDER_MODE
    time: int = 0
    layer: int = 0
    inside: dict[bytes, _Branch | _Leaf] = field(default_factory=dict)


class _Leaf(NamedTuple):
    entry: Entry
    time: int
    layer: int


class Growing:
    """The tree so far. Paths are relative, of bytes; whatever is not is refused."""

    def __init__(self, sink: Sink, archive: Path, limits: Limits) -> None:
        self._sink = sink
        self._archive = archive
        self._limits = limits
        self._root = _Branch()
        self._bytes = 0
        self._files = 0
        self.layer = 0

    def folder(self, path: bytes, mode: int, time: int) -> None:
        """Have a folder; what is in it stays."""
        names = self._names(path)
        if not names:
            return
        parent = self._parent(names)
        found = parent.inside.get(names[-1])
        branch = found if isinstance(found, _Branch) else _Branch()
        branch.mode, branch.time, branch.layer = mode & KEPT_MODE, time, self.layer
        parent.inside[names[-1]] = branch

    def file(self, path: bytes, mode: int, time: int, size: int, read: Callable[[int], bytes]) -> None:
        """Have a file with the ``size`` bytes that ``read`` gives."""
        self._bytes += size
        if size < 0 or self._bytes > self._limits.bytes:
            raise self.refused(path, f"with it there are more than {self._limits.bytes:,} bytes (max_bytes)")
        id = self._content(path, size, read)
        kind = kind_of(0o100000, size)
        assert kind in FILES
        self._put(path, kind, mode, time, size, id)

    def leaf(self, path: bytes, kind: int, mode: int, time: int, content: bytes | None) -> None:
        """Have a link to ``content``, or what has no content."""
        if content is not None and not 0 < len(content) <= _LONGEST_TARGET:
            raise self.refused(path, "it is a link to what cannot be a path")
        size, id = (len(content), self._sink.blob(content)) if content is not None else (0, bytes(32))
        self._put(path, kind, mode, time, size, id)

    def same(self, path: bytes, target: bytes) -> None:
        """Have the file that another name has already (a hard link)."""
        names = self._names(target)
        found = self._parent(names, make=False).inside.get(names[-1]) if names else None
        if not isinstance(found, _Leaf):
            raise self.refused(path, f"it is a hard link to {target!r}, which is no file of this archive")
        _, kind, mode, size, id = found.entry
        self._put(path, kind, mode, found.time, size, id)

    def without(self, path: bytes) -> None:
        """Have nothing there that came with an earlier layer."""
        names = self._names(path)
        if names:
            inside = self._parent(names).inside
            found = inside.get(names[-1])
            if found is not None and found.layer < self.layer:
                del inside[names[-1]]

    def only_new(self, path: bytes) -> None:
        """Have nothing in a folder that came with an earlier layer."""
        names = self._names(path)
        branch = self._parent([*names, b"."]) if names else self._root
        for name, found in list(branch.inside.items()):
            if found.layer < self.layer:
                del branch.inside[name]

    def write(self) -> Tree:
        """Give all folders to the sink."""
        return self._write(self._root)

    def refused(self, path: bytes, reason: str) -> ArchiveRefused:
        """The error that names a member, where there is one to blame."""
        return ArchiveRefused(str(self._archive), f"{path!r}: {reason}" if path else reason)

    # ---- parts

    def _put(self, path: bytes, kind: int, mode: int, time: int, size: int, id: bytes) -> None:
        names = self._names(path)
        if not names:
            raise self.refused(path, "it would take the place of the work directory itself")
        entry = Entry(names[-1], kind, mode & KEPT_MODE, size, id)
        self._parent(names).inside[names[-1]] = _Leaf(entry, time, self.layer)

    def _names(self, path: bytes) -> list[bytes]:
        self._files += 1
        if self._files > self._limits.files:
            raise self.refused(path, f"with it there are more than {self._limits.files:,} names (max_files)")
        names = [name for name in path.split(b"/") if name not in (b"", b".")]
        if path.startswith(b"/") or b".." in names:
            raise self.refused(path, "it leads out of the archive")
        if b"\0" in path or any(len(name) > _LONGEST_NAME for name in names) or len(names) > MAX_DEPTH:
            raise self.refused(path, "it cannot be the name of a file")
        return names

    def _parent(self, names: list[bytes], *, make: bool = True) -> _Branch:
        branch = self._root
        for name in names[:-1]:
            found = branch.inside.get(name)
            if found is None and make:
                found = branch.inside[name] = _Branch(layer=self.layer)
            if not isinstance(found, _Branch):
                raise self.refused(b"/".join(names), f"it leads through {name!r}, which is not a folder")
            branch = found
        return branch

    def _content(self, path: bytes, size: int, read: Callable[[int], bytes]) -> bytes:
        try:
            if size > CHUNKED:
                return self._sink.file(read, size)
            data = read(size) if size else b""
            if len(data) < size:
                raise ShortRead
            return self._sink.blob(data)
        except ShortRead as error:
            raise self.refused(path, f"it ends before the {size:,} bytes that it says it has") from error

    def _write(self, branch: _Branch) -> Tree:
        items = []
        for name, found in sorted(branch.inside.items()):
            if isinstance(found, _Leaf):
                items.append(Item(found.entry, found.time, None))
            else:
                tree = self._write(found)
                items.append(Item(Entry(name, FOLDER, found.mode, tree.size, tree.id), found.time, tree))
        return write_folder(self._sink, items)
