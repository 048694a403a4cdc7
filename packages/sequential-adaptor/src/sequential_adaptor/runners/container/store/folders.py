"""Folders of a work directory that are written to: always by open folder and name, never through a link."""

from __future__ import annotations

import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager

_PATH_FLAGS = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC
_OWNER = 0o700
_DEEPEST = 100


@contextmanager
def entered(folder: int, name: bytes) -> Iterator[int]:
    """A folder to be read and written, whatever its bits say; it has them again afterwards."""
    handle = os.open(name, _PATH_FLAGS | os.O_DIRECTORY, dir_fd=folder)
    try:
        mode = stat.S_IMODE(os.fstat(handle).st_mode)
        if mode & _OWNER != _OWNER:
            os.chmod(_by_handle(handle), mode | _OWNER)
        fd = os.open(_by_handle(handle), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            yield fd
            if mode & _OWNER != _OWNER:
                os.chmod(_by_handle(handle), mode)
        finally:
            os.close(fd)
    finally:
        os.close(handle)


def set_mode(folder: int, name: bytes, mode: int) -> None:
    """Give a file or folder, which is no link, its permission bits; a folder keeps the setgid bit of its place."""
    handle = os.open(name, _PATH_FLAGS, dir_fd=folder)
    try:
        now = os.fstat(handle).st_mode
        kept = now & stat.S_ISGID if stat.S_ISDIR(now) else 0
        if not stat.S_ISLNK(now) and stat.S_IMODE(now) != mode | kept:
            os.chmod(_by_handle(handle), mode | kept)
    finally:
        os.close(handle)


def set_time(folder: int, name: bytes, mtime: int) -> None:
    """Give anything, a link too, its modification time."""
    os.utime(name, ns=(mtime, mtime), dir_fd=folder, follow_symlinks=False)


def remove(folder: int, name: bytes) -> None:
    """Take away whatever has that name, with all below it, however deep; nothing there is fine."""
    waiting = [name]
    while waiting:
        waiting += _remove(folder, waiting.pop(), folder, 0)


def _remove(folder: int, name: bytes, top: int, depth: int) -> list[bytes]:
    """Take away one name; what was too deep to follow is moved to the top, and its new names are given back.

    Each level costs open files and a frame of the stack, and a command may have nested folders by the thousand.
    """
    try:
        os.unlink(name, dir_fd=folder)
        return []
    except FileNotFoundError:
        return []
    except (IsADirectoryError, PermissionError):
        if not stat.S_ISDIR(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode):
            raise
    if depth >= _DEEPEST:
        moved = b".removed-" + secrets.token_hex(8).encode()
        with entered(folder, name):
            os.rename(name, moved, src_dir_fd=folder, dst_dir_fd=top)
        return [moved]
    lifted = []
    with entered(folder, name) as inside:
        for below in os.listdir(inside):
            lifted += _remove(inside, os.fsencode(below), top, depth + 1)
    os.rmdir(name, dir_fd=folder)
    return lifted


def _by_handle(fd: int) -> str:
    """A path for what only has a handle: it leads to that very file, whatever its name stands for by now."""
    return f"/proc/self/fd/{fd}"
