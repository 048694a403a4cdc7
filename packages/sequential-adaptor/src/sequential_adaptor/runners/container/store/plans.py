"""What has to be done to a folder so that it is another: the difference of two trees, as work."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from sequential_adaptor.runners.container.store.entries import CONTENTS, EMPTY, FOLDER, Entry, Tree
from sequential_adaptor.runners.container.store.trees import Item, Trees


@dataclass(slots=True)
class Plan:
    """The work in one folder. What both sides have alike is not in it.

    - ``remove``: names of what is to go, with all below.
    - ``create``: what is to be there, in the place of whatever is; of a folder, with the work inside it.
    - ``touch``: files and links that differ in bits or times alone.
    - ``inside``: folders that stay, with the work inside them; they get the bits and times given.
    """

    remove: list[bytes] = field(default_factory=list)
    create: list[tuple[Item, Plan | None]] = field(default_factory=list)
    touch: list[Item] = field(default_factory=list)
    inside: list[tuple[Item, Plan]] = field(default_factory=list)

    def contents(self) -> Iterator[Entry]:
        """The files and links that are to be written, here and below."""
        for item, below in self.create:
            if below is not None:
                yield from below.contents()
            elif item.entry.kind in CONTENTS:
                yield item.entry
        for _, below in self.inside:
            yield from below.contents()
        for item in self.touch:
            if item.entry.kind in CONTENTS:
                yield item.entry


def plan(trees: Trees, old: Tree, new: Tree) -> Plan:
    """The work that makes ``old`` into ``new``, times too. All folders on the way are read and checked here."""
    work = Plan()
    if old[:2] == new[:2]:
        return work
    was, now = trees.items(old), trees.items(new)
    work.remove = [name for name in was if name not in now]
    for name, item in now.items():
        before = was.get(name)
        if before is None or before.entry.kind != item.entry.kind:
            work.create.append((item, _whole(trees, item)))
        elif before != item:
            _change(trees, work, before, item)
    return work


def _change(trees: Trees, work: Plan, before: Item, item: Item) -> None:
    if item.tree is not None:
        work.inside.append((item, plan(trees, before.tree or EMPTY, item.tree)))
    elif before.entry.id == item.entry.id:
        work.touch.append(item)
    else:
        work.create.append((item, None))


def _whole(trees: Trees, item: Item) -> Plan | None:
    return plan(trees, EMPTY, item.tree) if item.entry.kind == FOLDER and item.tree is not None else None
