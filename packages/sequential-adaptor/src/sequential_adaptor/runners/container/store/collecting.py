"""Freeing what nothing needs any more, so that a killed process leaves everything as it was, or done."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from sequential_adaptor.runners.container.store.catalogue import tree_of
from sequential_adaptor.runners.container.store.entries import Tree
from sequential_adaptor.runners.container.store.errors import NoRoom
from sequential_adaptor.runners.container.store.holding import roots
from sequential_adaptor.runners.container.store.locks import exclusive
from sequential_adaptor.runners.container.store.objects import Place
from sequential_adaptor.runners.container.store.packs import Frame, PackWriter, record
from sequential_adaptor.runners.container.store.reaching import Reach
from sequential_adaptor.runners.container.store.records import Collected, LayerRecord
from sequential_adaptor.runners.container.store.shared import Shared

_SMALL = 1 << 20
_MANY = 16


class _Pack(NamedTuple):
    id: int
    name: str
    size: int
    needed: int


def collect(store: Shared, keep: Iterable[str] | None) -> Collected:
    """See :meth:`LayerStore.gc`. Objects are gone with the last layer, work directory or capture that needs them."""
    chosen = None if keep is None else {store.catalogue.resolve(ref) for ref in keep}
    with exclusive(store.places.lock):
        remove_strays(store)
        layers = store.catalogue.layers()
        staying = layers if chosen is None else _staying(store, layers, chosen)
        going = {layer.hash for layer in layers} - {layer.hash for layer in staying}
        reach = Reach(store.objects)
        reach.add([*map(tree_of, staying), *_pinned(store)])
        return _sweep(store, going, reach.ids)


def remove_strays(store: Shared) -> None:
    """Take away the files of processes that were killed before the index knew of them. Only where nobody is writing."""
    known = {name for (name,) in store.database.rows("select name from packs")}
    for path in store.places.packs.iterdir():
        if path.name not in known:
            path.unlink(missing_ok=True)
    for path in store.places.temporary.iterdir():
        path.unlink(missing_ok=True)


def _staying(store: Shared, layers: list[LayerRecord], chosen: set[str]) -> list[LayerRecord]:
    """What was chosen, is tagged, or is where a work directory is or goes, with all that came before."""
    by_hash = {layer.hash: layer for layer in layers}
    found: dict[str, LayerRecord] = {}
    for hash in chosen | set(store.catalogue.tags().values()) | roots(store.database):
        at: str | None = hash
        while at is not None and at not in found and at in by_hash:
            found[at] = by_hash[at]
            at = by_hash[at].parent
    return list(found.values())


def _pinned(store: Shared) -> list[Tree]:
    return [Tree(*row) for row in store.database.rows("select tree, times, size from pins")]


def _sweep(store: Shared, going: set[str], needed: set[bytes]) -> Collected:
    """Forget layers and objects in one transaction; then their packs go."""
    places = list(store.objects.places(needed))
    packs = _packs(store, places)
    before = sum(pack.size for pack in packs)
    worn = _worn(packs)
    try:
        copied = _copy(store, worn, places)
    except NoRoom:  # then what is wholly waste goes, and makes some
        worn, copied = [pack for pack in worn if not pack.needed], []
    with store.database.transaction() as connection:
        connection.executemany("delete from layers where hash = ?", [(hash,) for hash in going])
        connection.execute("create temp table needed (id blob primary key) without rowid")
        connection.executemany("insert into needed values (?)", [(id,) for id in needed])
        gone = connection.execute("delete from objects where id not in (select id from needed)").rowcount
        connection.execute("drop table needed")
        record(connection, copied, replace=True)
        connection.executemany("delete from packs where id = ?", [(pack.id,) for pack in worn])
    store.objects.close()
    remove_strays(store)
    (after,) = store.database.row("select coalesce(sum(size), 0) from packs")
    return Collected(len(going), gone, before - after, after)


def _packs(store: Shared, places: list[Place]) -> list[_Pack]:
    needed: dict[str, int] = {}
    for place in places:
        needed[place.pack] = needed.get(place.pack, 0) + place.stored
    rows = store.database.rows("select id, name, size from packs")
    return [_Pack(id, name, size, needed.get(name, 0)) for id, name, size in rows]


def _worn(packs: list[_Pack]) -> list[_Pack]:
    """Packs of which most is waste, and the small ones, when there are many of them."""
    small = [pack for pack in packs if pack.size < _SMALL]
    merged = small if len(small) >= _MANY else []
    return [pack for pack in packs if pack in merged or 2 * pack.needed <= pack.size]


def _copy(store: Shared, worn: list[_Pack], places: list[Place]) -> list[tuple[str, list[Frame]]]:
    """What is needed of some packs, as it is, in new ones: what is damaged stays so, and is found when it is read."""
    writer, names = PackWriter(store.places), {pack.name for pack in worn}
    try:
        for place in sorted((one for one in places if one.pack in names), key=lambda one: (one.pack, one.start)):
            writer.append(place.id, place.length, place.codec, store.objects.packed(place))
        return writer.sync()
    except BaseException:
        writer.discard()
        raise
