"""Bringing a work directory to a layer, so that a killed process leaves it at the old one or on its way to the new."""

from __future__ import annotations

from sequential_adaptor.errors import SequentialError, StorageError
from sequential_adaptor.runners.container.store.applying import Applying, Contents
from sequential_adaptor.runners.container.store.catalogue import tree_of
from sequential_adaptor.runners.container.store.entries import EMPTY, Tree
from sequential_adaptor.runners.container.store.errors import NoRoom
from sequential_adaptor.runners.container.store.holding import Hold, Intention
from sequential_adaptor.runners.container.store.ignoring import ignored
from sequential_adaptor.runners.container.store.index import Index
from sequential_adaptor.runners.container.store.packs import NO_ROOM
from sequential_adaptor.runners.container.store.plans import Plan, plan
from sequential_adaptor.runners.container.store.records import Changes
from sequential_adaptor.runners.container.store.scanning import Scan
from sequential_adaptor.runners.container.store.shared import Shared
from sequential_adaptor.runners.container.store.sinks import Naming
from sequential_adaptor.runners.container.store.trees import Trees, differences


class Mover:
    """Moves one work directory."""

    def __init__(self, store: Shared, hold: Hold, index: Index) -> None:
        self._store = store
        self._hold = hold
        self._index = index

    def finish(self) -> None:
        """Bring to its end what was begun and has not ended."""
        intention = self._hold.intention
        if intention is not None:
            self.move(intention)

    def move(self, intention: Intention) -> Changes:
        """Carry out an intention; what an exact one has undone.

        What is needed is read and checked before anything is touched, and the intention is recorded before that too.
        """
        self._hold.open_up()
        target = self._tree(intention.target)
        changes, work = Changes(), Plan()
        if intention.exact:
            changes, work = self._exactly(intention, target)
        else:
            work = plan(self._store.trees, self._tree(intention.source), target)
        contents = Contents(self._store.objects, work.contents())
        self._hold.intend(intention)
        self._carry_out(intention, work, contents)
        return changes

    def _exactly(self, intention: Intention, target: Tree) -> tuple[Changes, Plan]:
        sink = Naming(self._store.objects)
        scan = Scan(self._index, sink, self._store.trees, ignored(intention.ignore), lenient=True)
        now = scan.run(self._hold.fd, target)
        trees = Trees(self._store.objects, sink.memory)
        return differences(trees, target, now), plan(trees, now, target)

    def _carry_out(self, intention: Intention, work: Plan, contents: Contents) -> None:
        try:
            self._arrive(intention, work, contents)
        except OSError as error:
            self._go_back(intention)
            raise _explained(self._hold, error) from error
        except SequentialError:
            self._go_back(intention)
            raise

    def _arrive(self, intention: Intention, work: Plan, contents: Contents) -> None:
        Applying(self._index, contents).run(self._hold.fd, work)
        self._hold.reset_mode()
        self._index.save()
        self._hold.arrive(intention.target)

    def _go_back(self, intention: Intention) -> None:
        """Bring it to where it came from: now, or where that fails too, when it is next taken."""
        if intention.exact:
            return  # it came from nowhere in particular; it is tried again when it is next taken
        back = Intention(intention.source, intention.target)
        work = plan(self._store.trees, self._tree(back.source), self._tree(back.target))
        try:
            self._hold.intend(back)
            self._arrive(back, work, Contents(self._store.objects, work.contents()))
        except (OSError, SequentialError):
            return  # the first error is the one to tell

    def _tree(self, hash: str | None) -> Tree:
        return tree_of(self._store.catalogue.layer(hash)) if hash is not None else EMPTY


def _explained(hold: Hold, error: OSError) -> StorageError:
    if error.errno in NO_ROOM:
        return NoRoom(str(hold.path), error)
    return StorageError(f"{hold.path} could not be changed: {error}; the head is as it was")
