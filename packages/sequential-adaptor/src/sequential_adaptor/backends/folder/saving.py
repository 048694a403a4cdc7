"""How the readable files and the index are written: from rows as of one moment, in an order that a crash cannot spoil.

- The journal is safe before anything is written to a file that it was told first.
- A file whose run is in the index may be the only place of some of it: it is replaced by one that is safe already.
- The file of a newer run may be torn after a power loss: nobody reads it, for the journal has the run in full.
- The files of a deleted run are removed when the journal that says so is safe, the run's own file last.
- A checkpoint makes all files safe, then lists their runs in the index, then drops the journal that is superfluous now.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from sequential_adaptor.backends.folder import index
from sequential_adaptor.backends.folder.groups import Group
from sequential_adaptor.backends.folder.listings import listing_line, take_line
from sequential_adaptor.backends.folder.record_files import calls_bytes, head_bytes, matches_checksum
from sequential_adaptor.backends.folder.store import Store

_log = logging.getLogger("sequential_adaptor.folder")
_BATCH = 256
"""So many files are made safe together."""


@dataclass(frozen=True, slots=True)
class _Part:
    """One file to be written, and how its bytes are made; ``None`` for one to be removed."""

    group: Group
    number: int
    make: Callable[[], bytes] | None


class Saving:
    """Everything here is done under the files lock: one process at a time, and never an older state over a newer."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._is_sound = False
        self._is_doubtful = False
        self.has_saved = False
        """Whether this process has written readable files; then it leaves none outdated when it closes."""

    def save(self, *, everything: bool = False) -> None:
        """Write the files of what this process has committed; or of all that the journal holds."""
        state = self._store.state
        with self._store.files_lock:
            self._store.check_place()
            with self._store.settled():
                self._heed_others()
                parts = self._take(list(state.warm) if everything else state.unsaved)
                state.unsaved = set()
            self._write(parts, safe=False)
        self.has_saved = self.has_saved or bool(parts)

    def checkpoint(self) -> None:
        """Cover all segments of the journal but the last, unless another process has done it, and drop them."""
        store, state = self._store, self._store.state
        with store.files_lock:
            store.check_place()
            covers = self._coverable()
            if covers <= state.covers:
                return
            with store.settled():
                groups = list(state.warm.values())
                parts = self._take(list(state.warm))
                lines = self._take_lines()
            try:
                self._write(parts, safe=True)
                self._sync_rest(groups)
                store.disk.sync_path(store.paths.runs)
                self._write_index(lines, covers)
            except BaseException:
                self._forget_lines(lines)
                raise
            self._listed(lines, covers)
            for generation in store.paths.segments():
                if generation <= covers:
                    store.disk.remove(store.paths.segment(generation))

    def _coverable(self) -> int:
        """The last generation that can be covered; runs that another process has covered are let go of first."""
        with self._store.settled():
            self._heed_others()
            return self._store.journal.generation - 1

    def _heed_others(self) -> None:
        """Let go of the runs that another process has covered. Those that were written to since may be in the index,
        and their files the only place of what it covers.
        """
        state, paths = self._store.state, self._store.paths
        already = max(index.covered(paths.index), *(generation - 1 for generation in paths.segments()[:1]), 0)
        if already > state.covers:
            state.cool(already)
            for group in state.warm.values():
                group.stored = True

    # ---- files

    def _take(self, ids: Iterable[str]) -> list[_Part]:
        """The changed files of runs, as of now: rows never change, so their text can be made later, unlocked."""
        groups = [group for id in ids if (group := self._store.state.warm.get(id)) is not None]
        return [part for group in groups for part in _take_parts(group)]

    def _write(self, parts: Sequence[_Part], *, safe: bool) -> None:
        """Write files; with ``safe`` they survive a power loss when this returns. What fails stays to be written."""
        done = 0
        try:
            if parts or safe:  # the journal first: what files and index say is never newer than what is safe of it
                self._sync_journal()
            self._remove([part for part in parts if part.make is None])
            for start in range(0, len(parts), _BATCH):
                batch = parts[start : start + _BATCH]
                self._write_batch([part for part in batch if safe or part.group.stored], safe=True)
                self._write_batch([part for part in batch if not (safe or part.group.stored)], safe=False)
                done += len(batch)
        except BaseException:
            with self._store.state.lock:
                for part in parts[done:]:
                    part.group.dirty.add(part.number)
                    self._store.state.unsaved.add(part.group.id)
            raise

    def _write_batch(self, parts: Sequence[_Part], *, safe: bool) -> None:
        files: dict[Path, bytes] = {}
        for part in parts:
            if part.make is not None:
                path, data = self._store.paths.part(part.group.id, part.number), part.make()
                if _is_outdated(path, data, stored=part.group.stored):
                    files[path] = data
        self._store.disk.replace_all(files, sync=safe)
        with self._store.state.lock:
            for part in parts:
                if part.make is None or (safe and self._store.paths.part(part.group.id, part.number) in files):
                    part.group.unsynced.discard(part.number)
                else:
                    part.group.unsynced.add(part.number)

    def _remove(self, parts: Sequence[_Part]) -> None:
        for part in reversed(parts):
            self._store.disk.remove(self._store.paths.part(part.group.id, part.number))

    def _sync_journal(self) -> None:
        """With ``durability="process"`` nobody else does; and what other processes wrote may not be synced yet."""
        paths = self._store.paths
        self._store.disk.sync_paths([paths.segment(generation) for generation in paths.segments()])

    def _sync_rest(self, groups: Iterable[Group]) -> None:
        """Make safe what was written before, or by others."""
        state = self._store.state
        with state.lock:
            found = [(group, set(group.unsynced)) for group in groups if group.unsynced]
        self._store.disk.sync_paths(
            [self._store.paths.part(group.id, part) for group, parts in found for part in parts]
        )
        with state.lock:
            for group, parts in found:
                group.unsynced -= parts

    # ---- the index

    def _take_lines(self) -> dict[str, bytes]:
        """Lines for the index, as of the same moment as the files."""
        groups = [group for group in self._store.state.warm.values() if not group.listed]
        for group in groups:
            group.listed = True
        return {group.id: listing_line(group) for group in groups}

    def _forget_lines(self, lines: dict[str, bytes]) -> None:
        """Have lines taken again next time: they did not get as far as the index."""
        state = self._store.state
        with state.lock:
            for id in lines.keys() & state.warm.keys():
                state.warm[id].listed = False

    def _listed(self, lines: dict[str, bytes], covers: int) -> None:
        """Take note of what the index has, and let go of runs that nothing was written to since."""
        state = self._store.state
        with state.lock:
            for line in lines.values():
                take_line(state.listings, line)
            for id in lines.keys() & state.warm.keys():
                state.warm[id].stored = True
            state.cool(covers)

    def _write_index(self, lines: dict[str, bytes], covers: int) -> None:
        path, disk, state = self._store.paths.index, self._store.disk, self._store.state
        with state.lock:
            commits = list(state.unindexed_commits(state.covers, covers))
            runs = len(state.listings.keys() | lines.keys())
        self._is_sound = self._is_sound or index.is_sound(path)
        before, self._is_doubtful = self._is_doubtful, True  # until it is known to be safe: a sync fails once only
        if self._is_sound and not before and index.append(path, disk, list(lines.values()), commits, covers, runs):
            self._is_doubtful = False
            return
        with state.lock:
            everything = dict(state.listings)
            for line in lines.values():
                take_line(everything, line)
            commits = list(state.unindexed_commits(-1, covers))[-index.REMEMBERED :]  # the journal has the later ones
        index.write(path, disk, everything.values(), commits, covers)
        self._is_sound, self._is_doubtful = True, False


def _take_parts(group: Group) -> Iterable[_Part]:
    for number in sorted(group.dirty):
        if group.is_empty or number > group.parts:
            yield _Part(group, number, None)
        elif number == 0:
            yield _Part(group, 0, partial(head_bytes, group.id, group.run, group.frame))
        else:
            yield _Part(group, number, partial(calls_bytes, group.id, group.part(number)))
    group.dirty = set()


def _is_outdated(path: Path, data: bytes, *, stored: bool) -> bool:
    """Whether a file holds something else; an edit that is about to be lost does not go unsaid."""
    try:
        found = path.read_bytes()
    except FileNotFoundError:
        return True
    if stored and not matches_checksum(found):
        _log.warning("%s was edited or damaged; it is written anew, for its run has moved on since", path)
    return found != data
