"""One connection on a thread of its own, which runs whole transactions: one hop there and back for each.

This is the only module that touches aiosqlite. Its public methods cost a hop a statement, and one that is under way
when its event loop closes ends the thread. ``Connection._tx`` is the queue that they all put functions into, each with
a future or ``None``: with ``None`` the answer is our own affair. The range of versions in pyproject.toml and
tests/test_connection.py pin it.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import sqlite3
import threading
import weakref
from collections.abc import Callable, Sequence
from typing import Final, TypeVar

from aiosqlite import Connection

from sequential_adaptor.backends.sqlite.answers import Answer, give
from sequential_adaptor.backends.sqlite.failures import translate
from sequential_adaptor.backends.sqlite.waiting import Patience
from sequential_adaptor.errors import StorageClosed, StorageError, StorageUnavailable

T = TypeVar("T")


class Thread:
    """A connection and the thread that owns it. It may be called from any event loop, and not after a fork."""

    def __init__(self, path: str, name: str, seconds: float, forked: Callable[[], None]) -> None:
        self.path = path
        self._name = name
        self._seconds = seconds
        self._forked = forked
        self._connection: Connection | None = None
        self._process = 0
        self._file: tuple[int, int] | None = None
        self._giving_up: threading.Thread | None = None

    @property
    def is_open(self) -> bool:
        """Whether it was opened, and not closed."""
        return self._connection is not None

    async def open(self, connect: Callable[[], sqlite3.Connection], last: Callable[[sqlite3.Connection], None]) -> None:
        """Make the connection, on its thread; ``last`` closes one that is made when nobody waits for it any more."""
        if _file_at(self.path) in _INHERITED:
            raise StorageError(
                f"{self.path} was open when this process was forked from another one, and SQLite would lose what is "
                "written here. Close it before the fork, or start processes by `spawn`"
            )
        if self._giving_up is not None:
            await asyncio.to_thread(self._giving_up.join)
        made: list[sqlite3.Connection] = []

        def make() -> sqlite3.Connection:
            made.append(connect())
            return made[0]

        connection = Connection(make, 64)
        # A program that forgets to close ends all the same: SQLite takes that for what it is, a process that died.
        connection._thread.daemon = True
        try:
            self._connection = await connection
        except Exception as error:
            # It is ending, and has a last word for this event loop, which may be closed a moment from now.
            connection._thread.join()
            if isinstance(error, sqlite3.Error):
                raise translate(error, self.path) from error
            raise
        except asyncio.CancelledError:
            self._giving_up = threading.Thread(target=_give_up, args=(connection, made, last), daemon=True)
            self._giving_up.start()
            raise
        self._process = os.getpid()
        self._file = _file_at(self.path)
        _OPEN.add(self)

    def post(self, function: Callable[[sqlite3.Connection], None]) -> None:
        """Have ``function`` called with the connection, after what was posted before; it must not raise."""
        connection = self._usable()
        raw = connection._conn
        connection._tx.put_nowait((None, lambda: function(raw)))

    async def call(self, function: Callable[[sqlite3.Connection], T]) -> T:
        """What ``function`` gives for the connection. It goes on to its end where the caller is cancelled."""
        answer = Answer[T]()

        def run(connection: sqlite3.Connection) -> None:
            answer.settle(lambda: function(connection))
            give([answer])

        self.post(run)
        try:
            return await answer.future
        except sqlite3.Error as error:
            raise translate(error, self.path) from error

    async def read(self, function: Callable[[sqlite3.Connection], T]) -> T:
        """Like :meth:`call`, and again where SQLite is busy, as it is for a moment when a file is opened or closed."""

        def patiently(connection: sqlite3.Connection) -> T:
            self.check_file()
            return Patience(self.path, self._seconds).until_free(lambda: function(connection))

        return await self.call(patiently)

    async def close(self, last: Callable[[sqlite3.Connection], None]) -> None:
        """Do one last thing, and close; what was asked for before is done before."""
        if self._connection is None or self._process != os.getpid():
            self._connection = None
            return
        connection = self._connection
        try:
            await self.call(last)
        finally:
            self._connection = None
            await connection.close()

    def check(self) -> None:
        """Raise what says why it cannot be called, where it cannot."""
        self._usable()

    def check_file(self) -> None:
        """Raise where its file was deleted or replaced: SQLite goes on in one that nobody else will ever see."""
        if self._file is not None and _file_at(self.path, otherwise=self._file) != self._file:
            raise StorageUnavailable(
                f"{self.path} is not the file any more that was opened: it was deleted or replaced. Nothing was "
                "written; put it back, or end this process and start it again"
            )

    def abandon(self) -> None:
        """Never touch the connection again: SQLite forbids it in the child of a fork, where closing counts as well."""
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(self._connection))
        if self._connection is not None and self._file is not None:
            _INHERITED.add(self._file)
        self._forked()

    def _usable(self) -> Connection:
        if self._connection is None:
            raise StorageClosed(self._name)
        if self._process != os.getpid():
            raise StorageError(
                f"this {self._name} was opened in process {self._process}, before a fork; close it before the fork and "
                "open one in each process, or start processes by `spawn`"
            )
        return self._connection


def _give_up(
    connection: Connection, made: Sequence[sqlite3.Connection], last: Callable[[sqlite3.Connection], None]
) -> None:
    connection._thread.join()
    for one in made:
        with contextlib.suppress(sqlite3.Error, StorageError):
            last(one)


def _file_at(path: str, *, otherwise: tuple[int, int] | None = None) -> tuple[int, int] | None:
    """Which file has that path; ``None`` where there is none, and ``otherwise`` where it cannot be said: a process
    that has given up its rights may not look.
    """
    if os.name != "posix":  # elsewhere an open file keeps its name
        return None
    try:
        found = os.stat(path)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError:
        return otherwise
    return found.st_dev, found.st_ino


_OPEN: Final = weakref.WeakSet[Thread]()

_INHERITED: Final = set[tuple[int, int]]()
"""The files that were open at the fork which made this process.

SQLite keeps in memory which locks it has on a file, and a fork copies that, but not the locks: a new connection here
would take itself for one that holds them. Who closes the file elsewhere is the last one then, and removes the log that
is still written to here.
"""


def _after_fork() -> None:
    for thread in list(_OPEN):
        thread.abandon()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
