"""Layers by name, what gc keeps, who may write where, and several at once."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from sequential_adaptor.errors import ConfigurationError, InvalidId, StorageDamaged, StorageError
from sequential_adaptor.runners.container.store import (
    Changes,
    LayerRecord,
    LayerStore,
    RefusedDirectory,
    UnknownLayer,
    UnknownPath,
    WorkDirectory,
    WorkDirectoryBusy,
    WorkDirectoryMoved,
)

Publish = Callable[..., LayerRecord]
Key = Callable[[object], str]


def change(work: WorkDirectory, publish: Publish, text: str) -> LayerRecord:
    (work.path / "a").write_text(text)
    return publish(work, text)


# ---- opening


def test_opening_what_cannot_be_a_store(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigurationError, match="cannot be the state folder"):
        LayerStore.open(tmp_path / "file")


def test_many_open_a_new_store_at_once(state: Path) -> None:
    """Whoever is first makes it; all of them have it."""
    code = "import sys; from sequential_adaptor.runners.container.store import *; LayerStore.open(sys.argv[1]).layers()"
    children = [subprocess.Popen([sys.executable, "-c", code, str(state)]) for _ in range(4)]
    assert [child.wait() for child in children] == [0] * 4


def test_what_a_killed_capture_left_is_taken_away(store: LayerStore, state: Path, work: WorkDirectory) -> None:
    """When the store is opened, unless somebody is writing just then."""
    left = state / "tmp" / "left.pack"
    left.write_bytes(bytes(1000))
    with open(state / "lock") as file:
        fcntl.flock(file, fcntl.LOCK_SH)
        LayerStore.open(state).close()
        assert left.exists()
    LayerStore.open(state).close()
    assert not left.exists()


# ---- identity


def test_a_layer_is_named_by_key_tree_and_parent(work: WorkDirectory, key: Key) -> None:
    """The same change on another parent is another layer; the same on the same is the one that is there."""
    (work.path / "a").write_text("one")
    first = work.publish(key(1), work.capture(), {"time": 1})
    second = work.publish(key(1), work.capture(), {"time": 2})
    assert first.tree == second.tree
    assert (second.parent, second.hash != first.hash) == (first.hash, True)
    work.checkout(first.hash)
    again = work.publish(key(1), work.capture(), {"time": 3})
    assert again == second
    assert work.head == second
    expected = sha256(f"layer 1\n{key(1)}\n{first.tree}\n-\n".encode()).hexdigest()
    assert (first.hash, first.short) == (expected, expected[:12])


def test_the_same_tree_has_the_same_name_in_any_store(tmp_path: Path, publish: Publish) -> None:
    """Whatever the order in which its files were made."""
    trees = []
    for order in (1, -1):
        with LayerStore.open(tmp_path / f"state{order}") as store:
            work = store.work_directory()
            for name in sorted(["b", "a", "c/d", "é"], reverse=order < 0):
                (work.path / name).parent.mkdir(exist_ok=True)
                (work.path / name).write_text(name)
            trees.append(publish(work).tree)
    assert trees[0] == trees[1]


@pytest.mark.parametrize("key", ["", "x", "a" * 63, "A" * 64, "a" * 65, "a" * 64 + "\n"])
def test_a_key_is_64_hex_digits(work: WorkDirectory, key: str) -> None:
    with pytest.raises(InvalidId, match="key"):
        work.publish(key, work.capture(), {})


@pytest.mark.parametrize(
    "fields", [{}, {"a": None, "b": 0, "c": False, "d": "", "e": [], "f": {}, "g": "é\n", "h": 10**30}]
)
def test_fields_come_back_as_they_were(
    work: WorkDirectory, store: LayerStore, key: Key, fields: dict[str, Any]
) -> None:
    layer = work.publish(key(1), work.capture(), fields)
    assert store.find(key(1)) == layer
    assert layer.fields == fields
    assert [type(value) for value in layer.fields.values()] == [type(value) for value in fields.values()]


def test_find_gives_the_layer_published_last(work: WorkDirectory, store: LayerStore, key: Key) -> None:
    assert store.find(key(1)) is None
    for text in ("one", "two"):
        (work.path / "a").write_text(text)
        last = work.publish(key(1), work.capture(), {})
    assert store.find(key(1)) == last


# ---- references


def test_references(work: WorkDirectory, publish: Publish, store: LayerStore) -> None:
    """A full hash, an unambiguous beginning, a tag; else an error with the choices."""
    first, second = change(work, publish, "one"), change(work, publish, "two")
    assert store.tag("release/1.0", first.short) == first
    for ref in (first.hash, first.short, first.hash[:6], "release/1.0"):
        assert store.resolve(ref) == first.hash
        assert store.layer(ref) == first
    for ref in ("nothing", "", "0" * 64, first.hash[:3], "%", first.hash + "0"):
        with pytest.raises(UnknownLayer, match=f"release/1.0, {second.short}, {first.short}") as caught:
            store.layer(ref)
        assert caught.value.choices == ("release/1.0", second.short, first.short)
    assert isinstance(caught.value, LookupError)


def test_an_ambiguous_reference_names_what_it_may_mean(
    work: WorkDirectory, publish: Publish, store: LayerStore
) -> None:
    hashes: dict[str, str] = {}
    for number in range(2000):
        layer = work.publish(f"{number:064x}", work.capture(), {})
        other = hashes.setdefault(layer.hash[:4], layer.hash)
        if other != layer.hash:
            break
    with pytest.raises(UnknownLayer, match="is the beginning of several layers") as caught:
        store.resolve(layer.hash[:4])
    assert set(caught.value.choices) == {layer.hash[:16], other[:16]}


def test_tags_move_and_go(work: WorkDirectory, publish: Publish, store: LayerStore) -> None:
    first, second = change(work, publish, "one"), change(work, publish, "two")
    store.tag("b", first.hash)
    store.tag("a", first.hash)
    store.tag("b", second.hash)
    assert list(store.tags().items()) == [("a", first.hash), ("b", second.hash)]
    store.untag("a")
    assert store.tags() == {"b": second.hash}
    with pytest.raises(UnknownLayer):
        store.untag("a")
    for name in ("", "-a", " a", "a b", "é", "0123456789ab", "a" * 64, "x" * 256, "a\n"):
        with pytest.raises(InvalidId, match="tag"):
            store.tag(name, first.hash)


def test_history(work: WorkDirectory, publish: Publish, store: LayerStore) -> None:
    """Ancestry and children, on a tree of three."""
    first = change(work, publish, "one")
    second = change(work, publish, "two")
    work.checkout(first.hash)
    third = change(work, publish, "three")
    assert store.layers() == [first, second, third]
    assert [layer.number for layer in store.layers()] == [1, 2, 3]
    assert store.ancestry(third.hash) == [third, first]
    assert store.children(first.hash) == [second, third]
    assert store.heads() == {str(work.path): third.hash}


def test_reading(work: WorkDirectory, publish: Publish, store: LayerStore) -> None:
    """Any spelling of a path that stays inside; what is no file is said to be what it is."""
    (work.path / "folder").mkdir()
    (work.path / "folder" / "a").write_text("one")
    (work.path / "link").symlink_to("folder")
    (work.path / os.fsdecode(b"\xff")).touch()
    ref = publish(work).hash
    for path in ("folder/a", b"folder/a", Path("folder/a"), "./folder//a"):
        assert store.read(ref, path) == b"one"
    assert store.read(ref, b"\xff") == store.read(ref, "\udcff") == b""
    wrong = {
        "folder": "a folder",
        "link": "a symbolic link",
        "link/a": "no such file",
        "none": "no such file",
        "": "folder",
    }
    for path, reason in wrong.items():
        with pytest.raises(UnknownPath, match=reason):
            store.read(ref, path)
    for path in ("folder/../a", "../../etc/passwd", ".."):
        with pytest.raises(UnknownPath, match="leads out of the layer"):
            store.read(ref, path)


def test_paths_as_json(work: WorkDirectory) -> None:
    (work.path / os.fsdecode(b"\xff\n\\")).touch()
    found = work.status()
    assert found.added == ("\udcff\n\\",)
    assert found.as_json() == {"added": ["\\xff\n\\"], "modified": [], "deleted": []}


# ---- work directories


def test_refused_work_directories(
    store: LayerStore, state: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By whatever name: links are resolved first."""
    monkeypatch.setenv("HOME", str(tmp_path / "home" / "me"))
    (tmp_path / "home" / "me").mkdir(parents=True)
    (tmp_path / "file").touch()
    (tmp_path / "to-root").symlink_to("/")
    (tmp_path / "to-state").symlink_to(state)
    store.work_directory(state / "work").close()
    store.work_directory(state / "forks" / "one").close()
    store.work_directory(tmp_path / "home" / "me" / "project").close()
    wrong = ["/", "~", "file", "home", "home/me", ".", "to-root", "to-state", "state", "state/packs", "state/forks"]
    wrong += ["state/work/below", "state/forks/one/below", "home/me/project/below", "/usr/.."]
    for path in wrong:
        with pytest.raises(RefusedDirectory, match="cannot be the work directory"):
            store.work_directory(path if path.startswith(("/", "~")) else tmp_path / path)
    assert not (state / "work" / "below").exists()


def test_one_writer_per_directory(store: LayerStore, work: WorkDirectory, state: Path, tmp_path: Path) -> None:
    """In this process or another, through this store or another; free when it is closed, or its process is gone."""
    with pytest.raises(WorkDirectoryBusy, match=f"in use by process {os.getpid()}"):
        store.work_directory()
    with LayerStore.open(tmp_path / "other") as other, pytest.raises(StorageError):
        other.work_directory(work.path)
    code = (
        "import sys; from sequential_adaptor.runners.container.store import *\n"
        "work = LayerStore.open(sys.argv[1]).work_directory()\n"
        "print('taken', flush=True); sys.stdin.read()"
    )
    command = [sys.executable, "-c", code, str(state)]
    busy = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    assert "WorkDirectoryBusy" in busy.stderr
    work.close()
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "taken\n"
        with pytest.raises(WorkDirectoryBusy, match=f"in use by process {child.pid}"):
            store.work_directory()
        child.kill()
    assert store.work_directory().head is None


def test_a_directory_that_was_taken_away(
    store: LayerStore, work: WorkDirectory, publish: Publish, tmp_path: Path
) -> None:
    """The lock is of the folder that was taken: nothing is done in another, and taking it again begins anew."""
    layer = change(work, publish, "one")
    work.path.rename(tmp_path / "aside")
    with pytest.raises(WorkDirectoryMoved, match="is not there any more"):
        work.status()
    work.path.mkdir()
    for do in (work.status, work.capture, work.restore, work.clear, lambda: work.checkout(layer.hash)):
        with pytest.raises(WorkDirectoryMoved, match="another folder is in its place"):
            do()
    work.close()
    again = store.work_directory()
    assert again.status() == Changes(deleted=("a",))
    again.restore()
    assert (again.path / "a").read_text() == "one"


def test_what_is_closed_says_so(store: LayerStore, work: WorkDirectory) -> None:
    work.close()
    work.close()
    with pytest.raises(WorkDirectoryMoved, match="was given back"):
        work.status()
    store.close()
    store.close()
    with pytest.raises(StorageError, match="is closed; open it again"):
        store.layers()


def test_a_killed_command_leaves_the_head(state: Path, publish: Publish) -> None:
    """What was begun and never ended is undone when the store is opened, but for what is ignored."""
    with LayerStore.open(state) as store:
        work = store.work_directory()
        change(work, publish, "one")
        work.begin(ignore=["cache/"])
        (work.path / "a").write_text("half of it")
        (work.path / "cache").mkdir()
    LayerStore.open(state).close()
    assert (state / "work" / "a").read_text() == "one"
    assert (state / "work" / "cache").is_dir()


def test_a_capture_belongs_to_its_head(work: WorkDirectory, publish: Publish, key: Key) -> None:
    early = work.capture()
    change(work, publish, "one")
    with pytest.raises(StorageError, match="the head has moved"):
        work.publish(key(1), early, {})


def test_a_directory_with_files_of_its_own_is_taken_as_it_is(
    store: LayerStore, tmp_path: Path, publish: Publish
) -> None:
    (tmp_path / "project").mkdir()
    (tmp_path / "project" / "a").write_text("mine")
    work = store.work_directory(tmp_path / "project")
    assert work.status() == Changes(added=("a",))
    assert store.read(publish(work).hash, "a") == b"mine"


# ---- keeping and collecting


def test_gc_frees_what_nothing_needs(work: WorkDirectory, publish: Publish, store: LayerStore, state: Path) -> None:
    """Captures that became no layer, and files of killed processes; with ``keep``, layers that nothing names."""
    first = change(work, publish, "one")
    (work.path / "a").write_bytes(os.urandom(3 << 20))
    branch = publish(work)
    work.checkout(first.hash)
    (work.path / "b").write_bytes(os.urandom(2 << 20))
    work.capture()
    work.restore()
    work.capture()
    (state / "packs" / ("0" * 32 + ".pack")).write_bytes(bytes(1 << 20))
    (state / "tmp" / "left.pack").write_bytes(bytes(1 << 20))
    assert store.gc().freed > 2 << 20
    assert store.layers() == [first, branch]
    assert sum(path.stat().st_size for path in state.rglob("*.pack")) < 4 << 20
    store.tag("kept", branch.hash)
    assert store.gc(keep=[]).layers == 0
    store.untag("kept")
    assert store.gc(keep=[branch.short]).layers == 0
    assert store.gc(keep=[]).layers == 1
    assert store.layers() == [first]
    assert sum(path.stat().st_size for path in state.rglob("*.pack")) < 1 << 20
    assert store.verify().whole


def test_gc_leaves_what_is_captured_and_not_yet_published(work: WorkDirectory, store: LayerStore, key: Key) -> None:
    (work.path / "a").write_text("one")
    capture = work.capture()
    store.gc(keep=[])
    assert store.read(work.publish(key(1), capture, {}).hash, "a") == b"one"


def test_gc_merges_many_small_packs(work: WorkDirectory, publish: Publish, store: LayerStore, state: Path) -> None:
    layers = [change(work, publish, f"{number}") for number in range(30)]
    assert len(list((state / "packs").iterdir())) == 30
    store.gc()
    assert len(list((state / "packs").iterdir())) == 1
    assert [store.read(layer.hash, "a") for layer in layers] == [b"%d" % number for number in range(30)]
    assert store.verify().whole


def test_what_is_stored_once_counts_once(work: WorkDirectory, publish: Publish, store: LayerStore) -> None:
    for name in ("a", "b", "c"):
        (work.path / name).write_bytes(bytes(1000) + b"x")
    first = publish(work)
    usage = store.du()
    assert (usage.layers, usage.content) == (1, 3003)
    assert usage.raw < 2000
    assert usage.packed == first.stored
    assert usage.works == {str(work.path): first.hash}


# ---- at once


def test_several_directories_and_readers_at_once(store: LayerStore, publish: Publish, tmp_path: Path) -> None:
    """Two directories are written, a third is read from, and gc runs, all in one store: nobody disturbs anybody."""
    failed: list[BaseException] = []
    tagged = change(store.work_directory(), publish, "read me")
    store.tag("kept", tagged.hash)
    stop = threading.Event()

    def guarded(do: Callable[[], None]) -> None:
        try:
            do()
        except BaseException as error:
            failed.append(error)
        finally:
            stop.set()

    def write(name: str) -> None:
        with LayerStore.open(store.state_dir) as own:
            work = own.work_directory(tmp_path / name)
            for number in range(15):
                (work.path / "a").write_text(f"{name} {number}" * 100)
                (work.path / f"f{number % 3}").write_bytes(os.urandom(1000))
                layer = publish(work, (name, number))
                if layer.parent is not None and number % 2:
                    work.checkout(layer.parent)
                assert work.status().clean

    def collect() -> None:
        while not stop.is_set():
            store.gc(keep=[])

    def read() -> None:
        while not stop.is_set():
            assert store.read("kept", "a") == b"read me"

    work = [lambda: write("one"), lambda: write("two"), collect, read]
    threads = [threading.Thread(target=guarded, args=(do,)) for do in work]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    assert store.verify().whole


def hide_zstd(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if neither Python nor anybody else had it."""
    for module in ("zstandard", "compression.zstd"):
        monkeypatch.setitem(sys.modules, module, None)
    if sys.version_info >= (3, 14):
        import compression

        monkeypatch.delattr(compression, "zstd", raising=False)


@pytest.mark.parametrize("codec", ["zlib", "zstd"])
def test_codecs(
    work: WorkDirectory, publish: Publish, store: LayerStore, codec: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without zstd there is zlib; what is packed with either is read where both are there, and a codec that is missing
    is named with its remedy."""
    pytest.importorskip("zstandard") if sys.version_info < (3, 14) else None
    from sequential_adaptor.runners.container.store import codecs

    codecs._zstd.cache_clear()
    with monkeypatch.context() as without:
        if codec == "zlib":
            hide_zstd(without)
        assert codecs._best()[0] == (codecs.ZLIB if codec == "zlib" else codecs.ZSTD)
        layer = change(work, publish, "text " * 1000)
    codecs._zstd.cache_clear()
    assert layer.stored < 2000
    assert store.read(layer.hash, "a") == b"text " * 1000
    if codec == "zstd":
        hide_zstd(monkeypatch)
        codecs._zstd.cache_clear()
        with pytest.raises(ValueError, match="pip install zstandard"):
            store.read(layer.hash, "a")
    codecs._zstd.cache_clear()


@pytest.mark.parametrize("module", ["compression.zstd", "backports.zstd"])
def test_the_zstd_of_the_standard_library(module: str) -> None:
    """From 3.14, or as its backport: it reads what ``zstandard`` wrote and the other way round; damage is an error or
    other bytes, and never more of them than were asked for."""
    from sequential_adaptor.runners.container.store import codecs

    make, unpack = codecs._standard(pytest.importorskip(module))
    data = b"text " * 1000
    packed = make()(data)
    assert unpack(packed, len(data)) == data
    assert codecs.unpack(codecs.ZSTD, packed, len(data)) == data
    assert unpack(codecs._zstd()[0]()(data), len(data)) == data
    assert len(unpack(make()(bytes(50 << 20)), 5000)) <= 5001
    assert unpack(packed[:-5], len(data)) != data
    with pytest.raises(StorageDamaged, match="cannot be unpacked"):
        unpack(b"noise" + packed, len(data))
