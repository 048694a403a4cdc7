"""A work directory under the writer's lock."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from threading import RLock
from typing import Self

from sequential_adaptor.errors import StorageError
from sequential_adaptor.runners.container.store.catalogue import check_key, insert, tree_of
from sequential_adaptor.runners.container.store.entries import EMPTY, Tree
from sequential_adaptor.runners.container.store.holding import Hold, Intention
from sequential_adaptor.runners.container.store.ignoring import ignored
from sequential_adaptor.runners.container.store.index import Index
from sequential_adaptor.runners.container.store.keeping import keeping, pin
from sequential_adaptor.runners.container.store.locks import shared
from sequential_adaptor.runners.container.store.moving import Mover
from sequential_adaptor.runners.container.store.overlay import Upper
from sequential_adaptor.runners.container.store.records import Capture, Changes, LayerRecord
from sequential_adaptor.runners.container.store.scanning import Scan
from sequential_adaptor.runners.container.store.shared import Shared
from sequential_adaptor.runners.container.store.sinks import Naming, Sink
from sequential_adaptor.runners.container.store.trees import Trees, differences
from sequential_adaptor.values import JSON


class WorkDirectory:
    """The files that commands run on; one process at a time has it.

    ``ignore`` are patterns as in ``.gitignore``, without negation: a name (``*.pyc``) at any depth, a path
    (``build/cache``, ``/top``) from the root, a folder where it ends in ``/``. What is ignored is left alone, and the
    next layer has at such a path what its parent has.
    """

    def __init__(self, store: Shared, path: Path) -> None:
        self._store = store
        self._lock = RLock()
        self._hold = Hold(path, store.database)
        try:
            self._index = Index(store.places.index(self._hold.id))
            self._mover = Mover(store, self._hold, self._index)
            with shared(store.places.lock):
                self._mover.finish()
        except BaseException:
            self.close()
            raise

    @property
    def path(self) -> Path:
        """Where it is, with all links resolved."""
        return self._hold.path

    @property
    def lock(self) -> int:
        """The descriptor of the lock. Whoever holds a copy of it (a command's supervisor) keeps everybody else out."""
        return self._hold.fd

    @property
    def head(self) -> LayerRecord | None:
        """The layer that the directory was last brought to."""
        hash = self._hold.head
        return self._store.catalogue.layer(hash) if hash is not None else None

    def status(self, ignore: Sequence[str] = ()) -> Changes:
        """What differs from the head (from an empty folder, where there is none); ``.clean`` where nothing does."""
        with self._lock, shared(self._store.places.lock):
            self._hold.check()
            sink = Naming(self._store.objects)
            head = self._tree()
            now = self._scan(sink, head, ignore)
            self._index.save()
            return differences(Trees(self._store.objects, sink.memory), head, now)

    def begin(self, ignore: Sequence[str] = ()) -> None:
        """Say that a command is about to run: if the process is killed before ``publish``, ``restore`` or
        ``checkout`` returns, the directory is brought to the head again when it is next taken."""
        with self._lock:
            self._hold.check()
            ignored(ignore)
            self._hold.note_mode()
            self._hold.intend(Intention(self._hold.head, exact=True, ignore=tuple(ignore)))

    def leave(self) -> None:
        """The command has ended, and what it has done is left where it is: nobody undoes it any more."""
        with self._lock:
            self._hold.check()
            self._hold.arrive(self._hold.head)

    def capture(self, ignore: Sequence[str] = ()) -> Capture:
        """Store what is in the directory; its objects are safe when this returns.

        Raises :class:`NotCapturable` with the path of a file that is unreadable, a device, or changes meanwhile, and
        :class:`NoRoom`; nothing is kept then.
        """
        with self._lock, shared(self._store.places.lock):
            self._hold.check()
            head = self._tree()
            with keeping(self._store) as kept:
                tree = self._scan(kept.sink, head, ignore)
                kept.ending = pin(self._hold.id, tree)
            self._index.save()
            return self._captured(tree, head, kept.sink.stored, in_place=True)

    def capture_overlay(self, upper: str | os.PathLike[str]) -> Capture:
        """Store what the upper folder of an overlay mount says of the directory, the lower one; see :meth:`capture`.

        The directory is left as it is: :meth:`publish` brings it to the new state. The overlay is to be unmounted
        first, and mounted without ``redirect_dir`` and ``metacopy``.
        """
        with self._lock, shared(self._store.places.lock):
            self._hold.check()
            head = self._tree()
            with keeping(self._store) as kept:
                tree = Upper(kept.sink, self._store.trees).run(Path(upper), head)
                kept.ending = pin(self._hold.id, tree)
            return self._captured(tree, head, kept.sink.stored, in_place=False)

    def publish(self, key: str, capture: Capture, fields: Mapping[str, JSON]) -> LayerRecord:
        """Make a capture a layer on the head, and the head that layer: both or neither, whenever the process dies.

        A layer that is there already (same key, tree and parent) is not changed, and becomes the head.
        """
        check_key(key)
        with self._lock, shared(self._store.places.lock):
            self._hold.check()
            parent = self._hold.head
            if capture.base != parent:
                raise StorageError("the head has moved since this was captured; capture it again")
            tree = Tree(bytes.fromhex(capture.tree), bytes.fromhex(capture.times), capture.size)
            if not all(map(self._store.objects.has, tree[:2])):
                raise StorageError("what was captured was collected since, as it was no layer; capture it again")
            with self._store.database.transaction() as connection:
                hash = insert(connection, key, tree, parent, capture.stored, fields)
                self._hold.point(connection, hash, in_place=capture.in_place)
                connection.execute("delete from pins where work = ?", (self._hold.id,))
            self._mover.finish()
            return self._store.catalogue.layer(hash)

    def checkout(self, ref: str) -> LayerRecord:
        """Bring the directory from the head to a layer, and make it the head. Look at :meth:`status` before.

        Everything that is needed is read and checked first: ``StorageDamaged`` leaves all as it was. Killed in the
        middle, it is finished when the store is next opened. What the two layers have alike is not touched.
        """
        with self._lock, shared(self._store.places.lock):
            self._hold.check()
            layer = self._store.catalogue.layer(ref)
            self._mover.move(Intention(layer.hash, self._hold.head))
            return layer

    def restore(self, ignore: Sequence[str] = ()) -> Changes:
        """Bring the directory to the head again, whatever was changed in it; what was undone, as :meth:`status`."""
        with self._lock, shared(self._store.places.lock):
            self._hold.check()
            return self._mover.move(Intention(self._hold.head, exact=True, ignore=tuple(ignore)))

    def clear(self) -> None:
        """Empty the directory and have no head, as it began."""
        with self._lock, shared(self._store.places.lock):
            self._hold.check()
            self._mover.move(Intention(None, exact=True))

    def close(self) -> None:
        """Give back the lock. Twice is harmless."""
        with self._lock:
            if hasattr(self, "_index"):
                self._index.close()
            self._hold.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _tree(self) -> Tree:
        head = self.head
        return tree_of(head) if head is not None else EMPTY

    def _scan(self, sink: Sink, head: Tree, ignore: Sequence[str]) -> Tree:
        return Scan(self._index, sink, self._store.trees, ignored(ignore)).run(self._hold.fd, head)

    def _captured(self, tree: Tree, head: Tree, stored: int, *, in_place: bool) -> Capture:
        changes = differences(self._store.trees, head, tree)
        hashes = tree.id.hex(), tree.times.hex()
        return Capture(*hashes, tree.size, changes, stored, self._hold.head, in_place)
