"""The upper folder of an overlay mount: what a command changed, as the kernel wrote it down."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from sequential_adaptor.runners.container.store.entries import EMPTY, FOLDER, KEPT_MODE, Entry, Tree
from sequential_adaptor.runners.container.store.errors import NotCapturable
from sequential_adaptor.runners.container.store.files import numbers_of, open_folder, take
from sequential_adaptor.runners.container.store.names import join
from sequential_adaptor.runners.container.store.scanning import leaf, write_folder
from sequential_adaptor.runners.container.store.sinks import Sink
from sequential_adaptor.runners.container.store.trees import Item, Trees

_OPAQUE, _WHITEOUT = "overlay.opaque", "overlay.whiteout"
_REFUSED = {
    "overlay.redirect": "it was renamed by reference; mount the overlay with redirect_dir=off",
    "overlay.metacopy": "it was copied without its content; mount the overlay with metacopy=off",
}


class Upper:
    """Lays the upper folder over a tree."""

    def __init__(self, sink: Sink, trees: Trees) -> None:
        self._sink = sink
        self._trees = trees

    def run(self, upper: Path, lower: Tree) -> Tree:
        """The tree that the mount showed."""
        fd = os.open(upper, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            return self._folder(fd, "", lower)
        finally:
            os.close(fd)

    def _folder(self, fd: int, path: str, lower: Tree) -> Tree:
        items = dict(self._trees.items(lower))
        for name in os.listdir(fd):
            item = self._item(fd, name, join(path, name), items.get(os.fsencode(name)))
            if item is not None:
                items[item.entry.name] = item
            else:
                items.pop(os.fsencode(name), None)
        return write_folder(self._sink, sorted(items.values()))

    def _item(self, fd: int, name: str, path: str, lower: Item | None) -> Item | None:
        """What the name stands for from now on; ``None`` for a whiteout, which takes it away."""
        found, marks = os.stat(name, dir_fd=fd, follow_symlinks=False), _marks(fd, name, path)
        if (stat.S_ISCHR(found.st_mode) and found.st_rdev == 0) or _WHITEOUT in marks:
            return None
        if not stat.S_ISDIR(found.st_mode):
            numbers = numbers_of(found)
            return leaf(os.fsencode(name), numbers, take(self._sink, fd, name, path, numbers))
        below = EMPTY if lower is None or lower.tree is None or marks.get(_OPAQUE) == b"y" else lower.tree
        inside = open_folder(name, fd, path)
        try:
            tree = self._folder(inside, path, below)
        finally:
            os.close(inside)
        entry = Entry(os.fsencode(name), FOLDER, found.st_mode & KEPT_MODE, tree.size, tree.id)
        return Item(entry, found.st_mtime_ns, tree)


def _marks(fd: int, name: str, path: str) -> dict[str, bytes]:
    """The overlay's own attributes, of a privileged mount (``trusted``) or of one in a user namespace (``user``)."""
    marks = {}
    place = f"/proc/self/fd/{fd}/{name}"
    for attribute in os.listxattr(place, follow_symlinks=False):
        space, _, mark = attribute.partition(".")
        if space in ("trusted", "user") and mark.startswith("overlay."):
            marks[mark] = os.getxattr(place, attribute, follow_symlinks=False)
    for mark in marks.keys() & _REFUSED.keys():
        raise NotCapturable(path, _REFUSED[mark])
    return marks
