"""``uuid``: new ones from the task's clock and chance."""

from __future__ import annotations

import uuid
from typing import Any

from sequential_adaptor.runners.fetch.virtual._frames import frame
from sequential_adaptor.runners.fetch.virtual._random import take
from sequential_adaptor.runners.fetch.virtual._time import epoch_ns

_GREGORIAN = 0x01B21DD213814000  # 100 ns steps from 1582-10-15 to 1970-01-01
_MULTICAST = 1 << 40  # marks a node that is no network card (RFC 9562, section 6.10)


def replacements() -> dict[str, Any]:
    """The versions that are not functions of their arguments alone."""
    made: dict[str, Any] = {
        "getnode": _getnode,
        "uuid1": _uuid1,
        "uuid4": _uuid4,
        "uuid6": _uuid6,
        "uuid7": _uuid7,
        "uuid8": _uuid8,
    }
    return {name: function for name, function in made.items() if hasattr(uuid, name)}


def _uuid4() -> uuid.UUID:
    return uuid.UUID(bytes=take(16), version=4)


def _uuid1(node: int | None = None, clock_seq: int | None = None) -> uuid.UUID:
    now = epoch_ns()
    if now is None:
        return uuid.uuid1(node, clock_seq)
    steps = now // 100 + _GREGORIAN
    sequence = int.from_bytes(take(2), "big") & 0x3FFF if clock_seq is None else clock_seq & 0x3FFF
    fields = (steps & 0xFFFFFFFF, steps >> 32 & 0xFFFF, steps >> 48 & 0x0FFF, sequence >> 8, sequence & 0xFF)
    return uuid.UUID(fields=(*fields, _getnode() if node is None else node), version=1)


def _uuid6(node: int | None = None, clock_seq: int | None = None) -> uuid.UUID:
    now = epoch_ns()
    if now is None:
        return uuid.uuid6(node, clock_seq)  # type: ignore[attr-defined, no-any-return]  # since Python 3.14
    steps = now // 100 + _GREGORIAN
    sequence = int.from_bytes(take(2), "big") & 0x3FFF if clock_seq is None else clock_seq & 0x3FFF
    number = (steps >> 12) << 80 | 6 << 76 | (steps & 0x0FFF) << 64 | 2 << 62 | sequence << 48
    return uuid.UUID(int=number | (_getnode() if node is None else node & (1 << 48) - 1))


def _uuid7() -> uuid.UUID:
    now = epoch_ns()
    if now is None:
        return uuid.uuid7()  # type: ignore[attr-defined, no-any-return]  # since Python 3.14
    tail = int.from_bytes(take(10), "big")
    number = (now // 1_000_000) << 80 | 7 << 76 | (tail >> 64 & 0x0FFF) << 64 | 2 << 62 | tail & (1 << 62) - 1
    return uuid.UUID(int=number)


def _uuid8(a: int | None = None, b: int | None = None, c: int | None = None) -> uuid.UUID:
    parts = [int.from_bytes(take(8), "big") if part is None else part for part in (a, b, c)]
    number = (parts[0] & (1 << 48) - 1) << 80 | 8 << 76 | (parts[1] & 0x0FFF) << 64 | 2 << 62
    return uuid.UUID(int=number | parts[2] & (1 << 62) - 1)


def _getnode() -> int:
    if frame() is None:
        return uuid.getnode()
    return int.from_bytes(take(6), "big") | _MULTICAST
