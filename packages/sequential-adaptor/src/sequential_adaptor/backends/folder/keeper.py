"""The keeper: writes the readable files a little later than the journal, and cuts the journal when they are safe."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from sequential_adaptor.backends.folder import index
from sequential_adaptor.backends.folder.groups import Group
from sequential_adaptor.backends.folder.listings import listing_line
from sequential_adaptor.backends.folder.record_files import calls_bytes, head_bytes
from sequential_adaptor.backends.folder.store import Store

DELAY = 0.5
"""Seconds from a commit to its readable files."""
SEGMENT = 4 * 1024 * 1024
"""Bytes of journal after which it is cut."""
AGE = 60.0
"""Seconds after which what is in the journal is brought into the files, whoever wrote it."""
_log = logging.getLogger("sequential_adaptor.folder")


@dataclass(frozen=True, slots=True)
class _Part:
    """One file to be written: how its bytes are made, and whether they must be safe before they take the place of
    others.
    """

    group: Group
    number: int
    make: Callable[[], bytes]
    stored: bool


class Keeper:
    """A thread of its own, under the files lock, so that a slow disk holds up nobody's commit."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._wake = threading.Condition(threading.Lock())
        self.has_saved = False
        """Whether this process has written readable files; then it leaves none outdated when it closes."""
        self._written = False
        self._closing = False
        self._checked = time.monotonic()
        self._thread = threading.Thread(target=self._run, name="sequential-folder-keeper", daemon=True)
        self._thread.start()

    def notice(self) -> None:
        """Say that something was committed."""
        if not self._written:
            with self._wake:
                self._written = True
                self._wake.notify()

    def close(self) -> None:
        """End the thread; :meth:`save` is for whoever closes."""
        with self._wake:
            self._closing = True
            self._wake.notify()
        self._thread.join()

    def _run(self) -> None:
        while self._pause():
            try:
                self._work()
            except Exception as error:  # the journal has it all: what failed here is tried again
                _log.warning("the readable files in %s could not be written: %s", self._store.paths.base, error)

    def _pause(self) -> bool:
        with self._wake:
            if not self._written:
                self._wake.wait_for(lambda: self._written or self._closing, AGE)
            self._wake.wait_for(lambda: self._closing, DELAY)
            self._written = False
            return not self._closing

    def _work(self) -> None:
        if self._store.state.unsaved:
            self.save(everything=False)
        journal = self._store.journal
        aged = time.monotonic() - self._checked > AGE and journal.position > 4096
        if journal.position > SEGMENT or aged:
            self._store.rotate()
        if journal.generation > self._store.state.covers + 1:
            self.checkpoint()

    # ---- files

    def save(self, *, everything: bool) -> None:
        """Write the files of what this process has committed; or of all that the journal holds."""
        with self._store.files_lock:
            parts = self._changed(everything=everything)
            self._write(parts, safe=False)
        self.has_saved = self.has_saved or bool(parts)

    def checkpoint(self) -> None:
        """Make the files of all that stands in older segments safe, list them in the index, and drop those segments."""
        store = self._store
        self._checked = time.monotonic()
        with store.files_lock:
            covers = self._covered()
            if covers <= store.state.covers:
                return
            self._write(self._changed(everything=True), safe=True)
            store.disk.sync_path(store.paths.runs)
            self._list(covers)
            for generation in store.paths.segments():
                if generation <= covers:
                    store.paths.segment(generation).unlink(missing_ok=True)

    def _covered(self) -> int:
        """The generations that can be covered now; those that another process covered are dropped from memory first."""
        store = self._store
        with store.state.lock:
            store.refresh()
            already = store.paths.segments()[0] - 1
            if already > store.state.covers:
                store.state.cool(already)
            return store.journal.generation - 1

    def _changed(self, *, everything: bool) -> list[_Part]:
        state = self._store.state
        with state.lock:
            self._store.refresh()
            ids = list(state.warm) if everything else [id for id in state.unsaved if id in state.warm]
            state.unsaved = set()
            return [part for id in ids for part in _take_parts(state.warm[id])]

    def _write(self, parts: list[_Part], *, safe: bool) -> None:
        """Write files; with ``safe`` they survive a power loss when this returns. What fails is as changed as it was."""
        done = 0
        try:
            for part in parts:
                self._write_part(part, safe)
                done += 1
            if safe:
                self._sync_parts()
        except BaseException:
            with self._store.state.lock:
                for part in parts[done:]:
                    part.group.dirty.add(part.number)
                    self._store.state.unsaved.add(part.group.id)
            raise

    def _write_part(self, part: _Part, safe: bool) -> None:
        path, data = self._store.paths.part(part.group.id, part.number), part.make()
        sync = safe or part.stored
        if not _holds(path, data):
            self._store.disk.replace(path, data, sync=sync)
        elif sync:
            self._store.disk.sync_path(path)
        with self._store.state.lock:
            (part.group.unsynced.discard if sync else part.group.unsynced.add)(part.number)

    def _sync_parts(self) -> None:
        state = self._store.state
        with state.lock:
            found = [(group, set(group.unsynced)) for group in state.warm.values() if group.unsynced]
        for group, numbers in found:
            for number in numbers:
                self._store.disk.sync_path(self._store.paths.part(group.id, number))
            with state.lock:
                group.unsynced -= numbers

    # ---- the index

    def _list(self, covers: int) -> None:
        """Put the runs of the journal into the index, and let go of those that are complete in their files."""
        state = self._store.state
        with state.lock:
            lines = {group.id: listing_line(group) for group in state.warm.values() if not group.listed}
            for id in lines:
                state.warm[id].listed = True
        try:
            self._write_index(lines, covers)
        except BaseException:
            with state.lock:
                for id in lines.keys() & state.warm.keys():
                    state.warm[id].listed = False
            raise
        self._settle(lines, covers)

    def _write_index(self, lines: dict[str, bytes], covers: int) -> None:
        store, state = self._store, self._store.state
        with state.lock:
            commits = list(state.unindexed_commits(state.covers, covers))
            runs = len(state.listings.keys() | lines.keys())
        if not index.append(store.paths.index, store.disk, list(lines.values()), commits, covers, runs):
            with state.lock:
                everything = {**state.listings, **lines}
                commits = list(state.commits)[-index.REMEMBERED :]
            index.write(store.paths.index, store.disk, everything.values(), commits, covers)

    def _settle(self, lines: dict[str, bytes], covers: int) -> None:
        state = self._store.state
        with state.lock:
            state.listings.update(lines)
            for id in lines:
                if id in state.warm:
                    state.warm[id].stored = True
            state.cool(covers)


def _take_parts(group: Group) -> Iterable[_Part]:
    """The changed files of a group, as of now: rows are immutable, so their text can be made later, without the lock."""
    for number in sorted(group.dirty):
        if number == 0:
            yield _Part(group, 0, partial(head_bytes, group.id, group.run, group.frame), group.stored)
        else:
            yield _Part(group, number, partial(calls_bytes, group.id, group.part(number)), group.stored)
    group.dirty = set()


def _holds(path: Path, data: bytes) -> bool:
    try:
        return path.stat().st_size == len(data) and path.read_bytes() == data
    except FileNotFoundError:
        return False
