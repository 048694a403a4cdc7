"""Write transactions that are shared: what is asked for while one is under way goes into the next one, together."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, Generic, TypeAlias, TypeVar

from sequential_adaptor.backends.sqlite.answers import Answer, give
from sequential_adaptor.backends.sqlite.bell import ANNOUNCE
from sequential_adaptor.backends.sqlite.connection import Thread
from sequential_adaptor.backends.sqlite.failures import translate
from sequential_adaptor.backends.sqlite.memory import Memory
from sequential_adaptor.backends.sqlite.turns import Turns
from sequential_adaptor.backends.sqlite.waiting import Patience
from sequential_adaptor.errors import StorageError
from sequential_adaptor.records import time_to_text

T = TypeVar("T")

_LARGEST_GROUP: Final = 256


class Transaction:
    """What a write is given: the connection, and one time for the whole transaction, taken when the lock was had.

    ``remembered`` is what the memory's ``last`` will be if the transaction is committed.
    """

    __slots__ = ("execute", "memory", "now", "now_text", "remembered")

    def __init__(self, connection: sqlite3.Connection, memory: Memory) -> None:
        self.execute = connection.execute
        self.now = datetime.now(UTC)
        self.now_text = time_to_text(self.now)
        self.memory = memory
        self.remembered = memory.last


@dataclass(frozen=True, slots=True)
class Write(Generic[T]):
    """Something to be written, all of it or nothing.

    - ``apply`` runs in the transaction; what it raises undoes this write and no other. It runs once more, after all
      was undone, where another write of its group fails.
    - ``brings_work`` says that somebody may find work after it.
    - ``worthwhile`` says beforehand, without a lock, if there is anything to do; the result is ``otherwise`` if not.
    """

    apply: Callable[[Transaction], T]
    brings_work: bool = False
    worthwhile: Callable[[sqlite3.Connection], bool] | None = None
    otherwise: T | None = None


_Asked: TypeAlias = tuple[Write[Any], Answer[Any]]


class Writer:
    """Runs writes in groups, one transaction and one COMMIT each, in the order in which they were asked for.

    ``announce`` is told the count of announcements, on the connection's thread, when a transaction brought work.
    """

    def __init__(self, thread: Thread, turns: Turns, seconds: float, announce: Callable[[int], None]) -> None:
        self._thread = thread
        self._turns = turns
        self._seconds = seconds
        self._announce = announce
        self._lock = threading.Lock()
        self._asked: list[_Asked] = []
        self._collected: dict[asyncio.AbstractEventLoop, list[_Asked]] = {}
        self._last_group = 1
        self.memory = Memory()

    async def run(self, write: Write[T]) -> T:
        """What the write gives, once it is on disk. A caller that is cancelled stops nothing."""
        self._thread.check()
        answer = Answer[T]()
        loop = answer.future.get_loop()
        if (collected := self._collected.get(loop)) is not None:
            collected.append((write, answer))
        else:
            self._collected[loop] = [(write, answer)]
            if self._last_group > 1:  # what others ask for now goes along, however soon the thread is ready
                loop.call_soon(self.hand_over, loop)
            else:
                self.hand_over(loop)
        try:
            return await answer.future
        except sqlite3.Error as error:
            raise translate(error, self._thread.path) from error

    def hand_over(self, loop: asyncio.AbstractEventLoop) -> None:
        """Let the thread have what this event loop's tasks have asked for."""
        collected = self._collected.pop(loop, [])
        if not collected:
            return
        try:
            with self._lock:
                if not self._asked:
                    self._thread.post(self._run_asked)
                self._asked += collected
        except StorageError as error:  # it was closed at this moment
            for _, answer in collected:
                answer.fail(error)
                answer.tell()

    def _run_asked(self, connection: sqlite3.Connection) -> None:
        with self._lock:
            asked, self._asked = self._asked, []
        for begin in range(0, len(asked), _LARGEST_GROUP):
            group = asked[begin : begin + _LARGEST_GROUP]
            self._last_group = len(group)
            self._run_group(connection, group)
            give([answer for _, answer in group])

    def _run_group(self, connection: sqlite3.Connection, group: Sequence[_Asked]) -> None:
        try:
            self._thread.check_file()
            group = [asked for asked in group if self._is_worthwhile(asked, connection)]
            if group:
                with self._turns.taken():
                    self._commit(connection, group)
        except BaseException as error:
            for _, answer in group:
                answer.fail(error)

    def _is_worthwhile(self, asked: _Asked, connection: sqlite3.Connection) -> bool:
        write, answer = asked
        if (worthwhile := write.worthwhile) is None:
            return True
        try:
            if self._patiently(lambda: worthwhile(connection)):
                return True
            answer.succeed(write.otherwise)
        except BaseException as error:
            answer.fail(error)
        return False

    def _patiently(self, action: Callable[[], T]) -> T:
        return Patience(self._thread.path, self._seconds).until_free(action)

    def _commit(self, connection: sqlite3.Connection, group: Sequence[_Asked]) -> None:
        try:
            transaction = self._apply(connection, group)
            announced = _announce(connection, group)
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise
        self.memory.last = transaction.remembered
        if announced is not None:
            self._announce(announced)

    def _apply(self, connection: sqlite3.Connection, group: Sequence[_Asked]) -> Transaction:
        """Begin, and do what was asked; what fails is undone by itself. Most groups are written as if nothing could."""
        transaction = self._begin(connection)
        try:
            for write, answer in group:
                answer.succeed(write.apply(transaction))
        except Exception:
            if len(group) == 1 or not connection.in_transaction:
                raise
            connection.execute("ROLLBACK")
            transaction = self._begin(connection)
            _apply_apart(connection, transaction, group)
        return transaction

    def _begin(self, connection: sqlite3.Connection) -> Transaction:
        self._patiently(lambda: connection.execute("BEGIN IMMEDIATE"))
        return Transaction(connection, self.memory)


def _apply_apart(connection: sqlite3.Connection, transaction: Transaction, group: Sequence[_Asked]) -> None:
    for write, answer in group:
        connection.execute("SAVEPOINT apart")
        remembered = transaction.remembered
        try:
            answer.succeed(write.apply(transaction))
        except Exception as error:
            if not connection.in_transaction:  # a full disk, or worse: SQLite has undone everybody's
                raise
            connection.execute("ROLLBACK TO apart")
            transaction.remembered = remembered
            answer.fail(error)
        connection.execute("RELEASE apart")


def _announce(connection: sqlite3.Connection, group: Sequence[_Asked]) -> int | None:
    """Count one announcement, if anything written brings work; the count then."""
    if not any(write.brings_work and not answer.failed for write, answer in group):
        return None
    count: int = connection.execute(ANNOUNCE).fetchone()[0]
    return count
