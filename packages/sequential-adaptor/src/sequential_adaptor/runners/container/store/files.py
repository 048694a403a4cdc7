"""One file of a work directory, opened without trust: no link is followed, and nothing but a plain file is opened."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable

from sequential_adaptor.runners.container.store.entries import CHUNKED, NO_ID
from sequential_adaptor.runners.container.store.errors import NotCapturable
from sequential_adaptor.runners.container.store.index import Stat
from sequential_adaptor.runners.container.store.sinks import ShortRead, Sink

CHANGED = "it changed while it was read; is a process still writing to it?"
GONE = "it went away while it was read; is a process still at work there?"
_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY
_FOLDER_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def numbers_of(found: os.stat_result) -> Stat:
    """What the index keeps of a stat."""
    return found.st_mode, found.st_size, found.st_mtime_ns, found.st_ctime_ns, fold(found.st_ino)


def fold(inode: int) -> int:
    """An inode number as a signed one, which SQLite and arrays hold."""
    return inode - (1 << 64) if inode >= 1 << 63 else inode


def take(sink: Sink, folder: int, name: str, path: str, found: Stat) -> bytes:
    """Give what has a name in an open folder, and is no folder itself, to a sink; its id."""
    if stat.S_ISREG(found[0]):
        return take_file(sink, folder, name, path, found)
    if stat.S_ISLNK(found[0]):
        return take_link(sink, folder, name, path)
    if is_device(found[0]):
        raise NotCapturable(path, "it is a device, and layers have none; take it away, or name it in ignore")
    return NO_ID


def take_file(sink: Sink, folder: int, name: str, path: str, expected: Stat) -> bytes:
    """Give the content of a plain file to a sink; the file is as ``expected`` before and after."""
    try:
        fd = os.open(name, _FLAGS, dir_fd=folder)
    except OSError as error:
        raise _failed(path, error) from error
    try:
        if numbers_of(os.fstat(fd)) != expected:
            raise NotCapturable(path, CHANGED)
        id = _take(sink, fd, expected[1])
        if numbers_of(os.fstat(fd)) != expected:
            raise NotCapturable(path, CHANGED)
    except ShortRead as error:
        raise NotCapturable(path, CHANGED) from error
    except OSError as error:
        raise _failed(path, error) from error
    finally:
        os.close(fd)
    return id


def take_link(sink: Sink, folder: int, name: str, path: str) -> bytes:
    """Give the target of a link to a sink."""
    try:
        return sink.blob(os.fsencode(os.readlink(name, dir_fd=folder)))
    except OSError as error:
        raise _failed(path, error) from error


def open_folder(name: str | bytes, folder: int, path: str) -> int:
    """Open a folder to be read; a link to one is none."""
    try:
        return os.open(name, _FOLDER_FLAGS, dir_fd=folder)
    except OSError as error:
        raise _failed(path, error) from error


def is_device(mode: int) -> bool:
    """Whether it is something that no layer keeps."""
    return stat.S_ISBLK(mode) or stat.S_ISCHR(mode)


def _take(sink: Sink, fd: int, size: int) -> bytes:
    if size > CHUNKED:
        return sink.file(_reader(fd), size)
    data = os.read(fd, size + 1) if size else b""
    while len(data) < size:
        more = os.read(fd, size - len(data))
        if not more:
            raise ShortRead
        data += more
    if len(data) > size:
        raise ShortRead
    return sink.blob(data)


def _reader(fd: int) -> Callable[[int], bytes]:
    return lambda count: os.read(fd, count)


def _failed(path: str, error: OSError) -> NotCapturable:
    reasons = {
        errno.ENOENT: GONE,
        errno.ELOOP: CHANGED,
        errno.ENOTDIR: CHANGED,
        errno.ENXIO: CHANGED,
        errno.EACCES: "it may not be read by this user; change its permissions, or name it in ignore",
        errno.EPERM: "it may not be read by this user; change its permissions, or name it in ignore",
    }
    return NotCapturable(path, reasons.get(error.errno or 0, f"it cannot be read ({error.strerror})"))
