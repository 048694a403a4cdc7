"""The hold on a work directory: its writer's lock, its row in the index, and what was begun there and not finished."""

from __future__ import annotations

import os
import sqlite3
import stat
from pathlib import Path
from typing import Any, NamedTuple

from sequential_adaptor import values
from sequential_adaptor.runners.container.store.database import Database
from sequential_adaptor.runners.container.store.errors import RefusedDirectory, WorkDirectoryBusy, WorkDirectoryMoved
from sequential_adaptor.runners.container.store.locks import try_lock

_OWNER = 0o700
_REMEDY = "a command has to leave it where it is. Take it again: it is written anew from its head"


class Intention(NamedTuple):
    """Where a work directory is on its way to: the layer ``target`` (``None``: no files).

    It comes from the layer ``source``, by the difference; or, where ``exact``, from whatever it is now, but for what is
    ignored.
    """

    target: str | None
    source: str | None = None
    exact: bool = False
    ignore: tuple[str, ...] = ()


class Hold:
    """A work directory under the lock of this process; the lock is the kernel's, on the folder itself."""

    def __init__(self, path: Path, database: Database) -> None:
        self.path = path
        self._database = database
        _refuse_overlap(path, database)
        self._mode: int | None
        row = database.row("select mode, holder from works where path = ?", (os.fsencode(path),))
        self._mode, holder = row if row is not None else (None, None)
        self.fd = self._open()
        if not try_lock(self.fd):
            os.close(self.fd)
            raise WorkDirectoryBusy(str(path), holder)
        self.id = self._register()

    def close(self) -> None:
        """Give back the lock. Twice is harmless."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1

    @property
    def head(self) -> str | None:
        """The hash of the layer it was last brought to."""
        head: str | None = self._column("head")
        return head

    @property
    def intention(self) -> Intention | None:
        """What was begun and has not ended."""
        text = self._column("intention")
        if text is None:
            return None
        target, source, exact, ignore = values.decode(text)
        return Intention(target, source, exact, tuple(ignore))

    def intend(self, intention: Intention) -> None:
        """Say what is begun, before anything is touched."""
        self._set("intention = ?", _written(intention))

    def arrive(self, head: str | None) -> None:
        """Be at a layer; nothing is under way any more."""
        self._set("head = ?, intention = null", head)

    def point(self, connection: sqlite3.Connection, hash: str, *, in_place: bool) -> None:
        """Within a transaction: be at a new layer, or, where its files are still to be brought, on the way to it."""
        if in_place:
            query, found = "update works set head = ?, intention = null where id = ?", hash
        else:
            query, found = "update works set intention = ? where id = ?", _written(Intention(hash, self.head))
        connection.execute(query, (found, self.id))

    def note_mode(self) -> None:
        """Remember the bits of the folder itself, to give them back after a command that changed them."""
        self._mode = stat.S_IMODE(os.fstat(self.fd).st_mode)
        self._set("mode = ?", self._mode)

    def open_up(self) -> None:
        """Let this user write in the folder itself."""
        now = stat.S_IMODE(os.fstat(self.fd).st_mode)
        if now & _OWNER != _OWNER:
            os.fchmod(self.fd, now | _OWNER)

    def reset_mode(self) -> None:
        """Give the folder its bits again."""
        if self._mode is not None and stat.S_IMODE(os.fstat(self.fd).st_mode) != self._mode:
            os.fchmod(self.fd, self._mode)

    def check(self) -> None:
        """See that the folder is still the one that is locked."""
        if self.fd < 0:
            raise WorkDirectoryMoved(str(self.path), "it was given back; take it again with work_directory()")
        try:
            found = os.stat(self.path)
        except OSError as error:
            raise WorkDirectoryMoved(
                str(self.path), f"it is not there any more ({error.strerror}); {_REMEDY}"
            ) from error
        if not os.path.samestat(found, os.fstat(self.fd)):
            raise WorkDirectoryMoved(str(self.path), f"another folder is in its place; {_REMEDY}")

    def _open(self) -> int:
        self.path.mkdir(parents=True, exist_ok=True)
        flags = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
        try:
            return os.open(self.path, flags)
        except PermissionError:
            if self._mode is None:
                raise
            os.chmod(self.path, self._mode | _OWNER)  # a killed command has locked itself out
            return os.open(self.path, flags)

    def _register(self) -> int:
        path = os.fsencode(self.path)
        with self._database.transaction() as connection:
            connection.execute("insert or ignore into works (path) values (?)", (path,))
            connection.execute("update works set holder = ? where path = ?", (os.getpid(), path))
            (id,) = connection.execute("select id from works where path = ?", (path,)).fetchone()
            connection.execute("delete from pins where work = ?", (id,))
        return int(id)

    def _column(self, name: str) -> Any:
        return self._database.row(f"select {name} from works where id = ?", (self.id,))[0]

    def _set(self, assignments: str, value: object) -> None:
        with self._database.transaction() as connection:
            connection.execute(f"update works set {assignments} where id = ?", (value, self.id))


def unfinished(database: Database) -> list[Path]:
    """The work directories on which something was begun and has not ended."""
    rows = database.rows("select path from works where intention is not null")
    return [Path(os.fsdecode(path)) for (path,) in rows]


def roots(database: Database) -> set[str]:
    """The layers that work directories are at, come from or go to."""
    found: set[str | None] = set()
    for head, text in database.rows("select head, intention from works"):
        found |= {head, *(values.decode(text)[:2] if text is not None else ())}
    return {hash for hash in found if hash is not None}


def _written(intention: Intention) -> str:
    return values.encode([intention.target, intention.source, intention.exact, list(intention.ignore)])


def _refuse_overlap(path: Path, database: Database) -> None:
    for (raw,) in database.rows("select path from works where path <> ?", (os.fsencode(path),)):
        other = Path(os.fsdecode(raw))
        if other.exists() and (path.is_relative_to(other) or other.is_relative_to(path)):
            raise RefusedDirectory(str(path), f"it overlaps the work directory {other}", "use a folder of its own")
