"""The store: locks, journal and state of one folder, and the order in which they are used.

Lock order: the files lock, then the commit lock, then ``state.lock``. ``state.lock`` is never held during a sync.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

from sequential_adaptor.backends.folder import index
from sequential_adaptor.backends.folder.disk import Disk
from sequential_adaptor.backends.folder.drafts import Draft
from sequential_adaptor.backends.folder.entries import Entry
from sequential_adaptor.backends.folder.index import Index
from sequential_adaptor.backends.folder.journal import Journal
from sequential_adaptor.backends.folder.locks import FileLock
from sequential_adaptor.backends.folder.paths import Paths
from sequential_adaptor.backends.folder.rebuild import rebuild
from sequential_adaptor.backends.folder.state import State
from sequential_adaptor.errors import StorageDamaged, StorageError

_PATIENCE = 5.0
T = TypeVar("T")


class Store:
    """One process's hold on a folder."""

    def __init__(self, base: Path, *, power: bool) -> None:
        self.paths = Paths(base)
        self.disk = Disk()
        self.disk.make_folders(self.paths.folders)
        self.state = State(self.paths)
        self.journal = Journal(self.paths, self.disk, power=power)
        self.commit_lock = FileLock(self.paths.commit_lock)
        self.files_lock = FileLock(self.paths.files_lock)
        self.on_news: Callable[[], None] = lambda: None
        """Called, in whichever thread, when records have changed."""
        self._writing = False
        self._broken: StorageError | None = None
        self._behind = False
        """Whether something that was read or written has not been taken in, and the state has to be made anew."""

    # ---- opening

    def open(self) -> None:
        """Make the store where there is none, and read it."""
        with self.commit_lock:
            found = self._prepare()
        self._load(found)
        with self.commit_lock, self.state.lock:
            self._follow(locked=True)
            self.journal.check_end()

    def _prepare(self) -> Index:
        """The index; made again where it is missing or older than the journal."""
        segments = self.paths.segments()
        found = index.load_if_good(self.paths.index)
        if found is None or (segments and segments[0] > found.covers + 1):
            rebuild(self.paths, self.disk, segments)
            found = index.load(self.paths.index)
        if not segments:
            if found.covers > 0:
                raise StorageDamaged(
                    f"{self.paths.store}: the journal is gone. Restore the folder from a backup; or delete it to go on"
                    " from the readable files, which may lack what was written in the last second"
                )
            self.journal.create(1)
        return found

    def _load(self, found: Index) -> None:
        """Begin with the index, at the beginning of what it does not cover."""
        deadline = time.monotonic() + _PATIENCE
        while not self._open_segment(found.covers + 1):
            before, found = found, index.load(self.paths.index)
            if found.covers > before.covers:  # another process has just covered more of it
                deadline = time.monotonic() + _PATIENCE
            elif time.monotonic() > deadline:
                raise self._gone(found.covers + 1)
            else:
                time.sleep(0.01)
        self.state.reset(found)

    def _gone(self, generation: int) -> StorageDamaged:
        return StorageDamaged(
            f"{self.paths.segment(generation)}: this part of the journal is gone. Restore it from a backup; or delete"
            f" the folder {self.paths.store} to go on from the readable files, which may lack what was written last"
        )

    def _open_segment(self, generation: int) -> bool:
        try:
            self.journal.open(generation)
        except FileNotFoundError:
            return False
        return True

    def close(self) -> None:
        """Give back all files. In a forked child, too."""
        self.journal.close()
        self.commit_lock.close()
        self.files_lock.close()

    # ---- reading

    def refresh(self) -> None:
        """Take in what other processes have written. Needs ``state.lock``.

        Where :attr:`suspect` is set afterwards, only a write can tell whether there is more.
        """
        self._check_whole()
        if not self._writing and (self._behind or self.journal.has_news()):
            self._follow(locked=False)

    @contextmanager
    def settled(self) -> Iterator[None]:
        """``state.lock``, with all that is in the journal taken in. A write of this process that is being synced is
        waited for: meanwhile nothing is taken in, and files made of the state might be older than those of others.
        """
        with self.commit_lock.threads, self.state.lock:
            self.refresh()
            yield

    @property
    def suspect(self) -> bool:
        """Whether there is a line behind the last good one, which may be damaged."""
        return self.journal.suspect

    def _follow(self, *, locked: bool) -> None:
        news = self._behind
        if self._behind:
            self._load(index.load(self.paths.index))
        self._behind = True  # until all of it is taken in: what fails on the way (too many open files) is not skipped
        try:
            for generation, body in self.journal.follow(locked=locked):
                entry = self._decode(body)
                self._apply(entry, generation)
                news = news or entry.is_news
        except FileNotFoundError:  # so far behind that the rest was covered meanwhile
            if index.load(self.paths.index).covers <= self.journal.generation:
                raise self._gone(self.journal.generation + 1) from None
            self._follow(locked=locked)
            news = True
        self._behind = False
        self._check_found()
        if news:
            self.on_news()

    def _check_found(self) -> None:
        try:
            self.state.check_found()
        except StorageDamaged as error:
            self._broken = error
            raise

    def _decode(self, body: bytes) -> Entry:
        try:
            return Entry.decode(body)
        except StorageError as error:
            self._broken = error
            raise

    def _apply(self, entry: Entry, generation: int, *, own: bool = False) -> None:
        try:
            self.state.apply(entry, generation, own=own)
        except StorageError as error:
            self._broken = error
            raise
        except BaseException:
            self._behind = True
            raise

    def reading(self, read: Callable[[], T]) -> T:
        """What ``read`` gives. Files that another process has removed meanwhile are no damage: their run is deleted,
        which a look at the journal tells. Not to be called under ``state.lock``.
        """
        try:
            return read()
        except StorageDamaged:
            self.write(lambda _: ([], False))
            return read()

    def _check_whole(self) -> None:
        """Raise where what is in memory is not what is stored: an entry could not be taken in, or may not be safe."""
        if self._broken is not None:
            raise type(self._broken)(str(self._broken)) from self._broken
        self.journal.check_usable()

    # ---- writing

    def write(self, plan: Callable[[Draft], tuple[list[Entry], bool]]) -> None:
        """Write the entries that ``plan`` makes of a draft; they are durable when this returns, if it said so."""
        with self.commit_lock:
            entries = self._write(plan)
        if any(entry.is_news for entry in entries):
            self.on_news()

    def _write(self, plan: Callable[[Draft], tuple[list[Entry], bool]]) -> list[Entry]:
        self.check_place()
        with self.state.lock:
            self._check_whole()
            self._follow(locked=True)
            entries, durable = plan(Draft(self.state, datetime.now(UTC)))
            self._writing = True
        try:
            self.journal.append([entry.encode() for entry in entries])
            self.commit_lock.let_others_in()  # they build on these lines, and their sync is one for these lines too
            if durable:
                self.journal.sync()
            with self.state.lock:
                for entry in entries:
                    self._apply(entry, self.journal.generation, own=True)
        finally:
            self._writing = False
        return entries

    def rotate(self) -> None:
        """Begin a new segment: what is in the others can then be covered. Takes the commit lock."""
        with self.commit_lock:
            self.check_place()
            with self.state.lock:
                self._follow(locked=True)
                self._writing = self._behind = True
            try:
                self.journal.rotate()
                self._behind = False
            finally:
                self._writing = False

    def alone(self, work: Callable[[], T]) -> T:
        """Do something with files of its own under the commit lock."""
        with self.commit_lock:
            self.check_place()
            return work()

    def check_place(self) -> None:
        """Raise where the folder was removed or replaced while it was open: a commit would go nowhere, and files
        would be written over those of others.
        """
        try:
            same = os.stat(self.paths.commit_lock).st_ino == self.commit_lock.inode
        except FileNotFoundError:
            same = False
        if not same:
            raise StorageError(
                f"{self.paths.store} was removed or replaced while it was open; close the store and open it again"
            )
