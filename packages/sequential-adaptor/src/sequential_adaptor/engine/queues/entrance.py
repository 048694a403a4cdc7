"""What is in the lanes of a queue, read no further than somebody has to know."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from sequential_adaptor.engine.queues import passes
from sequential_adaptor.engine.rules import lanes
from sequential_adaptor.lifecycles import STACK_RUN
from sequential_adaptor.records import ROOT_OPERATION, StackRun

if TYPE_CHECKING:
    from sequential_adaptor.storage import StorageAdapter

LEVEL: Final = "priority:"
"""The operation of the records by which a queue knows which priorities are in use, apart from 0."""
_GONE_AT_ONCE: Final = 50
_PAGE: Final = 1_000


@dataclass(frozen=True, slots=True)
class Seen:
    """What a look at a queue shows.

    ``inside`` are those that were admitted and have not ended, ``gone`` some of those that have, ``more_gone`` whether
    there are others. ``priorities`` are those in use, the highest first.
    """

    inside: list[StackRun]
    gone: list[StackRun]
    more_gone: bool
    priorities: list[int]


class Entrance:
    """The lanes of one queue."""

    def __init__(self, store: StorageAdapter, queue_id: str) -> None:
        self._store = store
        self._id = queue_id

    async def seen(self) -> Seen:
        """Who is inside and who has gone, in one query; as many rows as there are of those."""
        names = (lanes.HELD, lanes.CALLED, lanes.RELEASED)
        parents = [self._id, *(lanes.lane(self._id, name) for name in names)]
        rows = await self._store.query_stack_runs({"parent_stack_run_id": parents})
        levels = [row for row in rows if row.parent_stack_run_id == self._id and row.operation.startswith(LEVEL)]
        frames = [row for row in rows if row.parent_stack_run_id != self._id]
        gone = [row for row in frames if passes.has_ended(row)]
        return Seen(
            inside=[row for row in frames if not passes.has_ended(row)],
            gone=gone[:_GONE_AT_ONCE],
            more_gone=len(gone) > _GONE_AT_ONCE,
            priorities=sorted({0, *(int(row.operation.removeprefix(LEVEL)) for row in levels)}, reverse=True),
        )

    async def freed(self, seen: Seen) -> list[StackRun]:
        """For each key that one has given back, the next that waits for it."""
        keys = {key for row in seen.gone if (key := passes.key_of(row)) is not None}
        found = [await self._next_of(key, seen.priorities) for key in sorted(keys)]
        return [row for row in found if row is not None]

    async def waiting(self, seen: Seen, freed: Iterable[StackRun], limit: int) -> list[StackRun]:
        """The first that wait, in their order."""
        found: list[StackRun] = []
        for priority in seen.priorities:
            if len(found) < limit:
                found += await self._first(lanes.waiting(priority), limit - len(found))
        return sorted([*found, *freed], key=passes.order)

    async def keys_held(self, waiting: Iterable[StackRun]) -> set[str]:
        """Which of their keys are held by runs that have left the lanes of those that were admitted."""
        lanes_of_keys = [lanes.lane(self._id, lanes.holding(key)) for key in _keys(waiting)]
        if not lanes_of_keys:
            return set()
        rows = await self._store.query_stack_runs({"parent_stack_run_id": lanes_of_keys})
        return set(_keys(row for row in rows if not passes.has_ended(row)))

    async def everybody(self) -> list[StackRun]:
        """All in any of its lanes that have not ended.

        The lanes of keys cannot be listed, so this reads the frames of all open runs: nothing to be done often.
        """
        found: list[StackRun] = []
        cursor = None
        while True:
            filter = {"operation": ROOT_OPERATION, "status": STACK_RUN.open}
            page = await self._store.query_stack_runs(filter, limit=_PAGE, cursor=cursor)
            found += [row for row in page if lanes.queue_of(row) == self._id]
            cursor = page.cursor
            if cursor is None:
                return found

    async def _next_of(self, key: str, priorities: Iterable[int]) -> StackRun | None:
        for priority in priorities:
            for row in await self._first(lanes.parked(key, priority), 1):
                return row
        return None

    async def _first(self, name: str, limit: int) -> list[StackRun]:
        return await self._store.query_stack_runs({"parent_stack_run_id": lanes.lane(self._id, name)}, limit=limit)


def _keys(rows: Iterable[StackRun]) -> list[str]:
    return sorted({key for row in rows if (key := passes.key_of(row)) is not None})
