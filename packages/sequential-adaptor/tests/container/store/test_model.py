"""A store agrees with the naive model, a full copy of the folder at each layer, whatever is done in whatever order."""

from __future__ import annotations

import os
import shutil
import stat
import tempfile
from collections.abc import Callable
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sequential_adaptor.runners.container.store import Changes, LayerStore

Picture = dict[bytes, tuple[Any, ...]]

NAMES = [b"a", b"b", b"-rf", b".git", b".wh.a", b"line\nbreak", b"\xff\xfe", b"x" * 255, b" ", "é".encode()]
FEW = st.sampled_from([b"a", b"b", b"a/b", b"b/a", b"a/b/a", b"line\nbreak/\xff"])  # so that the same is met again
PATHS = FEW | FEW | st.lists(st.sampled_from(NAMES), min_size=1, max_size=3).map(b"/".join)
CONTENTS = st.sampled_from([b"", b"one", b"two", b"three" * 50, bytes(range(256)) * 40])
MODES = st.sampled_from([0o644, 0o600, 0o755, 0o444, 0o1755])
TARGETS = st.sampled_from([b"a", b"/etc/passwd", b"../../..", b"b/a", b"loop", b"\xff"])
TIMES = st.sampled_from([0, 1, 1_700_000_000_123_456_789, -5_000_000_001, 4_102_444_800_000_000_000])


def naive_changes(before: Picture, after: Picture) -> Changes:
    """What differs between two pictures."""
    both = before.keys() & after.keys()
    return Changes(
        tuple(sorted(map(os.fsdecode, after.keys() - before.keys()))),
        tuple(sorted(os.fsdecode(path) for path in both if before[path][:3] != after[path][:3])),
        tuple(sorted(map(os.fsdecode, before.keys() - after.keys()))),
    )


class Model:
    """A store, and a full copy of what was in the directory at each layer."""

    def __init__(self, folder: Path, take_picture: Callable[[Path], Picture]) -> None:
        self.folder = folder
        self.take_picture = take_picture
        self.layers: dict[str, Picture] = {}
        self.parents: dict[str, str | None] = {}
        self.count = 0
        self.open()
        for number, path in enumerate([b"a", b"b/a", b"b/c", b".git/HEAD"]):
            self.make_parent(path)
            self.write(path, b"%d" % number)

    def open(self) -> None:
        self.store = LayerStore.open(self.folder / "state")
        self.work = self.store.work_directory()
        self.root = os.fsencode(self.work.path)

    def at(self, path: bytes) -> bytes:
        return os.path.join(self.root, path)

    def picture(self) -> Picture:
        return self.take_picture(self.work.path)

    def head(self) -> str | None:
        head = self.work.head
        return head.hash if head is not None else None

    def expected(self) -> Picture:
        head = self.head()
        return self.layers[head] if head is not None else {}

    # ---- what commands do

    def make_parent(self, path: bytes) -> None:
        os.makedirs(os.path.dirname(self.at(path)), exist_ok=True)

    def write(self, path: bytes, content: bytes) -> None:
        fd = os.open(self.at(path), os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NONBLOCK)  # waits for no reader
        with open(fd, "wb") as file:
            file.write(content)

    def make_folder(self, path: bytes) -> None:
        os.makedirs(self.at(path))

    def link(self, path: bytes, target: bytes) -> None:
        os.symlink(target, self.at(path))

    def hard_link(self, path: bytes, target: bytes) -> None:
        os.link(self.at(target), self.at(path), follow_symlinks=False)

    def make_fifo(self, path: bytes) -> None:
        os.mkfifo(self.at(path))

    def remove(self, path: bytes) -> None:
        if os.path.isdir(self.at(path)) and not os.path.islink(self.at(path)):
            shutil.rmtree(self.at(path))
        else:
            os.unlink(self.at(path))

    def rename(self, path: bytes, target: bytes) -> None:
        os.rename(self.at(path), self.at(target))

    def change_mode(self, path: bytes, mode: int) -> None:
        found = os.lstat(self.at(path)).st_mode
        if not stat.S_ISLNK(found):
            os.chmod(self.at(path), mode | 0o700 if stat.S_ISDIR(found) else mode)

    def change_time(self, path: bytes, time: int) -> None:
        os.utime(self.at(path), ns=(time, time), follow_symlinks=False)

    # ---- what the store does

    def status(self, data: st.DataObject) -> None:
        assert self.work.status() == naive_changes(self.expected(), self.picture())

    def publish(self, data: st.DataObject) -> None:
        before, now = self.expected(), self.picture()
        capture = self.work.capture()
        assert capture.changes == naive_changes(before, now)
        self.count += 1
        parent = self.head()
        layer = self.work.publish(sha256(b"%d" % self.count).hexdigest(), capture, {"number": self.count})
        assert (layer.parent, layer.fields) == (parent, {"number": self.count})
        assert layer.size == sum(len(one[2]) for one in now.values() if one[2] is not None)
        self.layers[layer.hash], self.parents[layer.hash] = now, parent

    def capture_without_publishing(self, data: st.DataObject) -> None:
        self.work.capture()

    def restore(self, data: st.DataObject) -> None:
        undone = naive_changes(self.expected(), self.picture())
        assert self.work.restore() == undone
        assert self.picture() == self.expected()

    def check_out(self, data: st.DataObject) -> None:
        self.work.restore()
        layer = data.draw(st.sampled_from(sorted(self.layers)))
        self.work.checkout(layer)
        assert self.picture() == self.layers[layer]
        assert self.work.status().clean

    def difference(self, data: st.DataObject) -> None:
        layers = st.sampled_from([None, *sorted(self.layers)])
        left, right = data.draw(layers), data.draw(layers)
        found = self.store.diff(left, right)
        assert found == naive_changes(self.layers.get(left or "", {}), self.layers.get(right or "", {}))

    def collect(self, data: st.DataObject) -> None:
        self.store.gc()

    def collect_layers(self, data: st.DataObject) -> None:
        """What was chosen, the head, and what came before them stay; the rest is gone."""
        kept = data.draw(st.lists(st.sampled_from(sorted(self.layers)), max_size=2))
        self.store.gc(keep=kept)
        staying: set[str] = set()
        for start in [*kept, self.head()]:
            while start is not None and start not in staying:
                staying.add(start)
                start = self.parents[start]
        assert {layer.hash for layer in self.store.layers()} == staying
        self.layers = {hash: self.layers[hash] for hash in staying}

    def reopen(self, data: st.DataObject) -> None:
        self.store.close()
        self.open()


CHANGES = st.one_of(
    st.tuples(st.just(Model.write), PATHS, CONTENTS),
    st.tuples(st.just(Model.write), PATHS, CONTENTS),
    st.tuples(st.just(Model.make_folder), PATHS),
    st.tuples(st.just(Model.link), PATHS, TARGETS),
    st.tuples(st.just(Model.hard_link), PATHS, PATHS),
    st.tuples(st.just(Model.make_fifo), PATHS),
    st.tuples(st.just(Model.remove), PATHS),
    st.tuples(st.just(Model.rename), PATHS, PATHS),
    st.tuples(st.just(Model.change_mode), PATHS, MODES),
    st.tuples(st.just(Model.change_time), PATHS, TIMES),
)
ACTIONS = [
    Model.status,
    Model.publish,
    Model.publish,
    Model.capture_without_publishing,
    Model.restore,
    Model.check_out,
    Model.check_out,
    Model.difference,
    Model.collect,
    Model.collect_layers,
    Model.reopen,
]
STEPS = st.lists(st.tuples(st.lists(CHANGES, max_size=5), st.sampled_from(ACTIONS)), min_size=5, max_size=15)


@given(steps=STEPS, data=st.data())
@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
def test_layers_are_as_good_as_full_copies(
    full_picture: Callable[[Path], Picture], steps: list[Any], data: st.DataObject
) -> None:
    """Changes, captures, checkouts (times and all), restores, differences, sizes, and what gc keeps."""
    with tempfile.TemporaryDirectory() as folder:
        model = Model(Path(folder), full_picture)
        model.publish(data)
        for changes, action in steps:
            for change, *arguments in changes:
                with suppress(OSError):
                    change(model, *arguments)
            action(model, data)
        assert model.store.verify().whole
        model.store.close()
