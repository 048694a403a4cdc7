"""Damage is found when it is read, said with what is hit by it, and said before the work directory is touched."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import pytest

from sequential_adaptor.errors import StorageDamaged
from sequential_adaptor.runners.container.store import LayerRecord, LayerStore, WorkDirectory

Publish = Callable[..., LayerRecord]


@pytest.fixture
def layers(work: WorkDirectory, publish: Publish) -> tuple[LayerRecord, LayerRecord]:
    """Two layers, with small, large, packed and plain files; the directory is at the second."""
    (work.path / "folder" / "below").mkdir(parents=True)
    (work.path / "folder" / "text").write_text("text " * 1000)
    (work.path / "folder" / "below" / "noise").write_bytes(random.Random(1).randbytes(5000))
    (work.path / "large").write_bytes(b"large" * (2 << 20))
    (work.path / "link").symlink_to("folder")
    first = publish(work, 1)
    for name in ("folder/text", "large", "folder/below/noise"):
        (work.path / name).write_text(f"new {name}")
    (work.path / "link").unlink()
    return first, publish(work, 2)


def touched(folder: Path) -> dict[str, tuple[int, int]]:
    """What changes with anything that is done to any file."""
    return {str(path): (path.lstat().st_ino, path.lstat().st_ctime_ns) for path in folder.rglob("*")}


def packs(state: Path) -> list[Path]:
    return sorted((state / "packs").iterdir())


def flip(path: Path, at: int, bit: int) -> None:
    data = bytearray(path.read_bytes())
    data[at] ^= 1 << bit
    path.write_bytes(data)


def test_any_flipped_bit_is_found_or_changes_nothing(
    store: LayerStore, work: WorkDirectory, layers: tuple[LayerRecord, LayerRecord], state: Path
) -> None:
    """Wherever it is in a pack; and a checkout that needs what is damaged leaves everything as it was."""
    first, second = layers
    before, chance = touched(work.path), random.Random(2)
    everything = {path: store.read(first.hash, path) for path in ("folder/text", "folder/below/noise", "large")}
    store.close()
    seen = 0
    for _ in range(60):
        pack = chance.choice(packs(state))
        place = chance.randrange(pack.stat().st_size), chance.randrange(8)
        flip(pack, *place)
        with LayerStore.open(state) as opened:
            report, at = opened.verify(), opened.work_directory()
            if report.whole:
                assert everything == {path: opened.read(first.hash, path) for path in everything}
            else:
                seen += 1
                assert all(
                    damage.layers and damage.paths and damage.object in damage.reason for damage in report.damage
                )
                if any(first.hash in damage.layers and second.hash not in damage.layers for damage in report.damage):
                    with pytest.raises(StorageDamaged):
                        at.checkout(first.hash)
                    assert touched(at.path) == before
                    assert at.head == second
        flip(pack, *place)
    assert seen > 30
    with LayerStore.open(state) as opened:
        assert opened.verify().whole


def test_the_report_names_object_layers_and_paths(
    store: LayerStore, layers: tuple[LayerRecord, LayerRecord], state: Path
) -> None:
    first, second = layers
    pack = max(packs(state), key=lambda path: path.stat().st_size)
    noise = random.Random(1).randbytes(5000)
    flip(pack, pack.read_bytes().index(noise) + 17, 3)
    report = store.verify()
    assert not report.whole
    (damage,) = report.damage
    assert (damage.layers, damage.paths) == ((first.hash,), ("folder/below/noise",))
    assert "does not match its sha256" in damage.reason
    with pytest.raises(StorageDamaged, match=f"object {damage.object} in pack {pack.name} does not match its sha256"):
        store.read(first.hash, "folder/below/noise")
    assert store.read(second.hash, "folder/below/noise") == b"new folder/below/noise"


@pytest.mark.parametrize("how", ["cut", "missing"])
def test_a_cut_or_missing_pack_is_said(
    store: LayerStore,
    work: WorkDirectory,
    layers: tuple[LayerRecord, LayerRecord],
    state: Path,
    how: str,
) -> None:
    before = touched(work.path)
    store.close()
    largest = max(packs(state), key=lambda path: path.stat().st_size)
    largest.unlink() if how == "missing" else largest.write_bytes(largest.read_bytes()[:100])
    with LayerStore.open(state) as opened:
        assert layers[0].hash in {hash for damage in opened.verify().damage for hash in damage.layers}
        with pytest.raises(StorageDamaged):
            opened.work_directory().checkout(layers[0].hash)
        assert touched(work.path) == before
        with pytest.raises(StorageDamaged):
            opened.gc(keep=[])  # it would not know what is needed, or not have it


def test_a_damaged_index_is_said_and_a_damaged_cache_is_made_anew(
    store: LayerStore, work: WorkDirectory, layers: tuple[LayerRecord, LayerRecord], state: Path
) -> None:
    store.close()
    for path in (state / "index").iterdir():
        path.write_bytes(b"no database" * 100)
    with LayerStore.open(state) as opened:
        assert opened.work_directory().status().clean
    (state / "layers.db").write_bytes(b"no database" * 1000)
    with pytest.raises(StorageDamaged, match=r"layers\.db"):
        LayerStore.open(state)
