"""The index: a line for each run, so that a store opens without reading its runs.

It is made of blocks. A block has lines of runs (the later line of a run counts, and may say that it is deleted), the
ids of the commits that it covers, and at its end a checksum and the last generation of the journal that files and
index together make superfluous. It grows by blocks and is written anew when half of it is outdated. All of it can be
made again from the readable files.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from zlib import crc32

from sequential_adaptor.backends.folder.disk import FILE_MODE, Disk, write_all
from sequential_adaptor.backends.folder.listings import take_line

FORMAT = 2
REMEMBERED = 10_000
"""So many commit ids are kept, at least."""
_SLACK = 1000
_TAIL = 4096


@dataclass(slots=True)
class Index:
    """What an index file holds: ``covers`` generations of the journal, up to ``end`` of its bytes, in ``lines``
    lines.
    """

    listings: dict[str, bytes] = field(default_factory=dict)
    commits: list[str] = field(default_factory=list)
    covers: int = 0
    end: int = 0
    lines: int = 0


def load(path: Path) -> Index:
    """The index up to its last good block (nothing where there is none); ``FileNotFoundError`` without a file."""
    data = path.read_bytes()
    index = Index()
    for start, foot, stop in _blocks(data):
        footer = _footer(data, start, foot, stop)
        if footer is None:
            break
        for line in data[start:foot].split(b"\n"):
            if line.startswith((b"[", b"-")):
                take_line(index.listings, line)
            elif line:
                index.commits += json.loads(line[2:])
        index.covers, index.end, index.lines = footer["covers"], stop, footer["lines"]
    del index.commits[:-REMEMBERED]
    return index


def load_if_good(path: Path) -> Index | None:
    """The index, if there is one with at least one good block."""
    try:
        index = load(path)
    except FileNotFoundError:
        return None
    return index if index.end else None


def _blocks(data: bytes) -> Iterable[tuple[int, int, int]]:
    """Where each block begins, where its footer begins, and where it ends."""
    start = 0
    while (foot := data.find(b"\n= ", start) + 1) > 0 and (stop := data.find(b"\n", foot) + 1) > 0:
        yield start, foot, stop
        start = stop


def _footer(data: bytes, start: int, foot: int, stop: int) -> dict[str, int] | None:
    text = data[foot + 11 : stop - 1]
    if data[foot + 2 : foot + 10] != b"%08x" % crc32(text, crc32(data[start:foot])):
        return None
    found: dict[str, int] = json.loads(text)
    return found if found.get("format") == FORMAT else None


def _block(lines: Iterable[bytes], commits: Iterable[str], covers: int, total: int) -> bytes:
    body = b"".join(line + b"\n" for line in (*lines, b"c " + json.dumps(list(commits)).encode("ascii")))
    text = json.dumps({"format": FORMAT, "covers": covers, "lines": total}).encode("ascii")
    return b"%s= %08x %s\n" % (body, crc32(text, crc32(body)), text)


def write(path: Path, disk: Disk, listings: Iterable[bytes], commits: Iterable[str], covers: int) -> None:
    """Write the index anew, safe from power loss."""
    lines = list(listings)
    disk.replace(path, _block(lines, commits, covers, len(lines)), sync=True)
    disk.sync_path(path.parent)


def is_sound(path: Path) -> bool:
    """Whether every block is good: then what is added behind them will be found."""
    try:
        return load(path).end == path.stat().st_size
    except FileNotFoundError:
        return False


def covered(path: Path) -> int:
    """What the last block covers, by a look at the end of the file; 0 where that does not say."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - _TAIL))
            footer = _last_footer(file.read())
    except FileNotFoundError:
        return 0
    return 0 if footer is None else footer["covers"]


def append(path: Path, disk: Disk, lines: list[bytes], commits: Iterable[str], covers: int, runs: int) -> bool:
    """Add a block, safe from power loss.

    ``False``, and nothing is written: most of the file would be outdated (there are ``runs`` runs), or its end is not
    clear.
    """
    fd = os.open(path, os.O_RDWR | os.O_CLOEXEC, FILE_MODE)
    try:
        size = os.fstat(fd).st_size
        before = _last_footer(os.pread(fd, _TAIL, max(0, size - _TAIL)))
        total = (before or {"lines": 0})["lines"] + len(lines)
        if before is None or total > 2 * runs + _SLACK:
            return False
        _extend(fd, size, _block(lines, commits, covers, total), disk)
    finally:
        os.close(fd)
    return True


def _extend(fd: int, size: int, block: bytes, disk: Disk) -> None:
    os.lseek(fd, size, os.SEEK_SET)
    try:
        write_all(fd, block)
    except OSError:
        os.ftruncate(fd, size)
        raise
    disk.sync(fd)  # when that fails the block stays: whoever has read it does not list its runs again


def _last_footer(tail: bytes) -> dict[str, int] | None:
    """The footer that ends the file; ``None`` where the last block was never finished."""
    foot = tail.rfind(b"\n= ") + 1
    if not tail.endswith(b"}\n") or foot == 0:
        return None
    try:
        found: dict[str, int] = json.loads(tail[foot + 11 :])
    except ValueError:
        return None
    return found if found.keys() >= {"lines", "covers"} else None
