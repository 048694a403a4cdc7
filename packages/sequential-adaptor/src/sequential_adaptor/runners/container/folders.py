"""Folders that commands have written to: their names, and how they are emptied whatever is in them."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import stat
from collections.abc import Sequence
from pathlib import Path

from sequential_adaptor.runners.container.store.ignoring import ignored


def name_of(work: Path) -> str:
    """A short name for a work directory, the same each time."""
    return hashlib.sha256(os.fsencode(work)).hexdigest()[:16]


def emptied(folder: Path) -> Path:
    """The folder, new and empty, for us alone."""
    remove(folder)
    folder.mkdir(parents=True, mode=0o700)
    return folder


def remove(folder: Path) -> None:
    """Take away a folder and all that is in it, folders without permissions too. Links are not followed."""
    if folder.is_symlink() or (folder.exists() and not folder.is_dir()):
        folder.unlink()
        return
    if not folder.exists():
        return
    try:
        shutil.rmtree(folder)
    except PermissionError:
        _open_up(folder)
        shutil.rmtree(folder)


def leave_out(upper: Path, lower: Path, ignore: Sequence[str]) -> None:
    """Take what is ignored out of the upper folder of an overlay: then the lower one's is what counts."""
    matches = ignored(ignore)
    if matches is None:
        return
    for parent, folders, files in os.walk(upper):
        for name in [*folders, *files]:
            path = Path(parent, name)
            below = path.relative_to(upper)
            # What was deleted has become a file of its own kind here; what it was is known below.
            is_folder = name in folders or (lower / below).is_dir()
            if matches(os.fspath(below), is_folder):
                remove(path)
                if name in folders:
                    folders.remove(name)


def _open_up(folder: Path) -> None:
    """Let us in again where a command has locked us out."""
    with contextlib.suppress(OSError):
        folder.chmod(stat.S_IRWXU)
    with os.scandir(folder) as found:
        inner = [Path(entry.path) for entry in found if entry.is_dir(follow_symlinks=False)]
    for each in inner:
        _open_up(each)
