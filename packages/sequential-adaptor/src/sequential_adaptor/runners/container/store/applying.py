"""A plan carried out in a work directory.

Whatever stands in the way is replaced, and what somebody took away meanwhile stays away: so a plan of which a part was
carried out before the process was killed can be carried out again.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator

from sequential_adaptor.runners.container.store.entries import CHUNKS, FIFO, LINK, SOCKET, Entry, decode_chunks
from sequential_adaptor.runners.container.store.files import numbers_of
from sequential_adaptor.runners.container.store.folders import entered, remove, set_mode, set_time
from sequential_adaptor.runners.container.store.index import Index, Known
from sequential_adaptor.runners.container.store.names import join
from sequential_adaptor.runners.container.store.objects import Objects
from sequential_adaptor.runners.container.store.plans import Plan
from sequential_adaptor.runners.container.store.ticks import is_racy
from sequential_adaptor.runners.container.store.trees import Item

_REMEMBERED = 256 << 20
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


class Contents:
    """The content that a plan needs: all of it is read and checked before the first file is touched.

    What is not too much is remembered; the rest is read, and checked, once more when it is written.
    """

    def __init__(self, objects: Objects, entries: Iterable[Entry]) -> None:
        self._objects = objects
        self._small: dict[bytes, bytes] = {}
        wanted = list(entries)
        self._check([entry.id for entry in wanted if entry.kind != CHUNKS])
        for id in {entry.id for entry in wanted if entry.kind == CHUNKS}:
            for _ in objects.get_all(decode_chunks(objects.get(id))):
                pass

    def _check(self, ids: list[bytes]) -> None:
        left = _REMEMBERED
        for id, data in self._objects.get_all(ids):
            if len(data) <= left:
                self._small[id] = data
                left -= len(data)

    def pieces(self, entry: Entry) -> Iterator[bytes]:
        """The content of a file."""
        data = self._small.get(entry.id)
        return iter((data,)) if data is not None else self._objects.content(entry)

    def target(self, entry: Entry) -> bytes:
        """The target of a link."""
        return b"".join(self.pieces(entry))


class Applying:
    """One plan, carried out below an open folder; the index learns of what was written."""

    def __init__(self, index: Index, contents: Contents) -> None:
        self._index = index
        self._contents = contents

    def run(self, folder: int, work: Plan, path: str = "") -> None:
        """Carry out the work in a folder and below it."""
        for name in work.remove:
            remove(folder, name)
        known = {}
        for item, below in work.create:
            one = self._create(folder, item, below, path)
            if one is not None:
                known[os.fsdecode(item.entry.name)] = one
        for item in work.touch:
            self._touch(folder, item)
        for item, below in work.inside:
            self._enter(folder, item, below, path)
        if known or work.remove:
            self._index.learn(path, known, map(os.fsdecode, work.remove))

    def _enter(self, folder: int, item: Item, below: Plan, path: str) -> None:
        name = item.entry.name
        try:
            with entered(folder, name) as inside:
                self.run(inside, below, join(path, os.fsdecode(name)))
            _finish(folder, item)
        except (FileNotFoundError, NotADirectoryError):
            return

    def _create(self, folder: int, item: Item, below: Plan | None, path: str) -> Known | None:
        try:
            return self._make(folder, item, below, path)
        except FileExistsError:
            remove(folder, item.entry.name)
            return self._make(folder, item, below, path)

    def _make(self, folder: int, item: Item, below: Plan | None, path: str) -> Known | None:
        entry = item.entry
        if below is not None:
            os.mkdir(entry.name, 0o700, dir_fd=folder)
            self._enter(folder, item, below, path)
            return None
        if entry.kind == LINK:
            os.symlink(self._contents.target(entry), entry.name, dir_fd=folder)
        elif entry.kind == FIFO:
            os.mkfifo(entry.name, entry.mode, dir_fd=folder)
        elif entry.kind == SOCKET:
            os.mknod(entry.name, stat.S_IFSOCK | entry.mode, dir_fd=folder)
        else:
            return self._write(folder, item)
        _finish(folder, item)
        return None

    def _write(self, folder: int, item: Item) -> Known | None:
        entry = item.entry
        fd = os.open(entry.name, _NEW, entry.mode, dir_fd=folder)
        try:
            for piece in self._contents.pieces(entry):
                _write_all(fd, piece)
            os.utime(fd, ns=(item.time, item.time))
            found = os.fstat(fd)
            if stat.S_IMODE(found.st_mode) != entry.mode:
                os.fchmod(fd, entry.mode)
                found = os.fstat(fd)
        finally:
            os.close(fd)
        return _known(found, entry)

    def _touch(self, folder: int, item: Item) -> None:
        """Bits and times belong to the file: where it has names elsewhere too, this one gets a file of its own.

        The index learns nothing: somebody may have written to the file since it was last looked at.
        """
        try:
            if os.stat(item.entry.name, dir_fd=folder, follow_symlinks=False).st_nlink > 1:
                remove(folder, item.entry.name)
                self._make(folder, item, None, "")
            else:
                _finish(folder, item)
        except FileNotFoundError:
            return


def _finish(folder: int, item: Item) -> None:
    if item.entry.kind != LINK:
        set_mode(folder, item.entry.name, item.entry.mode)
    set_time(folder, item.entry.name, item.time)


def _known(found: os.stat_result, entry: Entry) -> Known | None:
    """What the index may know; not of a file that could be written to once more without a trace."""
    is_sound = not is_racy(found.st_mtime_ns, found.st_ctime_ns)
    return Known(numbers_of(found), entry.id) if is_sound else None


def _write_all(fd: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]
