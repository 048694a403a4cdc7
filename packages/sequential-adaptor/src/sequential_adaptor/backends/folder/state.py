"""The state: what the journal and the files say, in memory. It is changed by entries only, the same in every process.

A run that something was written to lately is *warm*: all its rows are in memory, as a group. The others are cold: the
index has their line, and their rows are read from their files when they are asked for. One lock guards it all.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterable

from sequential_adaptor.backends.folder.adoptions import Adoption, Adoptions
from sequential_adaptor.backends.folder.entries import Entry, Op
from sequential_adaptor.backends.folder.groups import Group
from sequential_adaptor.backends.folder.index import REMEMBERED, Index
from sequential_adaptor.backends.folder.listings import Listing, is_notable, listing_line, take_line
from sequential_adaptor.backends.folder.paths import Paths
from sequential_adaptor.backends.folder.record_files import read_group, read_head
from sequential_adaptor.backends.folder.rows import Kind, Row, root_of
from sequential_adaptor.backends.folder.schedule import Schedule, Slot
from sequential_adaptor.errors import StorageDamaged
from sequential_adaptor.records import StackRun, TaskRun

_RECENT = 5000
"""So many rows of cold runs that were read lately are kept."""


class State:
    """Everything but payloads of cold runs. ``lock`` is held by whoever calls a method."""

    def __init__(self, paths: Paths) -> None:
        self.lock = threading.RLock()
        self._paths = paths
        self.unsaved: set[str] = set()
        """Runs that this process has written to, and whose files are not written yet."""
        self.reset(Index())

    def reset(self, index: Index) -> None:
        """Begin with what an index says."""
        self.listings = index.listings
        self.warm: dict[str, Group] = {}
        self._recent: OrderedDict[str, Group] = OrderedDict()
        self.schedule = Schedule()
        self.strays: dict[str, str] = {}
        self.commits: dict[str, int] = dict.fromkeys(index.commits, 0)
        self.covers = index.covers
        self._lost: dict[str, StorageDamaged] = {}
        """Runs whose files do not fit the journal as far as it was read: what is left of those deleted further on."""
        self._missing: dict[str, tuple[str, StorageDamaged]] = {}
        """The same of stack runs, with the runs that lack them: they are moved to other runs further on."""
        notable = [Listing.decode(line) for line in self.listings.values() if is_notable(line)]
        for listing in notable:
            self._note(listing)
        self.adopted = Adoptions(one for listing in notable for one in listing.adopted)

    def _note(self, listing: Listing) -> None:
        for slot in listing.slots:
            self.schedule.set(slot.id, slot)
        for id in listing.strays:
            self.strays[id] = listing.id

    # ---- reading

    def group(self, id: str) -> Group | None:
        """A run with all its rows."""
        group = self.warm.get(id) or self._recent.get(id)
        if group is None and id in self.listings:
            group = self._recent[id] = read_group(self._paths, id, Listing.decode(self.listings[id]).parts)
            while len(self._recent) > 1 and sum(1 + len(one.calls) for one in self._recent.values()) > _RECENT:
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

    def has(self, id: str) -> bool:
        """Whether anything belongs to a run."""
        group = self.warm.get(id)
        return id in self.listings if group is None else not group.is_empty

    def run_ids(self) -> list[str]:
        """Every run that has anything."""
        return [*self.listings, *(id for id in self.warm if id not in self.listings)]

    # ---- changing

    def apply(self, entry: Entry, generation: int, *, own: bool = False) -> None:
        """Take in one commit; ``own`` says that it is for this process to write the readable files."""
        for op in entry.ops:
            group = self._forget(op.group) if op.is_deletion else self._touch(op.group)
            group.generation, group.listed = generation, False
            if op.whole and op.kind is StackRun:
                self._missing.pop(op.id, None)
            if not op.is_deletion and op.group not in self._lost:
                self._take_in(op, group)
            if own:
                self.unsaved.add(group.id)
        if entry.commit is not None:
            self._remember(entry.commit, generation)

    def check_found(self) -> None:
        """Raise for a run whose files are damaged. Called when the journal was read to its end: only then is it
        clear that the run was not deleted, and that what it lacks was not moved.
        """
        for error in (*self._lost.values(), *(error for _, error in self._missing.values())):
            raise error

    def _take_in(self, op: Op, group: Group) -> None:
        try:
            row = group.apply(op)
        except LookupError:
            if op.kind is StackRun:
                self._missing[op.id] = op.group, self._lacks(op)
            else:
                self._lost[op.group] = self._lacks(op)
            return
        if row is not None:
            self._place(row, group)

    def _forget(self, id: str) -> Group:
        """Empty a run, without a look at its files: they may be gone already."""
        line = self.listings.get(id)
        listed = Listing(id, None, 0, (), (), ()) if line is None else Listing.decode(line)
        group = self.warm.get(id) or self._recent.pop(id, None) or Group(id, stored=line is not None)
        known = {*(row.id for row in group.stack_runs()), *(slot.id for slot in listed.slots), *listed.strays}
        known.update(adoption.id for adoption in listed.adopted)
        for stack_run_id in known:
            if self.home(stack_run_id) == id:
                self.schedule.set(stack_run_id, None)
                self.adopted.set(stack_run_id, None)
                self.strays.pop(stack_run_id, None)
        self.warm[id] = group
        self._lost.pop(id, None)
        self._missing = {one: found for one, found in self._missing.items() if found[0] != id}
        group.clear(listed.parts)
        return group

    def _whole_group(self, id: str) -> Group | None:
        try:
            return self.group(id)
        except StorageDamaged as error:
            self._lost[id] = error
            return Group(id, stored=True)

    def _touch(self, id: str) -> Group:
        group = self.warm.get(id)
        if group is None:
            group = self._whole_group(id) or Group(id, stored=False)
            self._recent.pop(id, None)
            self.warm[id] = group
        return group

    def _place(self, row: StackRun, group: Group) -> None:
        self.schedule.set(row.id, Slot.of(row))
        self.adopted.set(row.id, Adoption.of(row, group.id))
        before = self.home(row.id)
        if before != group.id:
            self._take_out(row.id, before, group.generation)
        if root_of(row.id) != group.id:
            self.strays[row.id] = group.id
        else:
            self.strays.pop(row.id, None)

    def _take_out(self, stack_run_id: str, home: str, generation: int) -> None:
        """Remove a stack run that has moved to another run; or nothing, where its id just names another."""
        group = self._whole_group(home)
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
            if not group.listed:
                take_line(self.listings, listing_line(group))
            del self.warm[group.id]
            self.unsaved.discard(group.id)

    def unindexed_commits(self, after: int, covers: int) -> Iterable[str]:
        """The ids of the commits in generations above ``after``, up to ``covers``."""
        return [id for id, generation in self.commits.items() if after < generation <= covers]
