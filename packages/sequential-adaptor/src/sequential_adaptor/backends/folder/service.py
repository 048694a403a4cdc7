"""What is open while a folder adapter is: the store, its two threads, and the files beside the journal."""

from __future__ import annotations

import logging
import math
import os
import weakref
from datetime import UTC, datetime
from pathlib import Path

from sequential_adaptor.backends.folder.bell import Bell
from sequential_adaptor.backends.folder.disk import Disk
from sequential_adaptor.backends.folder.functions import Functions
from sequential_adaptor.backends.folder.keeper import Keeper
from sequential_adaptor.backends.folder.keys import Keys
from sequential_adaptor.backends.folder.store import Store
from sequential_adaptor.backends.folder.watch import open_watch
from sequential_adaptor.backends.folder.writer import Writer
from sequential_adaptor.errors import StorageError

_WORTH_CUTTING = 256 * 1024
"""A shorter journal is left to the next who opens the store: reading it takes milliseconds."""
_GITIGNORE = "# Journal and index, and secrets; everything else can be kept in git.\n/.store/\n/keystore/\n*.tmp\n"
_GITATTRIBUTES = "# The files carry checksums: their line ends must stay as they are.\n* -text\n"
_log = logging.getLogger("sequential_adaptor.folder")
_open: weakref.WeakSet[Service] = weakref.WeakSet()


class Service:
    """Opened and closed in a thread that may block."""

    def __init__(self, base: Path, *, power: bool) -> None:
        self.pid = os.getpid()
        self.store = Store(base, power=power)
        self.bell = Bell(lambda: open_watch(self.store.paths.store))
        self.store.on_news = self.bell.ring
        try:
            self.store.open()
            with self.store.commit_lock:
                _write_git_files(base, self.store.disk)
        except BaseException:
            self.store.close()
            raise
        self.functions = Functions(self.store.paths, self.store.disk)
        self.keys = Keys(self.store.paths, self.store.disk)
        self.keeper = Keeper(self.store)
        self.writer = Writer(self.store, self.keeper.notice)
        _open.add(self)

    def close(self) -> None:
        """Answer what has been asked for, bring the files up to date, and give everything back."""
        self.writer.close()
        self.keeper.close()
        try:
            self._tidy()
        except (OSError, StorageError) as error:  # nothing is lost: the journal has it all
            _log.warning("the readable files in %s could not be brought up to date: %s", self.store.paths.base, error)
        finally:
            self.store.close()
            self.bell.close()

    def _tidy(self) -> None:
        saving = self.keeper.saving
        if self.store.journal.position > _WORTH_CUTTING:
            self.keeper.checkpoint()
        if saving.has_saved or self.store.state.unsaved:
            saving.save(everything=True)

    def look(self) -> float:
        """Seconds until something becomes due; 0 where something just has, or the journal needs a closer look."""
        state = self.store.state
        with state.lock:
            self.store.refresh()  # rings the bell where another process has written
            now = datetime.now(UTC)
            if self.store.suspect or state.schedule.advance(now):
                return 0.0
            following = state.schedule.next_time()
        return math.inf if following is None else (following - now).total_seconds()


def _write_git_files(base: Path, disk: Disk) -> None:
    """Each whole or not at all: one that was left empty would let secrets into git."""
    for name, text in ((".gitignore", _GITIGNORE), (".gitattributes", _GITATTRIBUTES)):
        path = base / name
        if not path.exists():
            disk.replace(path, text.encode("utf-8"), sync=True)


def _abandon() -> None:
    """In a forked child: let go of the files, so that the child keeps no lock of its parent alive."""
    for service in list(_open):
        service.store.close()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_abandon)
