"""Trees as tar files: the same tree gives the same bytes."""

from __future__ import annotations

import gzip
import io
import os
import secrets
import shutil
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, cast

from sequential_adaptor.errors import NotOffered
from sequential_adaptor.runners.container.store.entries import FIFO, FOLDER, LINK, SOCKET, Tree
from sequential_adaptor.runners.container.store.packs import no_room
from sequential_adaptor.runners.container.store.places import sync_folder
from sequential_adaptor.runners.container.store.shared import Shared
from sequential_adaptor.runners.container.store.trees import Item

_SECOND = 1_000_000_000


@contextmanager
def complete(path: Path) -> Iterator[Path]:
    """A place to write a file or folder to, which gets its name when all of it is safe."""
    place = path.with_name(f".{secrets.token_hex(8)}.tmp")
    with no_room(path):
        try:
            yield place
            _sync(place)
            place.rename(path)
            sync_folder(path.parent)
        except BaseException:
            shutil.rmtree(place, ignore_errors=True)
            place.unlink(missing_ok=True)
            raise


def write_tar_file(store: Shared, tree: Tree, path: Path, *, zipped: bool) -> None:
    """Write a tar file, packed with gzip or not."""
    with path.open("xb") as file:
        if not zipped:
            write_tar(store, tree, file)
            return
        with packing(file) as packed:
            write_tar(store, tree, cast(IO[bytes], packed))


def packing(file: IO[bytes]) -> gzip.GzipFile:
    """A gzip stream that says nothing about when and where it was made."""
    return gzip.GzipFile(filename="", fileobj=file, mode="wb", compresslevel=6, mtime=0)


def write_tar(store: Shared, tree: Tree, file: IO[bytes], *, whiteouts: bool = False) -> None:
    """Write the members of a tree; with ``whiteouts``, names that would be taken for them are refused."""
    with tarfile.open(
        fileobj=file, mode="w|", format=tarfile.PAX_FORMAT, encoding="utf-8", errors="surrogateescape"
    ) as tar:
        for path, item in store.trees.walk(tree):
            if whiteouts and item.entry.name.startswith(b".wh."):
                raise NotOffered("the OCI image layout", f"keep {path!r}, whose name means a deletion there; use tar")
            if item.entry.kind == SOCKET:
                raise NotOffered("a tar file", f"keep {path!r}, which is a socket; take it away in another layer first")
            _add(store, tar, path, item)
            tar.members.clear()  # type: ignore[attr-defined]  # it would hold on to all it has seen


def _add(store: Shared, tar: tarfile.TarFile, path: str, item: Item) -> None:
    member = tarfile.TarInfo(os.fsencode(path).decode("utf-8", "surrogateescape"))
    entry = item.entry
    member.mode, member.mtime = entry.mode, item.time // _SECOND
    if item.time % _SECOND or item.time < 0:
        member.pax_headers = {"mtime": _decimal(item.time)}
    if entry.kind == FOLDER:
        member.type = tarfile.DIRTYPE
    elif entry.kind == FIFO:
        member.type = tarfile.FIFOTYPE
    elif entry.kind == LINK:
        member.type = tarfile.SYMTYPE
        member.linkname = b"".join(store.objects.content(entry)).decode("utf-8", "surrogateescape")
    else:
        member.size = entry.size
    tar.addfile(member, _Pieces(store.objects.content(entry)) if member.isreg() else None)


class _Pieces(io.RawIOBase):
    """The pieces of a file, as a file to be read."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces
        self._left = b""

    def read(self, size: int = -1, /) -> bytes:
        """Exactly ``size`` bytes, as far as there are any."""
        parts = [self._left]
        have = len(self._left)
        while have < size and (piece := next(self._pieces, None)) is not None:
            parts.append(piece)
            have += len(piece)
        data = b"".join(parts)
        self._left = data[size:]
        return data[:size]


def _decimal(time: int) -> str:
    sign, time = ("-", -time) if time < 0 else ("", time)
    return f"{sign}{time // _SECOND}.{time % _SECOND:09}"


def _sync(place: Path) -> None:
    for folder, _, names in os.walk(place):
        for name in names:
            _sync_file(Path(folder, name))
        sync_folder(Path(folder))
    if place.is_file():
        _sync_file(place)


def _sync_file(path: Path) -> None:
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
