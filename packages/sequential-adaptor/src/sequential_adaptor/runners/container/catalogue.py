"""What a runner knows of layers: methods that need no work directory, and hold up nobody."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from functools import partial
from typing import TypeVar

from sequential_adaptor.errors import ConfigurationError
from sequential_adaptor.runners.container.layer import Layer
from sequential_adaptor.runners.container.running import Threads
from sequential_adaptor.runners.container.settings import Settings
from sequential_adaptor.runners.container.store import Changes, Collected, Report, Usage
from sequential_adaptor.runners.container.workplace import Workplace

T = TypeVar("T")


class Catalogue:
    """The layers of a state folder, for one work directory in it."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._workplace = Workplace(settings)
        self._threads = Threads()

    async def head(self) -> Layer | None:
        """The layer that the work directory is at."""

        def find() -> Layer | None:
            hash = self._workplace.head_hash
            return None if hash is None else self._layer(hash)

        return await self._call(find)

    async def history(self, ref: str | None = None, *, all: bool = False) -> list[Layer]:
        """The head, or ``ref``, and its parents, the newest first; with ``all`` every layer, in order of making."""

        def find() -> list[Layer]:
            if all:
                return [Layer.of(record) for record in self._workplace.store.layers()]
            start = self._workplace.head_hash if ref is None else ref
            return [] if start is None else [Layer.of(each) for each in self._workplace.store.ancestry(start)]

        return await self._call(find)

    async def inspect(self, ref: str) -> Layer:
        """A layer by its hash, the beginning of it, or its tag."""
        return await self._call(partial(self._layer, ref))

    async def read(self, ref: str, path: str | bytes | os.PathLike[str]) -> bytes:
        """The content of a file in a layer."""
        return await self._call(lambda: self._workplace.store.read(ref, path))

    async def diff(self, a: str | None, b: str | None = None) -> Changes:
        """What differs from layer ``a`` (``None``: the empty folder) to layer ``b`` (``None``: the head)."""

        def compare() -> Changes:
            return self._workplace.store.diff(a, self._workplace.head_hash if b is None else b)

        return await self._call(compare)

    async def tag(self, name: str, ref: str | None = None) -> Layer:
        """Let a name stand for a layer, the head by default; a name that it had before moves."""
        return await self._call(lambda: Layer.of(self._workplace.store.tag(name, self._ref_or_head(ref))))

    async def untag(self, name: str) -> None:
        """Take a tag away; the layer stays."""
        await self._call(lambda: self._workplace.store.untag(name))

    async def tags(self) -> dict[str, str]:
        """Hashes by tag."""
        return await self._call(lambda: self._workplace.store.tags())

    # ---- upkeep

    async def verify(self) -> Report:
        """Read every object of every layer and check it."""
        return await self._call(lambda: self._workplace.store.verify())

    async def gc(self, keep: Iterable[str] | None = None) -> Collected:
        """Free what nothing needs; with ``keep`` also layers: all but these, the tagged, heads, and their parents."""
        return await self._call(lambda: self._workplace.store.gc(keep))

    async def du(self) -> Usage:
        """What the layers hold, and what they cost on disk."""
        return await self._call(lambda: self._workplace.store.du())

    async def export(self, ref: str, path: str | os.PathLike[str]) -> None:
        """Write a layer as an archive: ``.tar`` or ``.tar.gz``, else a folder in OCI image layout."""
        await self._call(lambda: self._workplace.store.export(ref, path))

    async def import_(self, path: str | os.PathLike[str]) -> Layer:
        """Make a layer without a parent of a tar file, or of an image in OCI layout. The head stays."""
        return await self._call(lambda: Layer.of(self._workplace.store.import_(path)))

    # ---- parts

    async def _call(self, function: Callable[[], T]) -> T:
        return await self._threads.call(function)

    def _hash(self, ref: str) -> str:
        return self._workplace.store.resolve(ref)

    def _layer(self, ref: str) -> Layer:
        return Layer.of(self._workplace.store.layer(ref))

    def _ref_or_head(self, ref: str | None) -> str:
        found = ref if ref is not None else self._workplace.head_hash
        if found is None:
            raise ConfigurationError("there is no head yet to be tagged; run a command first, or name a layer")
        return found
