"""A full disk: a clear error, the head and the directory as they were, and all goes on when there is room again."""

from __future__ import annotations

import os
import resource
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from sequential_adaptor.errors import StorageUnavailable
from sequential_adaptor.runners.container.store import LayerRecord, LayerStore, NoRoom

Publish = Callable[..., LayerRecord]
Picture = Callable[[Path], dict[bytes, tuple[Any, ...]]]
MIB = 1 << 20


@contextmanager
def no_file_beyond(size: int) -> Iterator[None]:
    """The kernel refuses to let a file grow beyond it, as a full disk does."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_capture_without_room(store: LayerStore, publish: Publish) -> None:
    work = store.work_directory()
    (work.path / "a").write_text("one")
    head = publish(work, 1)
    (work.path / "noise").write_bytes(os.urandom(3 * MIB))
    with no_file_beyond(MIB), pytest.raises(NoRoom, match="the head is as it was"):
        publish(work, 2)
    assert work.head == head
    assert store.verify().whole
    assert list((store.state_dir / "tmp").iterdir()) == []
    assert publish(work, 3).parent == head.hash


def test_gc_on_a_full_disk_frees_what_needs_no_copy(store: LayerStore, publish: Publish, state: Path) -> None:
    """A pack that is half needed is copied to be rid of the other half; without room it stays, the rest goes."""
    work = store.work_directory()
    (work.path / "kept").write_bytes(os.urandom(2 * MIB))
    (work.path / "waste").write_bytes(os.urandom(3 * MIB))
    first = publish(work, 1)
    work.clear()
    (work.path / "kept").write_bytes(store.read(first.hash, "kept"))
    second = publish(work, 2)
    (work.path / "more").write_bytes(os.urandom(MIB))
    third = publish(work, 3)
    work.checkout(second.hash)
    with no_file_beyond(MIB):
        assert store.gc(keep=[]).freed >= MIB
    assert store.layers() == [second]
    assert sum(path.stat().st_size for path in (state / "packs").iterdir()) > 5 * MIB
    assert third.hash not in store.heads().values()
    assert store.verify().whole
    assert store.gc().freed >= 3 * MIB
    assert store.verify().whole


def test_a_checkout_without_room_goes_back(store: LayerStore, publish: Publish, full_picture: Picture) -> None:
    """What was there already is there again, times and all."""
    work = store.work_directory()
    (work.path / "a").mkdir()
    (work.path / "a" / "noise").write_bytes(os.urandom(3 * MIB))
    (work.path / "both").write_text("one")
    first = publish(work, 1)
    (work.path / "a" / "noise").unlink()
    (work.path / "a").rmdir()
    (work.path / "a").write_text("a file now")
    (work.path / "both").write_text("two")
    second, before = publish(work, 2), full_picture(work.path)
    with no_file_beyond(MIB), pytest.raises(NoRoom):
        work.checkout(first.hash)
    assert (work.head, full_picture(work.path)) == (second, before)
    assert work.status().clean
    work.checkout(first.hash)
    assert (work.path / "a" / "noise").stat().st_size == 3 * MIB


@pytest.mark.skipif(os.geteuid() != 0, reason="only root mounts")
def test_a_file_system_that_fills_up(tmp_path: Path, publish: Publish, full_picture: Picture) -> None:
    """Round by round, with whatever is the first not to find room: packs, index, or the directory."""
    mount = tmp_path / "small"
    mount.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", mount], check=True)
    try:
        with LayerStore.open(mount / "state") as store:
            work = store.work_directory(mount / "work")
            failed, heads = 0, []
            for number in range(60):
                try:
                    (work.path / f"f{number}").write_bytes(os.urandom(60_000))
                except OSError:
                    (work.path / f"f{number}").unlink(missing_ok=True)
                before, head = full_picture(work.path), work.head
                try:
                    heads.append(publish(work, number))
                    work.checkout(heads[number // 2 % len(heads)].hash)
                except StorageUnavailable:
                    failed += 1
                    assert work.head in (head, heads[-1] if heads else None)
                    assert full_picture(work.path) == before
            assert failed
            for path in work.path.iterdir():
                path.unlink()
            work.restore()
            assert store.verify().whole
            assert work.status().clean
    finally:
        subprocess.run(["umount", mount], check=True)
