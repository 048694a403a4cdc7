"""Being told by the kernel that files in a folder were written to: inotify, which Linux has and Python does not."""

from __future__ import annotations

import os
import sys
from pathlib import Path

_MODIFIED = 0x2  # IN_MODIFY


class Watch:
    """A file descriptor that becomes readable when a file in the folder was written to."""

    def __init__(self, fd: int) -> None:
        self.fd = fd

    def clear(self) -> None:
        """Take note of everything so far."""
        try:
            while os.read(self.fd, 4096):
                pass
        except BlockingIOError:
            return

    def close(self) -> None:
        """Stop watching."""
        os.close(self.fd)


def open_watch(folder: Path) -> Watch | None:
    """A watch on a folder; ``None`` where there is no such thing, or no more of them for this user."""
    if sys.platform != "linux":
        return None
    import ctypes

    libc = ctypes.CDLL(None, use_errno=True)
    fd: int = libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
    if fd < 0:
        return None
    if libc.inotify_add_watch(fd, os.fsencode(folder), _MODIFIED) < 0:
        os.close(fd)
        return None
    return Watch(fd)
