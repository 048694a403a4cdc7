"""How a folder is written down: one object for names, kinds, bits and content, one beside it for modification times.

A folder object is its entries in the order of their names as bytes, each

    kind (1 byte)  mode (2)  size (8)  id (32)  name  NUL

with numbers in big-endian order. ``id`` is the sha256 of the content: of a folder, its folder object; of a link, its
target; of a file over ``CHUNKED`` bytes, the list of the ids of its chunks; of a FIFO or socket, nothing (zeros).
``size`` are bytes of content, of a folder those of everything below. The times object has for each entry, in the same
order, the nanoseconds since 1970 (8 bytes), and then for each folder the id of its times object (32).
"""

from __future__ import annotations

import stat
import struct
from collections.abc import Iterable, Sequence
from hashlib import sha256
from typing import NamedTuple

from sequential_adaptor.errors import StorageDamaged

FOLDER, FILE, CHUNKS, LINK, FIFO, SOCKET = b"dfclps"
KINDS = frozenset((FOLDER, FILE, CHUNKS, LINK, FIFO, SOCKET))
FILES = frozenset((FILE, CHUNKS))
CONTENTS = frozenset((FILE, CHUNKS, LINK))
NO_ID = bytes(32)
KEPT_MODE = 0o1777
"""Permission bits and the sticky bit. Setuid and setgid mean nothing without the owner, who is not kept."""
CHUNKED = 8 << 20
CHUNK = 4 << 20
_HEAD = struct.Struct(">BHQ32s")
_TIME = struct.Struct(">q")


class Entry(NamedTuple):
    """A name in a folder, and what it stands for."""

    name: bytes
    kind: int
    mode: int
    size: int
    id: bytes


class Tree(NamedTuple):
    """A folder with all below: its object, the times beside it, and how many bytes of content it has."""

    id: bytes
    times: bytes
    size: int


def name_of(data: bytes) -> bytes:
    """The id of an object."""
    return sha256(data).digest()


EMPTY = Tree(name_of(b""), name_of(b""), 0)


def kind_of(mode: int, size: int) -> int | None:
    """The kind of what ``lstat`` says is there; ``None`` for a device."""
    if stat.S_ISREG(mode):
        return FILE if size <= CHUNKED else CHUNKS
    return _KINDS.get(stat.S_IFMT(mode))


def encode_folder(entries: Iterable[Entry]) -> bytes:
    """The folder object of entries that are sorted by name."""
    head = _HEAD.pack
    return b"".join([head(kind, mode, size, id) + name + b"\0" for name, kind, mode, size, id in entries])


def encode_times(times: Iterable[int], folders: Iterable[bytes]) -> bytes:
    """The times object: nanoseconds of all entries, then the times objects of the folders among them."""
    pack = _TIME.pack
    return b"".join([*(pack(time) for time in times), *folders])


def decode_folder(data: bytes) -> list[Entry]:
    """The entries of a folder object; what no store has written is ``StorageDamaged``."""
    entries, at, before = [], 0, b""
    find, unpack = data.find, _HEAD.unpack_from
    while at < len(data):
        end = find(b"\0", at + _HEAD.size)
        if end < 0:
            raise StorageDamaged("a folder object ends in the middle of an entry")
        kind, mode, size, id = unpack(data, at)
        name = data[at + _HEAD.size : end]
        if name <= before or b"/" in name or name in (b".", b"..") or kind not in KINDS or mode & ~KEPT_MODE:
            raise StorageDamaged(f"a folder object holds an entry that cannot be: {name!r}")
        entries.append(Entry(name, kind, mode, size, id))
        at, before = end + 1, name
    return entries


def decode_times(data: bytes, entries: Sequence[Entry]) -> tuple[tuple[int, ...], list[bytes]]:
    """The times of the entries of a folder, and the times objects of its folders, in order."""
    folders = sum(entry.kind == FOLDER for entry in entries)
    if len(data) != 8 * len(entries) + 32 * folders:
        raise StorageDamaged("a times object is not of the length of its folder")
    times = struct.unpack_from(f">{len(entries)}q", data)
    ids = range(8 * len(entries), len(data), 32)
    return times, [data[at : at + 32] for at in ids]


def decode_chunks(data: bytes) -> list[bytes]:
    """The ids of the chunks of a large file."""
    if len(data) % 32:
        raise StorageDamaged("a list of chunks ends in the middle of one")
    return [data[at : at + 32] for at in range(0, len(data), 32)]


_KINDS = {stat.S_IFDIR: FOLDER, stat.S_IFLNK: LINK, stat.S_IFIFO: FIFO, stat.S_IFSOCK: SOCKET}
