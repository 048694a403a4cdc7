"""Writes that survive: the only module that syncs, so that what a commit costs can be counted."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

FOLDER_MODE = 0o700
FILE_MODE = 0o600
TEMPORARY = ".tmp"
_MANY = 16


class Disk:
    """The sync calls of one store, counted: ``data_syncs`` are the moments of commit, ``file_syncs`` all the others."""

    def __init__(self) -> None:
        self.data_syncs = 0
        self.file_syncs = 0

    def sync_data(self, fd: int) -> None:
        """Make what was written to a file of settled size survive a power loss."""
        self.data_syncs += 1
        _datasync(fd)

    def sync(self, fd: int) -> None:
        """Make a file's content and size survive a power loss."""
        self.file_syncs += 1
        _fsync(fd)

    def sync_path(self, path: Path) -> None:
        """Like :meth:`sync`, for a file or a folder (its names) by path."""
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            self.sync(fd)
        finally:
            os.close(fd)

    def sync_paths(self, paths: Sequence[Path]) -> None:
        """Make many files safe; beyond a few by one sync of the whole file system, where there is such a thing."""
        if len(paths) > _MANY and _sync_file_system(paths[0]):
            self.file_syncs += 1
            return
        for path in paths:
            self.sync_path(path)

    def replace(self, path: Path, data: bytes, *, sync: bool) -> None:
        """Put a file in the place of the one before in one step; with ``sync`` its content is safe first."""
        self.replace_all({path: data}, sync=sync)

    def replace_all(self, files: Mapping[Path, bytes], *, sync: bool) -> None:
        """Like :meth:`replace` for many files, each in one step of its own."""
        temporary = {path: path.with_name(f"{path.name}{TEMPORARY}") for path in files}
        few = len(files) <= _MANY
        try:
            for path, data in files.items():
                self._write(temporary[path], data, sync and few)
            if sync and not few:
                self.sync_paths(list(temporary.values()))
            for path in files:
                os.replace(temporary[path], path)
        except OSError:
            for path in temporary.values():
                path.unlink(missing_ok=True)
            raise

    def remove(self, path: Path) -> bool:
        """Take a file away; say whether there was one."""
        try:
            path.unlink()
        except FileNotFoundError:
            return False
        return True

    def _write(self, path: Path, data: bytes, sync: bool) -> None:
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, FILE_MODE)
        try:
            write_all(fd, data)
            if sync:
                self.sync(fd)
        finally:
            os.close(fd)

    def make_folders(self, paths: Iterable[Path]) -> None:
        """Make folders where there are none, so that they survive a power loss."""
        for path in paths:
            if not path.is_dir():
                path.mkdir(mode=FOLDER_MODE, parents=True, exist_ok=True)
                self.sync_path(path.parent)


def _sync_file_system(path: Path) -> bool:
    """``syncfs`` of Linux, which Python does not have; ``False`` where there is none."""
    import ctypes

    try:
        syncfs = ctypes.CDLL(None, use_errno=True).syncfs
    except AttributeError:
        return False
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        if syncfs(fd) != 0:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), str(path))
    finally:
        os.close(fd)
    return True


def write_all(fd: int, data: bytes) -> None:
    """Write all of it: a short write is followed up, and a full disk raises."""
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


def _fsync(fd: int) -> None:
    """On macOS ``fsync`` leaves the data in the drive's cache; ``F_FULLFSYNC`` does not."""
    try:
        import fcntl

        fcntl.fcntl(fd, fcntl.F_FULLFSYNC)  # type: ignore[attr-defined,unused-ignore]  # macOS only
    except (AttributeError, OSError):
        os.fsync(fd)


_datasync = getattr(os, "fdatasync", _fsync)
