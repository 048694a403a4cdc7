"""What the store gives back: values that do not change."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from sequential_adaptor.runners.container.store.names import printable
from sequential_adaptor.values import JSON


@dataclass(frozen=True, slots=True)
class LayerRecord:
    """A published layer. It never changes; only ``gc`` takes it away.

    - ``hash``: 64 hex digits, the sha256 over key, tree and parent; ``key`` is what the runner found it under.
    - ``tree``: the name of the root folder object, the same for the same content wherever it came from.
    - ``times``: the name of the modification times beside it, which are kept and are not part of ``hash``.
    - ``size``: bytes of all files in the tree; ``stored``: bytes that this layer added to the packs.
    - ``number``: the order of publication in this store, from 1.
    - ``fields``: what the runner keeps with it, as JSON (command, exit code, output, message, time ...).
    """

    hash: str
    key: str
    tree: str
    times: str
    parent: str | None
    size: int
    stored: int
    number: int
    fields: Mapping[str, JSON]

    @property
    def short(self) -> str:
        """The first 12 digits of the hash."""
        return self.hash[:12]


@dataclass(frozen=True, slots=True)
class Changes:
    """Sorted paths of files and folders, relative to the work directory, separated by ``/``.

    ``modified`` are those on both sides that differ in kind, permission bits or content (of a folder: bits alone).
    Paths are as the ``os`` module has them (``os.fsdecode``): bytes that are no text are lone surrogates, so that
    ``open`` finds the file. :meth:`as_json` is for people and JSON.
    """

    added: tuple[str, ...] = ()
    modified: tuple[str, ...] = ()
    deleted: tuple[str, ...] = ()

    @property
    def clean(self) -> bool:
        """Whether there is no change at all."""
        return not (self.added or self.modified or self.deleted)

    def as_json(self) -> dict[str, list[str]]:
        """Lists of text that JSON can hold: a byte that is no text is written ``\\xff``."""
        return {
            "added": [printable(path) for path in self.added],
            "modified": [printable(path) for path in self.modified],
            "deleted": [printable(path) for path in self.deleted],
        }


@dataclass(frozen=True, slots=True)
class Capture:
    """The state of a work directory, safe in the packs, and not yet a layer.

    - ``base``: the hash of the layer it was compared with, the head at that time; ``changes`` are those since.
    - ``stored``: bytes added to the packs for it.
    - ``in_place``: the work directory has this state; ``False`` after ``capture_overlay``, until ``publish`` brings it.
    """

    tree: str
    times: str
    size: int
    changes: Changes
    stored: int
    base: str | None
    in_place: bool


@dataclass(frozen=True, slots=True)
class Damage:
    """One object that cannot be read: ``reason`` says what is wrong, ``layers`` and ``paths`` what is hit by it."""

    object: str
    reason: str
    layers: tuple[str, ...]
    paths: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Report:
    """What ``verify`` read: every object of every layer, against its hash, and the links between them."""

    layers: int
    objects: int
    bytes: int
    damage: tuple[Damage, ...] = ()

    @property
    def whole(self) -> bool:
        """Whether nothing is damaged."""
        return not self.damage


@dataclass(frozen=True, slots=True)
class Collected:
    """What ``gc`` took away, and what is left; sizes in bytes of the packs."""

    layers: int
    objects: int
    freed: int
    kept: int


@dataclass(frozen=True, slots=True)
class Usage:
    """What the store holds: ``content`` is what its files add up to in all layers, ``packed`` what they cost on disk.

    ``index`` are the bytes of the databases; ``shared`` says how often each stored byte is used: content by raw bytes.
    """

    layers: int
    objects: int
    content: int
    raw: int
    packed: int
    index: int
    works: Mapping[str, str | None] = field(default_factory=dict)
