"""The journal: segments of checked lines, appended under the commit lock, followed without it.

A segment is filled with NUL in advance, so a commit overwrites a settled file (one write to the disk, no change of
size), a full disk shows before anything is written, and a file that was cut off no longer ends in NUL.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Iterator, Sequence

from sequential_adaptor.backends.folder.disk import Disk
from sequential_adaptor.backends.folder.lines import Line, is_unfinished, make_line, read_line
from sequential_adaptor.backends.folder.paths import Paths
from sequential_adaptor.errors import StorageDamaged, StorageError

FORMAT = 1
_FILL = 256 * 1024
_READ = 64 * 1024
_PEEK = 4096
_log = logging.getLogger("sequential_adaptor.folder")


class Journal:
    """One process's view of the journal: what it has read lies before ``position`` of segment ``generation``."""

    def __init__(self, paths: Paths, disk: Disk, *, power: bool) -> None:
        self._paths, self._disk, self._power = paths, disk, power
        self._fd = -1
        self._failed: OSError | None = None
        self.generation = 0
        self.position = 0
        self.durable = 0
        self.suspect = False
        """Set when reading without the lock stopped at a line that only a reader with the lock can judge."""

    # ---- opening

    def create(self, generation: int) -> None:
        """Make an empty segment, safe before its name is there."""
        head = make_line(generation, 0, 0, _head(generation))
        self._disk.replace(self._paths.segment(generation), head.ljust(_FILL, b"\0"), sync=True)
        self._disk.sync_path(self._paths.store)

    def open(self, generation: int) -> None:
        """Read from the beginning of a segment on; ``FileNotFoundError`` where it is gone."""
        fd = os.open(self._paths.segment(generation), os.O_RDWR | os.O_CLOEXEC)
        self.close()
        self._fd, self.generation, self.position, self.durable = fd, generation, 0, 0

    def close(self) -> None:
        """Forget the segment."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    # ---- reading

    def has_news(self) -> bool:
        """Whether something was written behind ``position``: one small read."""
        found = os.pread(self._fd, 1, self.position)
        return found not in (b"\0", b"") or self.suspect

    def follow(self, *, locked: bool) -> Iterator[tuple[int, bytes]]:
        """The entries written since, by whomever, each with its generation.

        Without the lock it stops where somebody may be writing. With it nobody is: an unfinished write is wiped
        away (it was never acknowledged), and anything else that is not a good line is :class:`StorageDamaged`.
        """
        while (lines := self._read_lines()) or (locked and self._mend(_PEEK)):
            for line in lines:
                if line.body.startswith(b"{"):
                    yield self.generation, line.body
            if lines and lines[-1].body.startswith(b"next "):
                self.open(int(lines[-1].body[5:]))
        self.suspect = False
        if not locked and self.has_news():
            self.suspect = b"\n" in os.pread(self._fd, _READ, self.position)

    def check_end(self) -> None:
        """Judge everything behind the last line, as :meth:`follow` does for what follows it closely. Needs the lock."""
        self._mend(os.fstat(self._fd).st_size)

    def _read_lines(self) -> list[Line]:
        """The good lines of the next piece; at least one where there is one, however long."""
        size = _READ
        while True:
            data = os.pread(self._fd, size, self.position)
            lines = self._split(data)
            if lines or len(data) < size or b"\0" in data:
                return lines
            size *= 4

    def _split(self, data: bytes) -> list[Line]:
        lines: list[Line] = []
        start, base = 0, self.position
        while data[start : start + 1] not in (b"", b"\0"):
            line = read_line(data, start, self.generation, base)
            if line is None or data[line.end - 1 - base : line.end - base] != b"\n":
                break
            if base + start == 0:
                _check_head(line.body, self._paths.segment(self.generation))
            lines.append(line)
            start = line.end - base
        if lines:
            self.position = lines[-1].end
            self.durable = max(self.durable, lines[-1].durable)
        return lines

    def _mend(self, reach: int) -> bool:
        """Judge what is behind the last good line; whether that made a good line of it."""
        size = os.fstat(self._fd).st_size
        if size <= self.position:
            raise self._cut(size)
        if os.pread(self._fd, reach, self.position).strip(b"\0") == b"":
            return False
        rest = os.pread(self._fd, size - self.position, self.position)
        if not rest.endswith(b"\0"):
            raise self._cut(size)
        line = read_line(rest, 0, self.generation, self.position)
        if line is not None and rest[line.end - 1 - self.position :].strip(b"\0") == b"":
            os.pwrite(self._fd, b"\n", line.end - 1)  # only its newline was not written
            return True
        if not is_unfinished(rest, self.generation, self.position):
            raise self._damaged(f"the line at byte {self.position} does not match its checksum")
        found = rest.rstrip(b"\0")
        _log.warning(
            "%s: wiped away an unfinished write of %d bytes at byte %d; it was never acknowledged",
            self._paths.segment(self.generation),
            len(found),
            self.position,
        )
        os.pwrite(self._fd, bytes(len(found)), self.position)
        return False

    def _cut(self, size: int) -> StorageDamaged:
        return self._damaged(f"it was cut off at byte {size}: the NUL bytes that end a segment are missing")

    def _damaged(self, what: str) -> StorageDamaged:
        path = self._paths.segment(self.generation)
        return StorageDamaged(
            f"{path}: {what}. Restore the file from a backup; or delete the folder {self._paths.store} to go on from"
            " the readable files, which may lack what was written in the last second"
        )

    # ---- writing: all of it but :meth:`sync` needs the lock, and everything followed

    def append(self, bodies: Sequence[bytes]) -> None:
        """Write lines behind the last one. On an error none of them is there, and the journal goes on; or some may be,
        and it is refused from then on.
        """
        self.check_usable()
        offset, lines = self.position, []
        for body in bodies:
            lines.append(make_line(self.generation, offset, self.durable, body))
            offset += len(lines[-1])
        try:
            self._make_room(offset + 1)
            self._write(lines)
        except OSError as error:
            self.check_usable()
            raise StorageError(f"{self._paths.segment(self.generation)}: nothing was written: {error}") from error
        self.position = offset

    def sync(self) -> None:
        """Make everything up to ``position`` safe from power loss, where that is not known yet.

        When the disk fails to, nobody knows what it has: every further write is refused until the store is opened
        again.
        """
        self.check_usable()
        if self._power and self.durable < self.position:
            self._sync()

    def check_usable(self) -> None:
        """Raise when a sync has failed before."""
        if self._failed is not None:
            raise StorageError(
                f"{self._paths.segment(self.generation)}: the disk failed to store a commit ({self._failed});"
                " close the store and open it again to see what is there"
            ) from self._failed

    def rotate(self) -> None:
        """Begin the next segment."""
        self.check_usable()  # else the next one may have been begun already, and others write to it
        following = self.generation + 1
        self.create(following)
        self.append([b"next %d" % following])
        self._sync()  # also with durability="process": what follows stands in another file
        self.open(following)

    def _sync(self) -> None:
        try:
            self._disk.sync_data(self._fd)
        except OSError as error:
            self._failed = error
            self.check_usable()
        self.durable = self.position

    def _make_room(self, end: int) -> None:
        size = os.fstat(self._fd).st_size
        if end <= size:
            return
        _pwrite(self._fd, bytes((end - size + _FILL - 1) // _FILL * _FILL), size)
        self._disk.sync(self._fd)

    def _write(self, lines: Sequence[bytes]) -> None:
        data = b"".join(lines)
        try:
            _pwrite(self._fd, data, self.position)
        except OSError as error:
            if os.pread(self._fd, len(lines[0]), self.position) == lines[0]:
                self._failed = error  # others read without the lock: what they may have taken in is not taken back
            else:
                self._wipe(len(data), error)
            raise

    def _wipe(self, length: int, error: OSError) -> None:
        """Take back a write that failed half-way; where even that fails, only reopening can tell what is there."""
        try:
            _pwrite(self._fd, bytes(length), self.position)
        except OSError:
            self._failed = error


def _pwrite(fd: int, data: bytes, offset: int) -> None:
    view = memoryview(data)
    while view:
        count = os.pwrite(fd, view, offset)
        view, offset = view[count:], offset + count


def _head(generation: int) -> bytes:
    return b"head " + json.dumps({"generation": generation, "format": FORMAT}).encode("ascii")


def _check_head(body: bytes, path: object) -> None:
    found = json.loads(body.removeprefix(b"head ")) if body.startswith(b"head ") else {}
    if found.get("format") != FORMAT:
        raise StorageError(
            f"{path} has format {found.get('format')!r}, and this version reads {FORMAT}: "
            'try pip install --upgrade "sequential-adaptor"'
        )
