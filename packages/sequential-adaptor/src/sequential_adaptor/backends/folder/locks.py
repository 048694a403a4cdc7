"""Locks between processes, which the kernel frees when a process dies."""

from __future__ import annotations

import fcntl
import os
import threading
from pathlib import Path
from types import TracebackType

from sequential_adaptor.backends.folder.disk import FILE_MODE


class FileLock:
    """An exclusive ``flock`` on a file of its own.

    Each has its own open file description, so two adapters in one process exclude one another like two processes do,
    and the threads of one adapter do it by a lock among themselves.
    """

    def __init__(self, path: Path) -> None:
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, FILE_MODE)
        self.threads = threading.Lock()
        """Taken first by each thread of this adapter; by itself it keeps them out, and no other process."""

    @property
    def inode(self) -> int:
        """The number of the file that is locked, wherever its name points by now."""
        return os.fstat(self._fd).st_ino

    def __enter__(self) -> None:
        self.threads.acquire()
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX)
        except BaseException:
            self.threads.release()
            raise

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        fcntl.flock(self._fd, fcntl.LOCK_UN)
        self.threads.release()

    def let_others_in(self) -> None:
        """Let other processes go on already; the threads of this adapter still have to wait."""
        fcntl.flock(self._fd, fcntl.LOCK_UN)

    def close(self) -> None:
        """Forget the file. In a forked child this leaves the parent's lock as it is."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
