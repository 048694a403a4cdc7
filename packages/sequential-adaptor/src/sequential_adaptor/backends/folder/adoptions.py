"""Adoptions: stack runs whose parents are in other runs, found by the parent, at the cost of those that are wanted.

They are few but for queues, where each run that waits has its root frame below a lane of the queue's run.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterable, Iterator
from datetime import datetime
from heapq import merge
from typing import NamedTuple, TypeAlias

from sequential_adaptor.backends.folder.rows import root_of
from sequential_adaptor.records import StackRun, time_to_text

Key: TypeAlias = tuple[str, str]
"""When a stack run was created, as text that sorts as the times do, and its id."""


def creation_key(created_at: datetime | None, id: str) -> Key:
    """The place of a stack run in the order of creation."""
    return "" if created_at is None else time_to_text(created_at), id


class Adoption(NamedTuple):
    """One stack run, and its parent in another run."""

    id: str
    parent: str
    created: str

    @classmethod
    def of(cls, row: StackRun, run_id: str) -> Adoption | None:
        """The adoption of a row that belongs to the run, ``None`` where its parent is in the run too."""
        parent = row.parent_stack_run_id
        if parent is None or root_of(parent) == run_id:
            return None
        return cls(row.id, parent, creation_key(row.created_at, row.id)[0])

    @property
    def key(self) -> Key:
        """Its place among the children of its parent."""
        return self.created, self.id


class Adoptions:
    """All adoptions, as they are now: nothing is left of one that a stack run has moved on from."""

    def __init__(self, found: Iterable[Adoption] = ()) -> None:
        self._by_id = {one.id: one for one in found}
        self._children: dict[str, list[Key]] = {}
        for one in self._by_id.values():
            self._children.setdefault(one.parent, []).append(one.key)
        for keys in self._children.values():
            keys.sort()

    def set(self, id: str, adoption: Adoption | None) -> None:
        """Put the adoption of a stack run in the place of the one before."""
        before = self._by_id.get(id)
        if before == adoption:
            return
        if before is not None:
            self._take_out(before)
        if adoption is not None:
            self._by_id[id] = adoption
            insort(self._children.setdefault(adoption.parent, []), adoption.key)

    def _take_out(self, adoption: Adoption) -> None:
        del self._by_id[adoption.id]
        keys = self._children[adoption.parent]
        del keys[bisect_left(keys, adoption.key)]
        if not keys:
            del self._children[adoption.parent]

    def has_any(self, parents: Iterable[str]) -> bool:
        """Whether one of the parents has children in other runs."""
        return any(parent in self._children for parent in parents)

    def children(self, parents: Iterable[str], *, newest_first: bool, after: Key | None) -> Iterator[Key]:
        """The children that the parents (each named once) have in other runs, in the order of creation or its
        reverse, behind ``after``. To be read before anything is set.
        """
        found = [keys for parent in parents if (keys := self._children.get(parent)) is not None]
        return merge(*(_behind(keys, after, newest_first) for keys in found), reverse=newest_first)

    def __len__(self) -> int:
        return len(self._by_id)


def _behind(keys: list[Key], after: Key | None, newest_first: bool) -> Iterator[Key]:
    if newest_first:
        places = range((len(keys) if after is None else bisect_left(keys, after)) - 1, -1, -1)
    else:
        places = range(0 if after is None else bisect_right(keys, after), len(keys))
    return (keys[place] for place in places)
