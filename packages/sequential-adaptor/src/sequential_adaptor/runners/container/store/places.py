"""Where things lie in a state folder."""

from __future__ import annotations

import os
from pathlib import Path


class Places:
    """The files and folders of one store; all but work directories are for their owner alone."""

    def __init__(self, state: Path) -> None:
        self.state = state
        self.database = state / "layers.db"
        self.lock = state / "lock"
        self.making = state / "lock.new"
        self.packs = state / "packs"
        self.temporary = state / "tmp"
        self.indexes = state / "index"
        self.work = state / "work"
        self.forks = state / "forks"

    def make(self) -> None:
        """Make what is not there."""
        for path in (self.state, self.packs, self.temporary, self.indexes):
            path.mkdir(mode=0o700, parents=True, exist_ok=True)

    def index(self, work: int) -> Path:
        """The stat index of a work directory."""
        return self.indexes / f"{work}.db"


def sync_folder(path: Path) -> None:
    """Make the names in a folder survive a power loss."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
