"""Names of files: bytes to the kernel, text to people."""

from __future__ import annotations

import os


def printable(path: str) -> str:
    """The path as text that JSON can hold: a byte that is no text is written ``\\xff``."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def split(path: str | bytes | os.PathLike[str]) -> list[bytes]:
    """The names on the way from the root of a tree; ``.`` and doubled separators say nothing."""
    return [part for part in os.fsencode(path).split(b"/") if part not in (b"", b".")]


def join(folder: str, name: str) -> str:
    """The path of a name in a folder; the root is ``""``."""
    return f"{folder}/{name}" if folder else name
