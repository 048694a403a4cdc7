"""Reading everything there is, and counting it."""

from __future__ import annotations

import os
from collections.abc import Iterator

from sequential_adaptor.errors import StorageDamaged
from sequential_adaptor.runners.container.store.catalogue import layer_hash, tree_of
from sequential_adaptor.runners.container.store.entries import CHUNKS, Tree, decode_chunks
from sequential_adaptor.runners.container.store.names import join
from sequential_adaptor.runners.container.store.reaching import Reach
from sequential_adaptor.runners.container.store.records import Damage, LayerRecord, Report, Usage
from sequential_adaptor.runners.container.store.shared import Shared


def verify(store: Shared) -> Report:
    """Read every object that a layer needs; what is wrong, and which layers and paths it hits."""
    layers = store.catalogue.layers()
    wrong: dict[bytes, str] = {}
    reach = Reach(store.objects, lambda id, error: wrong.update({id: str(error)}))
    reach.add(map(tree_of, layers))
    read = _read(store, reach, wrong)
    damage = [_damage(store, id, reason, layers) for id, reason in wrong.items()]
    damage += [_bad_record(layer, reason) for layer in layers if (reason := _wrong_record(layer))]
    damage += _index(store)
    return Report(len(layers), len(reach.ids), read, tuple(sorted(damage, key=lambda one: one.object)))


def usage(store: Shared) -> Usage:
    """What the store holds, and what it costs."""
    row = store.database.row
    objects, raw = row("select count(*), coalesce(sum(length), 0) from objects")
    layers, content = row("select count(*), coalesce(sum(size), 0) from layers")
    (packed,) = row("select coalesce(sum(size), 0) from packs")
    files = [*store.places.state.glob("layers.db*"), *store.places.indexes.iterdir()]
    index = sum(path.stat().st_size for path in files)
    works = store.database.rows("select path, head from works order by path")
    return Usage(layers, objects, content, raw, packed, index, {os.fsdecode(path): head for path, head in works})


def _read(store: Shared, reach: Reach, wrong: dict[bytes, str]) -> int:
    """Read the contents in the order in which they lie; how many bytes, with the structure, they have."""
    bytes = sum(place.length for place in store.objects.places(reach.structure))
    places = sorted(store.objects.places(reach.contents), key=lambda place: (place.pack, place.start))
    for id in reach.contents - {place.id for place in places}:
        wrong.setdefault(id, f"object {id.hex()} is missing")
    for place in places:
        try:
            bytes += len(store.objects.load(place))
        except StorageDamaged as error:
            wrong.setdefault(place.id, str(error))
    return bytes


def _damage(store: Shared, id: bytes, reason: str, layers: list[LayerRecord]) -> Damage:
    hit = {layer.hash: list(_paths(store, id, tree_of(layer), "")) for layer in layers}
    paths = sorted({path for found in hit.values() for path in found})
    return Damage(id.hex(), reason, tuple(hash for hash, found in hit.items() if found), tuple(paths))


def _paths(store: Shared, id: bytes, tree: Tree, path: str) -> Iterator[str]:
    """Where in a tree an object is needed, as far as the tree can be read."""
    if id in tree[:2]:
        yield path or "."
    try:
        items = store.trees.items(tree)
    except StorageDamaged:
        return
    for name, item in items.items():
        at = join(path, os.fsdecode(name))
        if item.tree is not None:
            yield from _paths(store, id, item.tree, at)
        elif item.entry.id == id or (item.entry.kind == CHUNKS and id in _chunks(store, item.entry.id)):
            yield at


def _chunks(store: Shared, id: bytes) -> list[bytes]:
    try:
        return decode_chunks(store.objects.get(id))
    except StorageDamaged:
        return []


def _wrong_record(layer: LayerRecord) -> str:
    if layer_hash(layer.key, bytes.fromhex(layer.tree), layer.parent) != layer.hash:
        return f"the record of layer {layer.hash} does not match its hash"
    return ""


def _bad_record(layer: LayerRecord, reason: str) -> Damage:
    return Damage(layer.hash, reason, (layer.hash,), ())


def _index(store: Shared) -> list[Damage]:
    problems = [str(text) for (text,) in store.database.rows("pragma quick_check")]
    return [] if problems == ["ok"] else [Damage(store.database.path.name, "; ".join(problems), (), ())]
