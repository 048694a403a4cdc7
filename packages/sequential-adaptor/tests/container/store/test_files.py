"""What a layer keeps of a file, what it refuses by name, and that nothing outside of the work directory is touched."""

from __future__ import annotations

import os
import re
import shutil
import socket
import stat
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sequential_adaptor.runners.container.store import LayerRecord, LayerStore, NotCapturable, WorkDirectory, ticks

Publish = Callable[..., LayerRecord]
Picture = Callable[[Path], dict[bytes, tuple[Any, ...]]]


def test_a_write_in_the_tick_of_the_capture_is_seen(work: WorkDirectory) -> None:
    """Same size, same stat as far as the clock of the kernel goes: it is a change all the same (git: racy entries)."""
    path = work.path / "a"
    for number in range(40):
        path.write_text(f"{number:04}")
        work.capture()
        path.write_text(f"{number + 5000:04}")
        assert work.status().added == ("a",)
        assert work.publish(f"{number:064x}", work.capture(), {}).size == 4
        path.write_text(f"{number + 7000:04}")
        assert work.status().modified == ("a",)
        work.restore()
        assert path.read_text() == f"{number + 5000:04}"
        work.clear()


def test_a_change_that_was_dated_back_is_seen(work: WorkDirectory, publish: Publish) -> None:
    """The mtime can be set by anybody; the ctime cannot."""
    path = work.path / "a"
    path.write_text("one")
    before = path.stat()
    publish(work)
    with path.open("r+") as file:
        file.write("two")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert work.status().modified == ("a",)


def test_a_time_alone_is_no_change_and_is_kept(work: WorkDirectory, publish: Publish) -> None:
    (work.path / "a").write_text("one")
    os.utime(work.path / "a", ns=(5, 1_234_567_890_123_456_789))
    first = publish(work)
    os.utime(work.path / "a", ns=(5, -7))
    assert work.status().clean
    second = publish(work)
    assert second.tree == first.tree
    work.checkout(first.hash)
    assert (work.path / "a").stat().st_mtime_ns == 1_234_567_890_123_456_789
    work.checkout(second.hash)
    assert (work.path / "a").stat().st_mtime_ns == -7


def test_sockets_and_fifos_are_kept_and_never_opened(work: WorkDirectory, publish: Publish, picture: Picture) -> None:
    """A FIFO that is opened waits for ever for somebody to write."""
    with socket.socket(socket.AF_UNIX) as server:
        folder = os.open(work.path, os.O_RDONLY)
        server.bind(f"/proc/self/fd/{folder}/socket")  # the path of a socket may have 107 bytes
        os.close(folder)
    os.mkfifo(work.path / "fifo", 0o600)
    before, layer = picture(work.path), publish(work)
    work.clear()
    work.checkout(layer.hash)
    assert picture(work.path) == before
    assert stat.S_ISSOCK(os.lstat(work.path / "socket").st_mode)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root makes devices")
def test_a_device_is_refused_by_name_and_restored_away(work: WorkDirectory, publish: Publish) -> None:
    publish(work)
    os.mknod(work.path / "null", stat.S_IFCHR | 0o666, os.makedev(1, 3))
    with pytest.raises(NotCapturable, match="'null' cannot be kept: it is a device"):
        work.capture()
    assert work.capture(ignore=["null"]).changes.clean
    work.restore()
    assert os.listdir(work.path) == []


def test_an_unreadable_file_is_named_and_restored_away(ordinary_folder: Path, publish: Publish) -> None:
    """Capture says which; restore needs to read neither files nor folders to be rid of them."""
    with LayerStore.open(ordinary_folder / "state") as store:
        work = store.work_directory()
        (work.path / "kept").mkdir()
        (work.path / "kept" / "a").write_text("a")
        publish(work)
        for name in ("secret", "folder"):
            (work.path / "folder").mkdir(exist_ok=True)
            (work.path / "folder" / "inside").write_text("b")
            (work.path / "secret").write_text("b")
            (work.path / name).chmod(0)
            with pytest.raises(NotCapturable, match=f"'{name}.*' cannot be kept"):
                work.capture()
            (work.path / "kept" / "a").chmod(0)
            (work.path / "kept").chmod(0)
            work.restore()
            assert work.status().clean
            assert (work.path / "kept" / "a").read_text() == "a"


def test_folders_without_permissions_are_filled_changed_and_left(ordinary_folder: Path, publish: Publish) -> None:
    """By a user who is bound by them: what may not be written is opened for a moment, and has its bits again after."""
    with LayerStore.open(ordinary_folder / "state") as store:
        work = store.work_directory()
        (work.path / "a" / "b").mkdir(parents=True)
        (work.path / "a" / "b" / "c").write_text("one")
        for path in ("a/b/c", "a/b", "a"):
            (work.path / path).chmod(0o500)
        first = publish(work)
        (work.path / "a").chmod(0o700)
        (work.path / "a" / "b").chmod(0o700)
        (work.path / "a" / "b" / "c").unlink()
        (work.path / "a" / "b" / "d").write_text("two")
        (work.path / "a" / "b").chmod(0o500)
        (work.path / "a").chmod(0o500)
        second = publish(work)
        for layer in (first, second, first):
            work.checkout(layer.hash)
            assert work.status().clean
            assert stat.S_IMODE((work.path / "a" / "b").stat().st_mode) == 0o500
        work.clear()
        assert os.listdir(work.path) == []


def test_a_directory_that_locked_itself_out_is_opened_again(ordinary_folder: Path, publish: Publish) -> None:
    """A command that takes the permissions of the work directory itself, killed: all is as before."""
    state = ordinary_folder / "state"
    with LayerStore.open(state) as store:
        work = store.work_directory()
        (work.path / "a").write_text("one")
        publish(work)
        mode = work.path.stat().st_mode
        work.begin()
        (work.path / "a").unlink()
        work.path.chmod(0)
    with LayerStore.open(state) as store:
        work = store.work_directory()
        assert (work.path.stat().st_mode, (work.path / "a").read_text()) == (mode, "one")


def test_a_file_that_changes_while_it_is_read_is_named(work: WorkDirectory) -> None:
    """Its size stays, and what is written lies behind what has been read already."""
    path, stop = work.path / "log", threading.Event()
    path.write_bytes(bytes(64 << 20))

    def write_once_opened() -> None:
        while str(path) not in map(target_of, os.listdir("/proc/self/fd")) and not stop.is_set():
            pass
        path_fd = os.open(path, os.O_WRONLY)
        while not stop.is_set():
            os.pwrite(path_fd, b"x", 0)
        os.close(path_fd)

    thread = threading.Thread(target=write_once_opened)
    thread.start()
    try:
        with pytest.raises(NotCapturable, match="'log' cannot be kept: it changed while it was read"):
            work.capture()
    finally:
        stop.set()
        thread.join()
    assert work.capture().changes.added == ("log",)


def target_of(fd: str) -> str:
    try:
        return os.readlink(f"/proc/self/fd/{fd}")
    except FileNotFoundError:
        return ""


def test_what_was_written_in_this_tick_is_read_after_it() -> None:
    """The clock that stamps files has moved on when a stat is trusted; what will not settle soon is never trusted."""
    for _ in range(20):
        now = time.clock_gettime_ns(ticks.COARSE)
        assert ticks.settle(now, now)
        assert time.clock_gettime_ns(ticks.COARSE) > now
    late = now + 3_600_000_000_001
    assert not ticks.settle(late, late)
    assert ticks.settle(5, late)
    second = now // 1_000_000_000 * 1_000_000_000
    assert not ticks.settle(second, second)
    assert ticks.settle(second - 5_000_000_000, second - 5_000_000_000)


def test_names_of_one_file_elsewhere_are_not_written_through(
    work: WorkDirectory, publish: Publish, tmp_path: Path
) -> None:
    """A hard link to a file outside: neither content, nor bits, nor times of that file are ever changed."""
    outside = tmp_path / "outside"
    outside.write_text("mine")
    outside.chmod(0o640)
    os.utime(outside, ns=(1, 1))
    layers = []
    for text, mode in (("mine", 0o600), ("other", 0o600), ("mine", 0o644), ("mine", 0o640)):
        (work.path / "a").unlink(missing_ok=True)
        (work.path / "a").write_text(text)
        (work.path / "a").chmod(mode)
        layers.append(publish(work, text))
    (work.path / "a").unlink()
    os.link(outside, work.path / "a")
    os.utime(outside, ns=(1, 1))
    assert work.status().clean
    for layer in layers:
        work.checkout(layer.hash)
        (work.path / "a").unlink()
        os.link(outside, work.path / "a")
        work.restore()
    found = outside.stat()
    assert (outside.read_text(), stat.S_IMODE(found.st_mode), found.st_mtime_ns) == ("mine", 0o640, 1)


def test_a_link_in_the_place_of_a_folder_leads_nowhere(work: WorkDirectory, publish: Publish, tmp_path: Path) -> None:
    """Whoever puts a link to a folder outside where a folder was, has nothing written or deleted through it."""
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "file").write_text("mine")
    (work.path / "folder").mkdir()
    (work.path / "folder" / "file").write_text("one")
    first = publish(work)
    (work.path / "folder" / "file").write_text("two")
    (work.path / "folder" / "more").write_text("more")
    second = publish(work)
    for back in (lambda: work.checkout(first.hash), lambda: work.restore(), lambda: work.checkout(second.hash)):
        shutil.rmtree(work.path / "folder")
        (work.path / "folder").symlink_to(outside)
        back()
        assert [path.name for path in outside.iterdir()] == ["file"]
        assert (outside / "file").read_text() == "mine"
        work.restore()
        assert work.status().clean


def test_setuid_and_attributes_are_not_kept(work: WorkDirectory, publish: Publish) -> None:
    """The stated policy: owners are not kept, so what depends on them is not either. A restore takes the bits away."""
    path = work.path / "a"
    path.write_text("one")
    path.chmod(0o755)
    layer = publish(work)
    path.chmod(0o6755)
    os.setxattr(path, "user.note", b"x")
    assert work.status().clean
    work.restore()
    assert stat.S_IMODE(path.stat().st_mode) == 0o755
    path.chmod(0o4755)
    assert publish(work).tree == layer.tree


def test_a_large_file_shares_its_chunks(work: WorkDirectory, publish: Publish, store: LayerStore) -> None:
    """What is appended to it stores at most a chunk and what was appended; content is right to the byte."""
    path = work.path / "large"
    first_content = os.urandom(20 << 20)
    path.write_bytes(first_content)
    first = publish(work)
    assert first.stored >= 20 << 20
    with path.open("ab") as file:
        file.write(b"more")
    second = publish(work)
    assert second.stored <= 8 << 20
    assert store.read(second.hash, "large") == first_content + b"more"
    work.checkout(first.hash)
    assert path.read_bytes() == first_content
    assert store.verify().whole


def test_a_deep_tree_is_refused_by_name_and_restored_away(work: WorkDirectory) -> None:
    """Thousands of levels, more than there are file descriptors."""
    fd = os.open(work.path, os.O_RDONLY)
    for _ in range(1500):
        os.mkdir("d", dir_fd=fd)
        below = os.open("d", os.O_RDONLY, dir_fd=fd)
        os.close(fd)
        fd = below
    os.close(fd)
    with pytest.raises(NotCapturable, match="deeper than 200 folders"):
        work.capture()
    work.restore()
    assert os.listdir(work.path) == []


@pytest.mark.parametrize(
    ("patterns", "left"),
    [
        (["*.pyc"], {"a", "b", "b/c", "b/d.log", "e", "e/cache", "e/cache/f"}),
        (["b"], {"a", "a.pyc", "e", "e/cache", "e/cache/f"}),
        (["a/"], {"a", "a.pyc", "b", "b/c", "b/c.pyc", "b/d.log", "e", "e/cache", "e/cache/f"}),
        (["cache/", "/a*"], {"b", "b/c", "b/c.pyc", "b/d.log", "e"}),
        (["b/*.log", "e/**"], {"a", "a.pyc", "b", "b/c", "b/c.pyc", "e"}),
        (["[ab]", "?.pyc"], {"e", "e/cache", "e/cache/f"}),
        (["**/*"], set()),
    ],
)
def test_what_is_ignored_is_left_alone(
    work: WorkDirectory, publish: Publish, patterns: list[str], left: set[str]
) -> None:
    """It is in no layer, no status, and survives checkouts and restores."""
    publish(work)
    for folder in ("b", "e/cache"):
        (work.path / folder).mkdir(parents=True)
    for file in ("a", "a.pyc", "b/c", "b/c.pyc", "b/d.log", "e/cache/f"):
        (work.path / file).write_text(file)
    everything = {str(path.relative_to(work.path)) for path in work.path.rglob("*")}
    assert set(work.status(patterns).added) == left
    capture = work.capture(patterns)
    assert set(capture.changes.added) == left
    work.publish("0" * 64, capture, {})
    assert work.status(patterns).clean
    work.restore(patterns)
    assert {str(path.relative_to(work.path)) for path in work.path.rglob("*")} == everything
    work.restore()
    assert {str(path.relative_to(work.path)) for path in work.path.rglob("*")} == left


def test_what_is_ignored_stays_as_the_parent_has_it(work: WorkDirectory, publish: Publish, store: LayerStore) -> None:
    """Changed or deleted: the next layer has what its parent has."""
    (work.path / "log").write_text("old")
    (work.path / "folder").mkdir()
    (work.path / "folder" / "log").write_text("old")
    publish(work)
    (work.path / "log").write_text("new")
    (work.path / "folder" / "log").unlink()
    (work.path / "a").write_text("a")
    capture = work.capture(["log"])
    assert capture.changes.added == ("a",)
    assert (capture.changes.modified, capture.changes.deleted) == ((), ())
    layer = work.publish("0" * 64, capture, {})
    assert store.read(layer.hash, "folder/log") == b"old"


@pytest.mark.parametrize("patterns", ["*.pyc", ["!a"], [""], ["/"], ["[z-a]"]])
def test_patterns_that_mean_nothing_are_refused(work: WorkDirectory, patterns: Any) -> None:
    with pytest.raises(ValueError, match=re.compile("ignore")):
        work.status(patterns)
