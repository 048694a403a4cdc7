"""Tar files from anywhere: read from the front to the end, member by member, and never more than a little ahead."""

from __future__ import annotations

import gzip
import tarfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import BinaryIO, Protocol, cast

from sequential_adaptor.runners.container.store.archives.growing import Growing
from sequential_adaptor.runners.container.store.entries import FIFO, LINK
from sequential_adaptor.runners.container.store.errors import ArchiveRefused

_LONGEST_HEADER = 1 << 20
_HEADERS = (
    tarfile.XHDTYPE,
    tarfile.XGLTYPE,
    tarfile.SOLARIS_XHDTYPE,
    tarfile.GNUTYPE_LONGNAME,
    tarfile.GNUTYPE_LONGLINK,
)
_BAD = (tarfile.TarError, EOFError, zlib.error, gzip.BadGzipFile, ValueError, OverflowError, RecursionError)
_LAST_TIME = (1 << 63) - 1
_WHITEOUT, _OPAQUE = b".wh.", b".wh..wh..opq"


class Stream(Protocol):
    """What a tar file is read from."""

    def read(self, size: int, /) -> bytes:
        """The next bytes, at most ``size``; none at the end."""
        ...


class _Member(tarfile.TarInfo):
    """A member whose headers, which ``tarfile`` reads into memory whole, have a limit."""

    def _proc_member(
        self, tar: tarfile.TarFile
    ) -> tarfile.TarInfo:  # the hook that the standard library names for this
        if self.type in _HEADERS and self.size > _LONGEST_HEADER:
            raise tarfile.ReadError(f"a header of {self.size:,} bytes is no header")
        member: tarfile.TarInfo = super()._proc_member(tar)  # type: ignore[misc]  # not in the stubs
        return member


@contextmanager
def opened(path: Path) -> Iterator[Stream]:
    """The bytes of a tar file, unpacked where they are packed with gzip."""
    try:
        file = path.open("rb")
    except OSError as error:
        raise ArchiveRefused(str(path), f"it cannot be read ({error.strerror})") from error
    with file:
        packed = file.read(2) == b"\x1f\x8b"
        file.seek(0)
        yield cast(BinaryIO, gzip.GzipFile(fileobj=file)) if packed else file


def read_tar(growing: Growing, stream: Stream, *, whiteouts: bool = False) -> None:
    """Take all members of a tar file; ``whiteouts``: it is a layer of an image, in which names say what is gone."""
    member = None
    try:
        with tarfile.open(
            fileobj=cast(BinaryIO, stream), mode="r|", tarinfo=_Member, encoding="utf-8", errors="surrogateescape"
        ) as tar:
            for member in tar:
                _take(growing, tar, member, whiteouts)
                tar.members.clear()  # type: ignore[attr-defined]  # it would hold on to all it has seen
    except ArchiveRefused:
        raise
    except _BAD as error:
        raise growing.refused(_raw(member.name) if member else b"", f"the archive is damaged: {error}") from error


def _take(growing: Growing, tar: tarfile.TarFile, member: tarfile.TarInfo, whiteouts: bool) -> None:
    path, mode, time = _raw(member.name), member.mode, _time(member)
    folder, _, name = path.rpartition(b"/")
    if whiteouts and name == _OPAQUE:
        growing.only_new(folder)
    elif whiteouts and name.startswith(_WHITEOUT):
        growing.without(b"/".join([*([folder] if folder else []), name[len(_WHITEOUT) :]]))
    elif member.isdir():
        growing.folder(path, mode, time)
    elif member.issym():
        growing.leaf(path, LINK, 0o777, time, _raw(member.linkname))
    elif member.islnk():
        growing.same(path, _raw(member.linkname))
    elif member.isfifo():
        growing.leaf(path, FIFO, mode, time, None)
    elif member.isreg() and not member.issparse():
        _file(growing, tar, member, path, time)
    else:
        raise growing.refused(path, f"it is {_kind(member)}, and layers have none")


def _file(growing: Growing, tar: tarfile.TarFile, member: tarfile.TarInfo, path: bytes, time: int) -> None:
    content = tar.extractfile(member)
    assert content is not None
    with content:
        growing.file(path, member.mode, time, member.size, content.read)


def _raw(name: str) -> bytes:
    return name.encode("utf-8", "surrogateescape")


def _time(member: tarfile.TarInfo) -> int:
    """Nanoseconds; ``tarfile`` itself would round them to those of a float."""
    try:
        time = int(Decimal(member.pax_headers.get("mtime", str(member.mtime))) * 1_000_000_000)
    except InvalidOperation:
        return 0
    return max(-_LAST_TIME, min(time, _LAST_TIME))


def _kind(member: tarfile.TarInfo) -> str:
    return "a device" if member.isdev() else "sparse" if member.issparse() else f"of type {member.type!r}"
