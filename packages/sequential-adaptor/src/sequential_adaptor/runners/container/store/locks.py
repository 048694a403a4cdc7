"""Locks of the kernel: free when the process that holds them is gone, however it went."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def shared(path: Path) -> Iterator[None]:
    """Hold what ``exclusive`` waits for: objects that are in use stay."""
    with _locked(path, fcntl.LOCK_SH):
        yield


@contextmanager
def exclusive(path: Path) -> Iterator[None]:
    """Be alone, once all that hold it are done."""
    with _locked(path, fcntl.LOCK_EX):
        yield


@contextmanager
def exclusive_if_free(path: Path) -> Iterator[bool]:
    """Be alone if that is possible at once, and say whether it is."""
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        yield try_lock(fd)
    finally:
        os.close(fd)


def try_lock(fd: int) -> bool:
    """Take the lock of an open file or folder, where nobody has it, until it is closed."""
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


@contextmanager
def _locked(path: Path, how: int) -> Iterator[None]:
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(fd, how)
        yield
    finally:
        os.close(fd)
