"""Write transactions that are shared: what is asked for while one is under way goes into the next one, together."""

from __future__ import annotations

import sqlite3
from collections import deque
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any, Final, Generic, TypeVar

from sequential_adaptor.backends.sqlite.bell import ANNOUNCE, Bell
from sequential_adaptor.backends.sqlite.connection import Thread
from sequential_adaptor.backends.sqlite.failures import translate
from sequential_adaptor.backends.sqlite.turns import Turns
from sequential_adaptor.backends.sqlite.waiting import Patience
from sequential_adaptor.records import time_to_text

T = TypeVar("T")

_LARGEST_GROUP: Final = 256


class Transaction:
    """What a write is given: the connection, and one time for the whole transaction, taken when the lock was had."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.execute = connection.execute
        self.now = datetime.now(UTC)
        self.now_text = time_to_text(self.now)


class Write(Generic[T]):
    """Something to be written, all of it or nothing.

    - ``apply`` runs in the transaction; what it raises undoes this write and no other.
    - ``worthwhile`` says beforehand, without a lock, if there is anything to do; the result is ``otherwise`` if not.
    - ``brings_work`` says that somebody may find work after it.
    """

    __slots__ = ("_error", "_found", "apply", "brings_work", "done", "worthwhile")

    def __init__(
        self,
        apply: Callable[[Transaction], T],
        *,
        brings_work: bool = False,
        worthwhile: Callable[[sqlite3.Connection], bool] | None = None,
        otherwise: T | None = None,
    ) -> None:
        self.apply = apply
        self.brings_work = brings_work
        self.worthwhile = worthwhile
        self.done = False
        self._found: Any = otherwise
        self._error: BaseException | None = None

    @property
    def failed(self) -> bool:
        """Whether it has been tried, and undone."""
        return self._error is not None

    def run(self, transaction: Transaction) -> None:
        """Apply it, and keep what comes of it."""
        self._found = self.apply(transaction)

    def fail(self, error: BaseException) -> None:
        """It was undone, and this is why; the first reason counts."""
        self._error = self._error or error

    def result(self, path: str) -> T:
        """What came of it, or the error."""
        if isinstance(self._error, sqlite3.Error):
            raise translate(self._error, path) from self._error
        if self._error is not None:
            raise self._error
        found: T = self._found
        return found


class Writer:
    """Runs writes in groups, one transaction and one COMMIT each, in the order in which they were asked for."""

    def __init__(self, thread: Thread, turns: Turns, seconds: float, bell: Bell) -> None:
        self._thread = thread
        self._turns = turns
        self._seconds = seconds
        self._bell = bell
        self._waiting: deque[Write[Any]] = deque()

    async def run(self, write: Write[T]) -> T:
        """What the write gives, once it is on disk. A caller that is cancelled stops nothing."""
        self._thread.check()
        self._waiting.append(write)
        await self._thread.call(lambda connection: self._until_done(connection, write))
        return write.result(self._thread.path)

    def _until_done(self, connection: sqlite3.Connection, write: Write[Any]) -> None:
        # Mostly it was part of the group of somebody who came before.
        while not write.done:
            self._run_group(connection)

    def _run_group(self, connection: sqlite3.Connection) -> None:
        group = [self._waiting.popleft() for _ in range(min(len(self._waiting), _LARGEST_GROUP))]
        try:
            worthwhile = [write for write in group if self._is_worthwhile(write, connection)]
            if worthwhile:
                with self._turns.taken():
                    self._commit(connection, worthwhile)
        except BaseException as error:
            for write in group:
                write.fail(error)
        for write in group:
            write.done = True

    def _is_worthwhile(self, write: Write[Any], connection: sqlite3.Connection) -> bool:
        asked = write.worthwhile
        return asked is None or self._patiently(lambda: asked(connection))

    def _patiently(self, action: Callable[[], T]) -> T:
        return Patience(self._thread.path, self._seconds).until_free(action)

    def _commit(self, connection: sqlite3.Connection, group: Sequence[Write[Any]]) -> None:
        self._patiently(lambda: connection.execute("BEGIN IMMEDIATE"))
        try:
            transaction = Transaction(connection)
            if len(group) == 1:
                group[0].run(transaction)
            else:
                for write in group:
                    _run_apart(connection, transaction, write)
            announced = _announce(connection, group)
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise
        if announced is not None:
            self._bell.ring(announced)


def _announce(connection: sqlite3.Connection, group: Sequence[Write[Any]]) -> int | None:
    """Count one announcement, if anything written brings work; the count then."""
    if not any(write.brings_work and not write.failed for write in group):
        return None
    count: int = connection.execute(ANNOUNCE).fetchone()[0]
    return count


def _run_apart(connection: sqlite3.Connection, transaction: Transaction, write: Write[Any]) -> None:
    connection.execute("SAVEPOINT apart")
    try:
        write.run(transaction)
    except Exception as error:
        if not connection.in_transaction:  # a full disk, or worse: SQLite has undone everybody's
            raise
        connection.execute("ROLLBACK TO apart")
        write.fail(error)
    connection.execute("RELEASE apart")
