"""The upper folder of an overlay mount is the change: the tree that the mount showed, and nothing else, is captured."""

from __future__ import annotations

import os
import stat
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from sequential_adaptor.runners.container.store import LayerRecord, LayerStore, NotCapturable, WorkDirectory

Publish = Callable[..., LayerRecord]
Picture = Callable[[Path], dict[bytes, tuple[Any, ...]]]


@pytest.fixture
def upper(tmp_path: Path) -> Path:
    path = tmp_path / "upper"
    path.mkdir()
    return path


@pytest.fixture
def mounted(work: WorkDirectory, upper: Path, tmp_path: Path) -> Iterator[Callable[[], Path]]:
    """Mounts an overlay over the work directory, with ``upper`` as its upper folder."""
    merged = tmp_path / "merged"

    def mount() -> Path:
        for folder in (merged, tmp_path / "scratch"):
            folder.mkdir()
        options = f"lowerdir={work.path},upperdir={upper},workdir={tmp_path / 'scratch'}"
        done = subprocess.run(["mount", "-t", "overlay", "overlay", "-o", options, merged], capture_output=True)
        if done.returncode:
            pytest.skip(f"no overlay can be mounted here: {done.stderr.decode().strip()}")
        return merged

    yield mount
    if os.path.ismount(merged):
        subprocess.run(["umount", merged], check=True)


def fill(folder: Path) -> None:
    for path in ("a", "b/c", "b/d", "b/below/e", "gone/f", "opaque/g", "file"):
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(path)
    (folder / "link").symlink_to("a")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root mounts")
def test_a_mount_is_captured_as_it_showed_itself(
    store: LayerStore, work: WorkDirectory, publish: Publish, mounted: Callable[[], Path], upper: Path, picture: Picture
) -> None:
    """Deletions, folders replaced (opaque), kinds swapped, bits, links, hard links; then the directory is brought
    there, and it is what a full look at it says too."""
    fill(work.path)
    first = publish(work)
    merged = mounted()
    (merged / "a").write_text("new")
    (merged / "b" / "c").unlink()
    (merged / "b" / "below" / "new").write_text("new")
    (merged / "gone" / "f").unlink()
    (merged / "gone").rmdir()
    (merged / "opaque" / "g").unlink()
    (merged / "opaque").rmdir()
    (merged / "opaque").mkdir()
    (merged / "opaque" / "h").write_text("h")
    (merged / "file").unlink()
    (merged / "file").mkdir()
    (merged / "file" / ".wh.x").write_text("a name like any other")
    (merged / "b" / "d").chmod(0o600)
    os.link(merged / "b" / "d", merged / "hard")
    (merged / "link").unlink()
    (merged / "link").symlink_to("/nowhere")
    os.mkfifo(merged / "fifo")
    shown, untouched = picture(merged), picture(work.path)
    subprocess.run(["umount", merged], check=True)
    capture = work.capture_overlay(upper)
    assert picture(work.path) == untouched
    layer = work.publish("0" * 64, capture, {})
    assert picture(work.path) == shown
    assert work.status().clean
    assert work.capture().tree == layer.tree
    assert capture.changes == store.diff(first.hash, layer.hash)
    assert "gone/f" in capture.changes.deleted
    work.checkout(first.hash)
    assert picture(work.path) == untouched


def test_attributes_of_an_overlay_without_root(work: WorkDirectory, publish: Publish, upper: Path) -> None:
    """In a user namespace the kernel writes ``user.overlay.*``: whiteouts and opaque folders count all the same."""
    fill(work.path)
    publish(work)
    (upper / "opaque").mkdir()
    (upper / "b").mkdir()
    (upper / "a").touch()
    os.setxattr(upper / "opaque", "user.overlay.opaque", b"y")
    os.setxattr(upper / "a", "user.overlay.whiteout", b"y")
    work.publish("0" * 64, work.capture_overlay(upper), {})
    assert not (work.path / "a").exists()
    assert os.listdir(work.path / "opaque") == []
    assert (work.path / "b" / "c").read_text() == "b/c"


@pytest.mark.parametrize("mark", ["redirect", "metacopy"])
def test_a_reference_to_the_lower_folder_is_refused(work: WorkDirectory, upper: Path, mark: str) -> None:
    """Content that is not in the upper folder would be lost: the error says how to mount it."""
    (upper / "a").mkdir()
    os.setxattr(upper / "a", f"user.overlay.{mark}", b"/b")
    with pytest.raises(NotCapturable, match=f"'a' cannot be kept.*{mark}.*=off"):
        work.capture_overlay(upper)


def test_an_empty_upper_folder_is_no_change(work: WorkDirectory, publish: Publish, upper: Path) -> None:
    fill(work.path)
    layer = publish(work)
    capture = work.capture_overlay(upper)
    assert (capture.tree, capture.changes.clean) == (layer.tree, True)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root makes devices")
def test_a_device_is_refused_by_name(work: WorkDirectory, upper: Path) -> None:
    os.mknod(upper / "null", stat.S_IFCHR | 0o666, os.makedev(1, 3))
    with pytest.raises(NotCapturable, match="'null' cannot be kept: it is a device"):
        work.capture_overlay(upper)
