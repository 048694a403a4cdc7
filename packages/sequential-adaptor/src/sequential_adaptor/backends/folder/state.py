"""The state: what the journal and the files say, in memory. It is changed by entries only, the same in every process.

A run that something was written to lately is *warm*: all its rows are in memory, as a group. The others are cold: the
index has their line, and their rows are read from their files when they are asked for. One lock guards it all.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterable

from sequential_adaptor.backends.folder.entries import Entry, Op
from sequential_adaptor.backends.folder.groups import Group
from sequential_adaptor.backends.folder.index import REMEMBERED, Index
from sequential_adaptor.backends.folder.listings import Listing, is_notable, listing_line
from sequential_adaptor.backends.folder.paths import Paths
from sequential_adaptor.backends.folder.record_files import read_group, read_head
from sequential_adaptor.backends.folder.rows import Kind, Row, root_of
from sequential_adaptor.backends.folder.schedule import Schedule, Slot
from sequential_adaptor.errors import StorageDamaged
from sequential_adaptor.records import StackRun, TaskRun

_RECENT = 64


class State:
    """Everything but payloads of cold runs. ``lock`` is held by whoever calls a method."""

    def __init__(self, paths: Paths) -> None:
        self.lock = threading.RLock()
        self._paths = paths
        self.reset(Index())

    def reset(self, index: Index) -> None:
        """Begin with what an index says."""
        self.listings = index.listings
        self.warm: dict[str, Group] = {}
        self._recent: OrderedDict[str, Group] = OrderedDict()
        self.schedule = Schedule()
        self.strays: dict[str, str] = {}
        self.adopted: dict[str, set[str]] = {}
        self.commits: dict[str, int] = dict.fromkeys(index.commits, 0)
        self.covers = index.covers
        self.unsaved: set[str] = set()
        """Runs that this process has written to, and whose files are not written yet."""
        for line in self.listings.values():
            if is_notable(line):
                self._note(Listing.decode(line))

    def _note(self, listing: Listing) -> None:
        for slot in listing.slots:
            self.schedule.set(slot.id, slot)
        for id in listing.strays:
            self.strays[id] = listing.id
        for root in listing.adopted:
            self.adopted.setdefault(root, set()).add(listing.id)

    # ---- reading

    def group(self, id: str) -> Group | None:
        """A run with all its rows."""
        group = self.warm.get(id) or self._recent.get(id)
        if group is None and id in self.listings:
            group = self._recent[id] = read_group(self._paths, id, Listing.decode(self.listings[id]).parts)
            if len(self._recent) > _RECENT:
                self._recent.popitem(last=False)
        return group

    def is_at_hand(self, id: str) -> bool:
        """Whether :meth:`group` needs no file."""
        return id in self.warm or id in self._recent or id not in self.listings

    def task_run(self, id: str) -> TaskRun | None:
        """The row of a run."""
        if self.is_at_hand(id):
            group = self.group(id)
            return None if group is None else group.run
        return read_head(self._paths, id)[0]

    def home(self, stack_run_id: str) -> str:
        """The run that holds a stack run, if there is such a stack run."""
        return self.strays.get(stack_run_id) or root_of(stack_run_id)

    def stack_run(self, id: str) -> StackRun | None:
        """The row of a stack run."""
        group = self.group(self.home(id))
        return None if group is None else group.stack_run(id)

    def row(self, kind: Kind, id: str) -> Row | None:
        """The row of a run or stack run."""
        return self.task_run(id) if kind is TaskRun else self.stack_run(id)

    def run_ids(self) -> list[str]:
        """Every run that has anything."""
        return [*self.listings, *(id for id in self.warm if id not in self.listings)]

    # ---- changing

    def apply(self, entry: Entry, generation: int, *, own: bool = False) -> None:
        """Take in one commit; ``own`` says that it is for this process to write the readable files."""
        for op in entry.ops:
            group = self._touch(op.group)
            group.generation, group.listed = generation, False
            try:
                row = group.apply(op)
            except LookupError:
                raise self._lacks(op) from None
            if row is not None:
                self._place(row, group)
            if own:
                self.unsaved.add(group.id)
        if entry.commit is not None:
            self._remember(entry.commit, generation)

    def _touch(self, id: str) -> Group:
        group = self.warm.get(id)
        if group is None:
            group = self.group(id) or Group(id, stored=False)
            self._recent.pop(id, None)
            self.warm[id] = group
        return group

    def _place(self, row: StackRun, group: Group) -> None:
        self.schedule.set(row.id, Slot.of(row))
        before = self.home(row.id)
        if before != group.id:
            self._take_out(row.id, before, group.generation)
        if root_of(row.id) != group.id:
            self.strays[row.id] = group.id
        else:
            self.strays.pop(row.id, None)
        parent = row.parent_stack_run_id
        if parent is not None and root_of(parent) != group.id:
            self.adopted.setdefault(root_of(parent), set()).add(group.id)

    def _take_out(self, stack_run_id: str, home: str, generation: int) -> None:
        """Remove a stack run that has moved to another run; or nothing, where its id just names another."""
        group = self.group(home)
        if group is not None and group.stack_run(stack_run_id) is not None:
            group = self._touch(home)
            group.generation, group.listed = generation, False
            group.remove(stack_run_id)

    def _remember(self, commit: str, generation: int) -> None:
        self.commits[commit] = generation
        if len(self.commits) > 2 * REMEMBERED:
            for id in list(self.commits)[:REMEMBERED]:
                del self.commits[id]

    def _lacks(self, op: Op) -> StorageDamaged:
        return StorageDamaged(
            f"the journal in {self._paths.store} changes {op.kind.__name__} {op.id},"
            f" which {self._paths.part(op.group, 0)} and the files beside it lack. Restore them from a backup"
        )

    # ---- cooling

    def cool(self, covers: int) -> None:
        """Let go of runs whose files are known to be complete: nothing was written to them after generation
        ``covers``.
        """
        self.covers = covers
        for group in [group for group in self.warm.values() if group.generation <= covers]:
            self.listings[group.id] = listing_line(group)
            del self.warm[group.id]
            self.unsaved.discard(group.id)

    def unindexed_commits(self, after: int, covers: int) -> Iterable[str]:
        """The ids of the commits in generations above ``after``, up to ``covers``."""
        return [id for id, generation in self.commits.items() if after < generation <= covers]
