"""A group: a run and all that belongs to it, in memory as in its files."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from sequential_adaptor.backends.folder.entries import Op
from sequential_adaptor.records import StackRun, TaskRun

CALLS_PER_PART = 200
"""So many calls share a file: a longer history is never rewritten whole."""


class Group:
    """Rows of one run: its record, its root frame, and its calls in the order in which they were stored.

    A call keeps its place, so it stays in the same file for ever; the place of one that moved to another run holds
    ``None``. ``dirty`` are the parts (see :class:`Paths`) that have changed since they were last written;
    ``unsynced`` those written and not yet safe from power loss.
    """

    __slots__ = ("calls", "dirty", "frame", "generation", "id", "listed", "places", "run", "stored", "unsynced")

    def __init__(self, id: str, *, stored: bool) -> None:
        self.id = id
        self.run: TaskRun | None = None
        self.frame: StackRun | None = None
        self.calls: list[StackRun | None] = []
        self.places: dict[str, int] = {}
        self.dirty: set[int] = set() if stored else {0}
        self.unsynced: set[int] = set()
        self.generation = 0
        self.stored = stored
        """Whether its files are the only place of some of it: then they are never replaced by one that is not yet
        safe.
        """
        self.listed = stored
        """Whether the index has its present row."""

    def stack_run(self, id: str) -> StackRun | None:
        """The row of that id."""
        if id == self.id:
            return self.frame
        place = self.places.get(id)
        return None if place is None else self.calls[place]

    def stack_runs(self) -> Iterator[StackRun]:
        """Every stack run, the root frame first."""
        if self.frame is not None:
            yield self.frame
        yield from (row for row in self.calls if row is not None)

    @property
    def parts(self) -> int:
        """How many files its calls take."""
        return -(-len(self.calls) // CALLS_PER_PART)

    def part(self, number: int) -> list[StackRun | None]:
        """The calls of one of them, counted from 1."""
        return self.calls[(number - 1) * CALLS_PER_PART : number * CALLS_PER_PART]

    def apply(self, op: Op) -> StackRun | None:
        """Put or change a row; the new one, where it is a stack run's. ``LookupError``: there is none to be changed."""
        if op.kind is TaskRun:
            self.run = _applied(self.run, op)
            self.dirty.add(0)
            return None
        row: StackRun = _applied(self.stack_run(op.id), op)
        self.put(row)
        return row

    def put(self, row: StackRun) -> None:
        """Put a stack run in its place."""
        if row.id == self.id:
            self.frame = row
            self.dirty.add(0)
            return
        place = self.places.setdefault(row.id, len(self.calls))
        if place == len(self.calls):
            self.calls.append(row)
        else:
            self.calls[place] = row
        self.dirty.add(place // CALLS_PER_PART + 1)

    @property
    def is_empty(self) -> bool:
        """Whether nothing belongs to it: then it has no files, and no line in the index."""
        return self.run is None and self.frame is None and not self.calls

    def clear(self, parts: int) -> None:
        """Take out everything; there may be so many files of calls.

        What was ``unsynced`` stays so: until the files are removed, an index that is being written may name them.
        """
        self.dirty.update(range(max(parts, self.parts) + 1))
        self.run = self.frame = None
        self.calls, self.places = [], {}

    def remove(self, id: str) -> None:
        """Take out a stack run that has moved to another run."""
        if id == self.id:
            self.frame = None
            self.dirty.add(0)
        elif (place := self.places.pop(id, None)) is not None:
            self.calls[place] = None
            self.dirty.add(place // CALLS_PER_PART + 1)


def _applied(row: Any, op: Op) -> Any:
    if op.whole:
        return op.kind(**op.fields)
    if row is None:
        raise LookupError(op.id)
    return row.with_fields(op.fields)
