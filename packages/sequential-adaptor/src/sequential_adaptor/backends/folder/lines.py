"""The lines of a journal: how one is made, checked, and told apart from one that was never finished.

    <crc32> <length of the body> <durable> <body>\\n

- The checksum covers generation, offset and everything behind itself: a line is good in one place only.
- ``durable`` is an offset up to which the writer knew the segment to be safe from power loss. A damaged line that a
  later one calls durable was acknowledged: that is damage, whatever it looks like.
- A segment is filled with NUL in advance, and a line has none. So a write that was cut off shows: what is missing is
  NUL, from some byte to the end after a kill, in whole sectors after a power loss. Anything else is damage.
"""

from __future__ import annotations

import re
from typing import NamedTuple
from zlib import crc32

SECTOR = 512
_HEAD = re.compile(rb"([0-9a-f]{8}) ([0-9]{1,12}) ([0-9]{1,15}) ")
_LONGEST_HEAD = 8 + 1 + 12 + 1 + 15 + 1


class Line(NamedTuple):
    """A good line: its body, the end of the line, and what its writer knew to be durable."""

    body: bytes
    end: int
    durable: int


def make_line(generation: int, offset: int, durable: int, body: bytes) -> bytes:
    """The line for this place."""
    rest = b"%d %d %s" % (len(body), durable, body)
    return b"%08x %s\n" % (crc32(rest, _seed(generation, offset)), rest)


def read_line(data: bytes, start: int, generation: int, base: int) -> Line | None:
    """The good line at ``data[start:]``, newline apart, where ``data`` begins at offset ``base``; ``None`` for
    anything else.
    """
    head = _HEAD.match(data, start)
    if head is None:
        return None
    end = head.end() + int(head[2])
    if end > len(data) or crc32(data[start + 9 : end], _seed(generation, base + start)) != int(head[1], 16):
        return None
    return Line(data[head.end() : end], base + end + 1, int(head[3]))


def is_unfinished(rest: bytes, generation: int, base: int) -> bool:
    """Whether what follows the last good line is a write that was cut off, and nothing that was ever acknowledged."""
    data = rest.rstrip(b"\0")
    return not _names_durable(data, generation, base) and _is_torn(data, base)


def _names_durable(data: bytes, generation: int, base: int) -> bool:
    """Whether a good line further on calls the place at ``base`` durable."""
    for match in re.finditer(rb"[\n\0](?=[0-9a-f]{8} )", data):
        line = read_line(data, match.end(), generation, base)
        if line is not None and line.durable > base:
            return True
    return False


def _is_torn(data: bytes, base: int) -> bool:
    end = data.find(b"\n")
    first = data if end < 0 else data[:end]
    gaps = [match.span() for match in re.finditer(rb"\0+", first)]
    if gaps:
        return all(_in_sectors(start, stop, base) for start, stop in gaps)
    return end < 0 and not _is_complete(first)


def _in_sectors(start: int, stop: int, base: int) -> bool:
    """Whether a gap is made of whole sectors that were not written (the first may begin with an older line)."""
    return (start == 0 or (base + start) % SECTOR == 0) and (base + stop) % SECTOR == 0


def _is_complete(data: bytes) -> bool:
    """Whether a line without its newline has all the bytes it should have, whatever they are."""
    head = _HEAD.match(data)
    if head is None:
        return len(data) >= _LONGEST_HEAD
    return len(data) >= head.end() + int(head[2])


def _seed(generation: int, offset: int) -> int:
    return crc32(b"%d:%d" % (generation, offset))
