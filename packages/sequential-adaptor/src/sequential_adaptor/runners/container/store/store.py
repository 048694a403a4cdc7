"""The store of layers: what is published, by name, and what can be read without a work directory."""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import suppress
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Literal, Self

from sequential_adaptor.errors import SequentialError
from sequential_adaptor.records import time_to_text
from sequential_adaptor.runners.container.store.archives import export, import_
from sequential_adaptor.runners.container.store.archives.growing import Limits
from sequential_adaptor.runners.container.store.catalogue import insert, layer_hash, tree_of
from sequential_adaptor.runners.container.store.collecting import collect, remove_strays
from sequential_adaptor.runners.container.store.entries import EMPTY, FIFO, FILES, FOLDER, LINK, SOCKET
from sequential_adaptor.runners.container.store.errors import UnknownPath
from sequential_adaptor.runners.container.store.guarding import allowed
from sequential_adaptor.runners.container.store.holding import unfinished
from sequential_adaptor.runners.container.store.keeping import keeping
from sequential_adaptor.runners.container.store.locks import exclusive_if_free, shared
from sequential_adaptor.runners.container.store.names import printable, split
from sequential_adaptor.runners.container.store.records import Changes, Collected, LayerRecord, Report, Usage
from sequential_adaptor.runners.container.store.shared import Shared
from sequential_adaptor.runners.container.store.trees import differences
from sequential_adaptor.runners.container.store.verifying import usage, verify
from sequential_adaptor.runners.container.store.work import WorkDirectory

Format = Literal["tar", "oci"]


class LayerStore:
    """Layers, tags and objects in one state folder. Any number of processes may have it open."""

    def __init__(self, files: Shared) -> None:
        self._shared = files
        self._works: list[WorkDirectory] = []

    @property
    def state_dir(self) -> Path:
        """Where it lies."""
        return self._shared.places.state

    @classmethod
    def open(cls, state_dir: str | os.PathLike[str]) -> Self:
        """Open the store, or make it. A checkout or publication that was killed is finished here.

        Where another process is at that work directory, it is left to it.
        """
        store = cls(Shared(Path(state_dir).expanduser().resolve()))
        try:
            store._finish()
        except BaseException:
            store.close()
            raise
        return store

    def close(self) -> None:
        """Give back the locks of all its work directories and close the files. Twice is harmless."""
        while self._works:
            self._works.pop().close()
        self._shared.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # ---- layers by name

    def resolve(self, ref: str) -> str:
        """The full hash of a reference, or :class:`UnknownLayer` with the choices."""
        return self._shared.catalogue.resolve(ref)

    def layer(self, ref: str) -> LayerRecord:
        """The layer of a reference."""
        return self._shared.catalogue.layer(ref)

    def find(self, key: str) -> LayerRecord | None:
        """The layer that was published last under a key."""
        return self._shared.catalogue.find(key)

    def layers(self) -> list[LayerRecord]:
        """All layers, in the order of publication."""
        return self._shared.catalogue.layers()

    def children(self, ref: str) -> list[LayerRecord]:
        """The layers whose parent it is, in the order of publication."""
        return self._shared.catalogue.children(ref)

    def ancestry(self, ref: str) -> list[LayerRecord]:
        """The layer and its parents, the newest first."""
        return self._shared.catalogue.ancestry(ref)

    def tag(self, name: str, ref: str) -> LayerRecord:
        """Let a name stand for a layer from now on; a name that it had before moves.

        A name is letters, digits and ``._-/``, begins with a letter or digit, and is not 12 or more hex digits.
        """
        with shared(self._shared.places.lock):
            return self._shared.catalogue.tag(name, ref)

    def untag(self, name: str) -> None:
        """Take a tag away; the layer stays."""
        self._shared.catalogue.untag(name)

    def tags(self) -> dict[str, str]:
        """Full hashes by tag, sorted."""
        return self._shared.catalogue.tags()

    def heads(self) -> dict[str, str | None]:
        """The head of each work directory that this store has served, by path."""
        rows = self._shared.database.rows("select path, head from works order by path")
        return {os.fsdecode(path): head for path, head in rows}

    # ---- content

    def read(self, ref: str, path: str | bytes | os.PathLike[str]) -> bytes:
        """The content of a file in a layer, checked against its hash. Symbolic links are not followed."""
        layer, names = self.layer(ref), split(path)
        if b".." in names:
            raise UnknownPath(os.fsdecode(path), layer.hash, "it leads out of the layer; write it without '..'")
        item = self._shared.trees.find(tree_of(layer), names)
        if item is None:
            reason = "there is no such file" if names else "it is a folder, not a file"
            raise UnknownPath(os.fsdecode(path), layer.hash, reason)
        if item.entry.kind not in FILES:
            raise UnknownPath(os.fsdecode(path), layer.hash, f"it is {_KINDS[item.entry.kind]}, not a file")
        return b"".join(self._shared.objects.content(item.entry))

    def listing(self, ref: str) -> list[str]:
        """The paths of all files and folders of a layer, sorted."""
        return sorted(path for path, _ in self._shared.trees.walk(tree_of(self.layer(ref))))

    def diff(self, a: str | None, b: str | None) -> Changes:
        """What differs from layer ``a`` to layer ``b``; ``None`` is the empty tree."""
        left, right = (tree_of(self.layer(ref)) if ref is not None else EMPTY for ref in (a, b))
        return differences(self._shared.trees, left, right)

    # ---- upkeep

    def verify(self) -> Report:
        """Read every object of every layer and check it; nothing is changed."""
        return verify(self._shared)

    def gc(self, keep: Iterable[str] | None = None) -> Collected:
        """Free what nothing needs: objects of captures that never became layers, and the packs they were in.

        With ``keep``, layers go too: all but these, the tagged, the heads of work directories, and their ancestors.
        Waits for captures and checkouts that are under way in other processes.
        """
        return collect(self._shared, keep)

    def du(self) -> Usage:
        """What the store holds and what it costs."""
        return usage(self._shared)

    # ---- archives

    def export(self, ref: str, path: str | os.PathLike[str], format: Format | None = None) -> None:
        """Write a layer's whole tree to a new file or folder, which is there complete or not at all.

        ``tar`` for names that end in ``.tar`` or ``.tar.gz``; else ``oci``, a folder in OCI image layout, which cannot
        hold names that begin with ``.wh.``.
        """
        layer = self.layer(ref)
        export(self._shared, layer.hash, tree_of(layer), Path(path), format)

    def import_(
        self,
        path: str | os.PathLike[str],
        *,
        max_bytes: int = 16 << 30,
        max_files: int = 1_000_000,
    ) -> LayerRecord:
        """Make a layer without a parent of a tar file (plain or gzip), or of an image in OCI layout (a folder).

        Nothing is unpacked onto the disk, so nothing can be written outside; absolute names, ``..``, names that lead
        through a link, devices, and more content than the limits are refused.
        """
        found = Path(path)
        with shared(self._shared.places.lock), keeping(self._shared) as kept:
            tree = import_(kept.sink, found, Limits(max_bytes, max_files))
            key = sha256(f"import 1\n{tree.id.hex()}\n".encode()).hexdigest()
            fields = {
                "kind": "import",
                "message": f"import of {printable(found.name)}",
                "time": time_to_text(datetime.now(UTC)),
            }
            kept.ending = lambda connection: insert(connection, key, tree, None, kept.sink.stored, fields)
        return self.layer(layer_hash(key, tree.id, None))

    # ---- work directories

    def work_directory(self, path: str | os.PathLike[str] | None = None) -> WorkDirectory:
        """Take the writer's lock of a work directory (``<state_dir>/work``), and make it where there is none.

        The lock is the kernel's: it is free when the process is gone. Raises :class:`WorkDirectoryBusy` at once where
        another holds it, and :class:`RefusedDirectory` for ``/``, the home folder, and whatever holds the state
        folder or lies in it (``<state_dir>/work`` and folders below ``<state_dir>/forks`` may).
        """
        places = self._shared.places
        work = WorkDirectory(self._shared, allowed(Path(path) if path is not None else places.work, places))
        self._works.append(work)
        return work

    def _finish(self) -> None:
        """Bring to an end what a killed process began; what cannot be is told to whoever takes that directory."""
        if any(self._shared.places.temporary.iterdir()):
            with exclusive_if_free(self._shared.places.lock) as is_alone:
                if is_alone:  # else somebody is writing these
                    remove_strays(self._shared)
        for path in unfinished(self._shared.database):
            if path.is_dir():
                with suppress(SequentialError, OSError):
                    WorkDirectory(self._shared, path).close()


_KINDS = {FOLDER: "a folder", LINK: "a symbolic link", FIFO: "a FIFO", SOCKET: "a socket"}
