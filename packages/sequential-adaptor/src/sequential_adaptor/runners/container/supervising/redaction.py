"""Secrets taken out of a stream of bytes, also where one is split over the borders of what is read."""

from __future__ import annotations

import re
from collections.abc import Iterable

HIDDEN = b"***"
SHORTEST = 4
"""Characters; a shorter secret could not be hidden without hiding half of the output."""
_SHORTEST_LINE = 8


class Redactor:
    """Gives a stream back with ``***`` for each secret; of a secret of several lines, for its longer lines as well.

    The longest secret that fits is taken. What may be the beginning of one is held back until more is known.
    """

    def __init__(self, secrets: Iterable[str]) -> None:
        self._secrets = sorted(_patterns(secrets), key=len, reverse=True)
        self._pattern = re.compile(b"|".join(map(re.escape, self._secrets))) if self._secrets else None
        self._held = b""

    def feed(self, chunk: bytes) -> bytes:
        """The next part of the stream, as far as it is certain."""
        if self._pattern is None:
            return chunk
        data = self._held + chunk
        certain, at = self._certain(data), 0
        out = bytearray()
        for match in self._pattern.finditer(data):
            if match.start() >= certain:
                break
            out += data[at : match.start()] + HIDDEN
            at = match.end()
        cut = max(at, certain)
        self._held = data[cut:]
        return bytes(out + data[at:cut])

    def rest(self) -> bytes:
        """The end of the stream."""
        held, self._held = self._held, b""
        return held if self._pattern is None else self._pattern.sub(HIDDEN, held)

    def text(self, text: str) -> str:
        """A text by itself."""
        if self._pattern is None:
            return text
        return self._pattern.sub(HIDDEN, text.encode("utf-8", "surrogateescape")).decode("utf-8", "surrogateescape")

    def _certain(self, data: bytes) -> int:
        """The first place from which on the data may be the beginning of a secret."""
        earliest = len(data)
        for secret in self._secrets:
            at = data.find(secret[:1], max(0, len(data) - len(secret) + 1))
            while 0 <= at < earliest:
                if secret.startswith(data[at:]):
                    earliest = at
                    break
                at = data.find(secret[:1], at + 1)
        return earliest


def _patterns(secrets: Iterable[str]) -> set[bytes]:
    found = set()
    for secret in secrets:
        whole = secret.encode("utf-8", "surrogateescape")
        found |= {whole, *(line for line in whole.splitlines() if len(line) >= _SHORTEST_LINE)}
    return found - {b""}
