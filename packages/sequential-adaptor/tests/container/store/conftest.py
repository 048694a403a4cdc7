"""Stores to work with, and the naive model: a full copy of what a folder holds."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from hashlib import sha256
from pathlib import Path

import pytest

from sequential_adaptor.runners.container.store import LayerRecord, LayerStore, WorkDirectory

NOBODY = 65534
Picture = dict[bytes, tuple[object, ...]]


def take_picture(path: Path | bytes) -> Picture:
    """All that a layer is to keep of a folder, and the modification times, by path."""
    found: Picture = {}
    root = os.fsencode(path)
    waiting = [b""]
    while waiting:
        below = waiting.pop()
        for name in os.listdir(os.path.join(root, below)):
            at = os.path.join(below, name)
            whole = os.path.join(root, at)
            info = os.lstat(whole)
            mode = 0o777 if stat.S_ISLNK(info.st_mode) else info.st_mode & 0o1777
            content: object = None
            if stat.S_ISREG(info.st_mode):
                with open(whole, "rb") as file:
                    content = file.read()
            elif stat.S_ISLNK(info.st_mode):
                content = os.readlink(whole)
            elif stat.S_ISDIR(info.st_mode):
                waiting.append(at)
            found[at] = (stat.S_IFMT(info.st_mode), mode, content, info.st_mtime_ns)
    return found


def without_times(picture: Picture) -> Picture:
    """What counts for identity."""
    return {path: one[:3] for path, one in picture.items()}


@pytest.fixture
def picture() -> Callable[[Path], Picture]:
    """The picture of a folder, without times."""
    return lambda path: without_times(take_picture(path))


@pytest.fixture
def full_picture() -> Callable[[Path], Picture]:
    """The picture of a folder, times and all."""
    return take_picture


@pytest.fixture
def key() -> Callable[[object], str]:
    """A key of a layer."""
    return lambda value: sha256(repr(value).encode()).hexdigest()


@pytest.fixture
def state(tmp_path: Path) -> Path:
    """Where a store is."""
    return tmp_path / "state"


@pytest.fixture
def store(state: Path) -> Iterator[LayerStore]:
    with LayerStore.open(state) as store:
        yield store


@pytest.fixture
def work(store: LayerStore) -> WorkDirectory:
    return store.work_directory()


@pytest.fixture
def ordinary_folder() -> Iterator[Path]:
    """A folder of a user who is not root, while this process is that user; only root can become one."""
    folder, root = Path(tempfile.mkdtemp()), os.geteuid() == 0
    if root:
        os.chown(folder, NOBODY, NOBODY)
        os.setegid(NOBODY)
        os.seteuid(NOBODY)
    try:
        yield folder
    finally:
        if root:
            os.seteuid(0)
            os.setegid(0)
        subprocess.run(["chmod", "-R", "u+rwX", folder], check=True)
        shutil.rmtree(folder)


@pytest.fixture
def publish(key: Callable[[object], str]) -> Callable[..., LayerRecord]:
    """Capture a work directory and publish it under a key of its own."""

    def publish(work: WorkDirectory, name: object = "x", **fields: object) -> LayerRecord:
        return work.publish(key((name, work.head)), work.capture(), fields)

    return publish
