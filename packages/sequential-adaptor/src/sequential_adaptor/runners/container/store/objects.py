"""Objects by their names: each is read from its pack, unpacked, and checked against its sha256."""

from __future__ import annotations

import os
from collections import OrderedDict
from collections.abc import Iterable, Iterator
from itertools import islice
from threading import Lock
from typing import NamedTuple

from sequential_adaptor.errors import StorageDamaged
from sequential_adaptor.runners.container.store.codecs import unpack
from sequential_adaptor.runners.container.store.database import Database
from sequential_adaptor.runners.container.store.entries import CHUNKS, NO_ID, Entry, decode_chunks, name_of
from sequential_adaptor.runners.container.store.places import Places

_BATCH = 500
_OPEN_PACKS = 64
_TRIES = 3
_COLUMNS = "objects.id, packs.name, start, stored, length, codec"


class Place(NamedTuple):
    """Where an object lies."""

    id: bytes
    pack: str
    start: int
    stored: int
    length: int
    codec: int


class Objects:
    """The objects of a store, to be read from any thread."""

    def __init__(self, places: Places, database: Database) -> None:
        self._places = places
        self._database = database
        self._packs: OrderedDict[str, int] = OrderedDict()
        self._lock = Lock()

    def close(self) -> None:
        """Close the packs."""
        with self._lock:
            while self._packs:
                os.close(self._packs.popitem()[1])

    def has(self, id: bytes) -> bool:
        """Whether there is such an object; with a folder there is always everything below it."""
        return self._database.row("select 1 from objects where id = ?", (id,)) is not None

    def get(self, id: bytes) -> bytes:
        """The object, or ``StorageDamaged`` where it is missing or does not match its name."""
        for place in self._tries(id):
            try:
                return self.load(place)
            except FileNotFoundError:
                continue  # gc has moved it to another pack since
        raise StorageDamaged(f"object {id.hex()}: its pack is missing")

    def get_all(self, ids: Iterable[bytes]) -> Iterator[tuple[bytes, bytes]]:
        """Many objects, in whatever order they lie."""
        waiting = iter(dict.fromkeys(ids))
        while batch := list(islice(waiting, 16 * _BATCH)):
            found = sorted(self.places(batch), key=lambda place: (place.pack, place.start))
            missing = set(batch) - {place.id for place in found}
            if missing:
                raise StorageDamaged(f"object {min(missing).hex()} is missing")
            for place in found:
                try:
                    yield place.id, self.load(place)
                except FileNotFoundError:
                    yield place.id, self.get(place.id)

    def content(self, entry: Entry) -> Iterator[bytes]:
        """The content of a file or the target of a link, piece by piece, each of them checked."""
        if entry.kind == CHUNKS:
            for id in decode_chunks(self.get(entry.id)):
                yield self.get(id)
        elif entry.id != NO_ID:
            yield self.get(entry.id)

    def places(self, ids: Iterable[bytes]) -> Iterator[Place]:
        """Where objects lie; those that are missing are left out."""
        waiting = iter(ids)
        while batch := list(islice(waiting, _BATCH)):
            marks = ",".join("?" * len(batch))
            query = f"select {_COLUMNS} from objects join packs on packs.id = pack where objects.id in ({marks})"
            yield from map(Place._make, self._database.rows(query, batch))

    def _tries(self, id: bytes) -> Iterator[Place]:
        for _ in range(_TRIES):
            place = next(self.places([id]), None)
            if place is None:
                raise StorageDamaged(f"object {id.hex()} is missing")
            yield place

    def packed(self, place: Place) -> bytes:
        """The bytes in the pack, as they are."""
        with self._lock:  # so that nobody closes the pack meanwhile
            data = os.pread(self._open(place.pack), place.stored, place.start)
        if len(data) != place.stored:
            raise StorageDamaged(f"object {place.id.hex()}: its pack {place.pack} ends before it")
        return data

    def load(self, place: Place) -> bytes:
        """The object at a place, checked."""
        try:
            data = unpack(place.codec, self.packed(place), place.length)
        except StorageDamaged as error:
            raise StorageDamaged(f"object {place.id.hex()} in pack {place.pack}: {error}") from error
        if name_of(data) != place.id:
            raise StorageDamaged(f"object {place.id.hex()} in pack {place.pack} does not match its sha256")
        return data

    def _open(self, pack: str) -> int:
        fd = self._packs.get(pack)
        if fd is None:
            fd = self._packs[pack] = os.open(self._places.packs / pack, os.O_RDONLY | os.O_CLOEXEC)
            if len(self._packs) > _OPEN_PACKS:
                os.close(self._packs.popitem(last=False)[1])
        self._packs.move_to_end(pack)
        return fd
