"""Locks on places of a file, which the kernel frees when their process dies.

They belong to an open file and not to a process: two adapters of one process exclude each other too, and closing
another descriptor of the file loses none. Linux has such locks for single bytes, macOS for whole files, Windows none.
"""

from __future__ import annotations

import os
import struct
import sys
from typing import Final

PLACES: Final = 2 if sys.platform == "linux" else 1
"""How many places there are in a file; a single one is the whole file."""

AVAILABLE: Final = sys.platform != "win32" and not (PLACES > 1 and struct.calcsize("l") != 8)
"""Whether there are such locks here: not on Windows, and not where Python is a 32-bit one on Linux."""


def try_lock(file: int, place: int) -> bool:
    """Lock a place if nobody has it; say whether it is locked now."""
    try:
        _lock(file, place)
    except (BlockingIOError, PermissionError):
        return False
    return True


if sys.platform == "linux":
    import fcntl

    def _request(kind: int, place: int) -> bytes:
        # struct flock of 64-bit Linux: type, whence, start, length, pid
        return struct.pack("hhqqi4x", kind, os.SEEK_SET, place, 1, 0)

    _LOCK: Final = tuple(_request(fcntl.F_WRLCK, place) for place in (0, 1))
    _UNLOCK: Final = tuple(_request(fcntl.F_UNLCK, place) for place in (0, 1))

    def _lock(file: int, place: int) -> None:
        fcntl.fcntl(file, fcntl.F_OFD_SETLK, _LOCK[place])

    def unlock(file: int, place: int) -> None:
        """Give a place back."""
        fcntl.fcntl(file, fcntl.F_OFD_SETLK, _UNLOCK[place])

elif sys.platform != "win32":
    import fcntl

    def _lock(file: int, place: int) -> None:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def unlock(file: int, place: int) -> None:
        """Give a place back."""
        fcntl.flock(file, fcntl.LOCK_UN)

else:

    def _lock(file: int, place: int) -> None:
        pass

    def unlock(file: int, place: int) -> None:
        """Give a place back."""
