"""What a command prints: passed on by lines as it comes, and kept up to a limit."""

from __future__ import annotations

import codecs
from collections.abc import Callable, Iterable
from typing import Literal, Self

from sequential_adaptor.runners.container.supervising.redaction import Redactor

Stream = Literal["stdout", "stderr"]

OUTPUT_LIMIT = 1024 * 1024
"""Bytes of each stream that are kept: of longer ones the first and the last half."""
_LONGEST_LINE = 64 * 1024


class Line(str):
    """A line of output, without its end; ``stream`` says which of the two it came by."""

    __slots__ = ("stream",)
    stream: Stream

    def __new__(cls, text: str, stream: Stream) -> Self:
        """A line."""
        line = super().__new__(cls, text)
        line.stream = stream
        return line


OnLine = Callable[[Line], object]


class Output:
    """One stream, read to its end."""

    def __init__(self, stream: Stream, secrets: Iterable[str], limit: int, on_line: OnLine | None) -> None:
        self._stream: Stream = stream
        self._redactor = Redactor(secrets)
        self._kept = Kept(limit)
        self._on_line = on_line
        self._decoder = codecs.getincrementaldecoder("utf-8")("backslashreplace")
        self._line = ""

    def feed(self, chunk: bytes) -> None:
        """More of the stream."""
        self._take(self._redactor.feed(chunk), final=False)

    def end(self) -> None:
        """Nothing more comes."""
        self._take(self._redactor.rest(), final=True)
        if self._line:
            self._pass_on(self._line)
            self._line = ""

    @property
    def text(self) -> str:
        """What is kept, as text; bytes that are not UTF-8 are written out, as in ``\\xff``."""
        return self._kept.content.decode("utf-8", "backslashreplace")

    def _take(self, data: bytes, *, final: bool) -> None:
        self._kept.add(data)
        if self._on_line is None:
            return
        *lines, self._line = (self._line + self._decoder.decode(data, final)).split("\n")
        for line in lines:
            self._pass_on(line)
        while len(self._line) > _LONGEST_LINE:
            self._pass_on(self._line[:_LONGEST_LINE])
            self._line = self._line[_LONGEST_LINE:]

    def _pass_on(self, line: str) -> None:
        if self._on_line is not None:
            self._on_line(Line(line.removesuffix("\r"), self._stream))


class Kept:
    """The first and the last half of a limit's worth of bytes, and a note of what was left out between them."""

    def __init__(self, limit: int) -> None:
        self._half = max(limit // 2, 1)
        self._head = bytearray()
        self._tail = bytearray()
        self._left_out = 0

    def add(self, data: bytes) -> None:
        """More bytes."""
        room = self._half - len(self._head)
        self._head += data[:room] if room > 0 else b""
        self._tail += data[max(room, 0) :]
        if len(self._tail) > 2 * self._half:
            self._shorten()

    @property
    def content(self) -> bytes:
        """What is kept."""
        self._shorten()
        note = b"\n[... %d bytes left out ...]\n" % self._left_out if self._left_out else b""
        return bytes(self._head + note + self._tail)

    def _shorten(self) -> None:
        surplus = len(self._tail) - self._half
        if surplus > 0:
            del self._tail[:surplus]
            self._left_out += surplus
