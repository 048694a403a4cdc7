"""What a database would be: rows under keys, transactions that apply whole or not at all, and word of new work."""

from __future__ import annotations

import asyncio
import threading
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TypeAlias, TypeVar

from sequential_adaptor import values
from sequential_adaptor.records import JSON_FIELDS, StackRun, TaskFunction, TaskRun, field_names

Run = TypeVar("Run", TaskRun, StackRun)
Record = TypeVar("Record", TaskRun, StackRun, TaskFunction)
Row: TypeAlias = dict[str, Any]

_REMEMBERED_COMMITS = 10_000


def to_row(record: TaskRun | StackRun | TaskFunction) -> Row:
    """The record as a row: payloads are JSON text, so that nothing is shared with whoever has the record."""
    kind = type(record)
    row = {name: getattr(record, name) for name in field_names(kind)}
    return {name: values.encode(value) if name in JSON_FIELDS[kind] else value for name, value in row.items()}


def from_row(kind: type[Record], row: Row) -> Record:
    """The record that :func:`to_row` made a row of."""
    payloads = JSON_FIELDS[kind]
    return kind(**{name: values.decode(value) if name in payloads else value for name, value in row.items()})


class Store:
    """One store: what a database would keep in tables."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.functions: dict[tuple[str, str], Row] = {}
        self.current: dict[str, str] = {}
        self.keystore: dict[str, str] = {}
        self.commits: OrderedDict[str, None] = OrderedDict()
        self.announced = 0
        self._rows: dict[type, dict[str, Row]] = {TaskRun: {}, StackRun: {}}
        self._waiting: set[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = set()

    @contextmanager
    def transaction(self) -> Iterator[Transaction]:
        """Hold the store alone; what was put is there when the block ends, and nothing of it when it raises."""
        with self.lock:
            transaction = Transaction(self._rows)
            yield transaction
            for record, id in transaction.deleted:
                self._rows[record].pop(id, None)
            for record, rows in transaction.written.items():
                self._rows[record].update(rows)

    def remember(self, commit: str) -> None:
        """Keep the id of a commit, and forget the oldest ones."""
        self.commits[commit] = None
        if len(self.commits) > _REMEMBERED_COMMITS:
            self.commits.popitem(last=False)

    def announce(self) -> None:
        """Wake everybody who waits for work, in whichever event loop they are."""
        with self.lock:
            self.announced += 1
            waiting = list(self._waiting)
        for loop, event in waiting:
            if not loop.is_closed():
                loop.call_soon_threadsafe(event.set)

    async def wait(self, seen: int, timeout: float) -> int:
        """Return when more than ``seen`` announcements were made, or after ``timeout`` seconds; say how many there
        were."""
        place = (asyncio.get_running_loop(), asyncio.Event())
        with self.lock:
            if self.announced > seen:
                return self.announced
            self._waiting.add(place)
        try:
            await asyncio.wait_for(place[1].wait(), timeout)
        except TimeoutError:
            pass
        finally:
            with self.lock:
                self._waiting.discard(place)
        return self.announced


class Transaction:
    """Reads what is stored and what was put before; what is put reaches the store all at once."""

    def __init__(self, rows: dict[type, dict[str, Row]]) -> None:
        self._rows = rows
        self.written: dict[type, dict[str, Row]] = {TaskRun: {}, StackRun: {}}
        self.deleted: list[tuple[type, str]] = []

    def get(self, record: type[Run], id: str) -> Run | None:
        row = self.written[record].get(id) or self._rows[record].get(id)
        return None if row is None else from_row(record, row)

    def all(self, record: type[Run]) -> list[Run]:
        rows = {**self._rows[record], **self.written[record]}
        return [from_row(record, row) for row in rows.values()]

    def put(self, record: TaskRun | StackRun) -> None:
        self.written[type(record)][record.id] = to_row(record)
