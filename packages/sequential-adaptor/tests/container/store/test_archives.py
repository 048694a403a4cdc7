"""Tar files and images in OCI layout: out and in again is the same tree; a hostile one leaves nothing, anywhere."""

from __future__ import annotations

import gzip
import io
import json
import os
import subprocess
import tarfile
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from sequential_adaptor.errors import ConfigurationError, NotOffered
from sequential_adaptor.runners.container.store import ArchiveRefused, LayerRecord, LayerStore, WorkDirectory

Publish = Callable[..., LayerRecord]
Picture = Callable[[Path], dict[bytes, tuple[Any, ...]]]
Member = tuple[tarfile.TarInfo, bytes]


def member(
    name: str, content: bytes = b"", *, type: bytes = tarfile.REGTYPE, link: str = "", mode: int = 0o644
) -> Member:
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.mode, info.size = type, link, mode, len(content)
    return info, content


def tar(*members: Member) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for info, content in members:
            archive.addfile(info, io.BytesIO(content))
    return file.getvalue()


def write_blob(image: Path, content: bytes) -> dict[str, Any]:
    digest = sha256(content).hexdigest()
    (image / "blobs" / "sha256" / digest).write_bytes(content)
    return {"digest": f"sha256:{digest}", "size": len(content), "mediaType": "x"}


def write_image(image: Path, *layers: bytes, ids: list[str] | None = None) -> Path:
    """An image of uncompressed and gzipped layers in turn."""
    (image / "blobs" / "sha256").mkdir(parents=True)
    (image / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
    found = ids if ids is not None else [f"sha256:{sha256(layer).hexdigest()}" for layer in layers]
    config = write_blob(image, json.dumps({"rootfs": {"type": "layers", "diff_ids": found}}).encode())
    blobs = [write_blob(image, gzip.compress(data) if n % 2 else data) for n, data in enumerate(layers)]
    manifest = write_blob(image, json.dumps({"config": config, "layers": blobs}).encode())
    (image / "index.json").write_text(json.dumps({"manifests": [manifest]}))
    return image


@pytest.fixture
def layer(work: WorkDirectory, publish: Publish) -> LayerRecord:
    """Everything that both formats can hold."""
    root = os.fsencode(work.path)
    os.makedirs(root + b"/folder/empty")
    for path in (b"a", b"-rf", b"line\nbreak", b"\xff", b"x" * 255, b"folder/deep", b".git"):
        with open(root + b"/" + path, "wb") as file:
            file.write(path * 3)
    (work.path / "large").write_bytes(b"0123456789" * 900_000)
    (work.path / "none").touch(0o600)
    os.symlink(b"/nowhere\xff", root + b"/link")
    os.mkfifo(root + b"/fifo")
    (work.path / "folder").chmod(0o555)
    os.utime(work.path / "a", ns=(1, -1_500_000_000))
    os.utime(work.path / "none", ns=(1, 1_700_000_000_123_456_789))
    return publish(work)


@pytest.mark.parametrize("name", ["x.tar", "x.tar.gz", "x.tgz", "image"])
def test_out_and_in_is_the_same(store: LayerStore, layer: LayerRecord, tmp_path: Path, name: str) -> None:
    """Content, names, bits, links and times to the nanosecond; the same bytes each time; nothing else is left there."""
    for path in (tmp_path / name, tmp_path / f"again-{name}"):
        store.export(layer.hash, path)
        found = store.import_(path)
        assert (found.tree, found.times, found.parent) == (layer.tree, layer.times, None)
    if (tmp_path / name).is_file():
        assert (tmp_path / name).read_bytes() == (tmp_path / f"again-{name}").read_bytes()
    assert {path.name for path in tmp_path.iterdir()} == {"state", name, f"again-{name}"}
    assert store.import_(tmp_path / name) == found
    assert store.verify().whole


def test_other_tools_read_it(
    store: LayerStore, work: WorkDirectory, layer: LayerRecord, tmp_path: Path, picture: Picture
) -> None:
    """What tar unpacks is what the layer is."""
    store.export(layer.hash, tmp_path / "x.tar")
    (tmp_path / "unpacked").mkdir()
    subprocess.run(["tar", "-xpf", tmp_path / "x.tar", "-C", tmp_path / "unpacked"], check=True)
    assert picture(tmp_path / "unpacked") == picture(work.path)


def test_the_tar_of_others_is_read(store: LayerStore, work: WorkDirectory, tmp_path: Path, picture: Picture) -> None:
    """Hard links, the GNU format with its long names, setuid bits (which are not kept), ./ before names."""
    source = tmp_path / "source"
    (source / "folder").mkdir(parents=True)
    (source / "folder" / ("n" * 200)).write_text("long")
    (source / "a").write_text("one")
    (source / "a").chmod(0o4755)
    os.link(source / "a", source / "b")
    command = ["tar", "--format=gnu", "-czf", tmp_path / "x", "-C", source, "."]
    subprocess.run(command, check=True)
    work.checkout(store.import_(tmp_path / "x").hash)
    assert picture(work.path) == picture(source)
    assert (work.path / "a").stat().st_mode & 0o7777 == 0o755


def test_layers_of_an_image_are_laid_over_each_other(store: LayerStore, tmp_path: Path) -> None:
    """Deletions, opaque folders (in whatever order), kinds swapped, hard links to files of earlier layers."""
    image = write_image(
        tmp_path / "image",
        tar(member("a", b"one"), member("d/x", b"x"), member("d/y", b"y"), member("o/old", b"old"), member("f", b"f")),
        tar(
            member(".wh.a"),
            member("d/.wh.x"),
            member("o/new", b"new"),
            member("o/.wh..wh..opq"),
            member("f", type=tarfile.DIRTYPE, mode=0o755),
            member("f/below", b"below"),
            member("hard", type=tarfile.LNKTYPE, link="d/y"),
        ),
        tar(member("a", b"again"), member(".wh.hard"), member(".wh.never")),
    )
    found = store.import_(image)
    assert store.listing(found.hash) == ["a", "d", "d/y", "f", "f/below", "o", "o/new"]
    assert store.read(found.hash, "a") == b"again"


HOSTILE = {
    "parent": [member("../evil", b"x")],
    "parent inside": [member("a/../../evil", b"x")],
    "absolute": [member("/evil", b"x")],
    "through a link": [member("l", type=tarfile.SYMTYPE, link="/tmp"), member("l/evil", b"x")],
    "through a link to a parent": [member("l", type=tarfile.SYMTYPE, link=".."), member("l/evil", b"x")],
    "through a file": [member("f", b"x"), member("f/evil", b"x")],
    "hard link outside": [member("h", type=tarfile.LNKTYPE, link="/etc/passwd")],
    "hard link to a parent": [member("h", type=tarfile.LNKTYPE, link="../../etc/passwd")],
    "hard link to nothing": [member("h", type=tarfile.LNKTYPE, link="nothing")],
    "hard link to a folder": [member("d", type=tarfile.DIRTYPE), member("h", type=tarfile.LNKTYPE, link="d")],
    "character device": [member("null", type=tarfile.CHRTYPE)],
    "block device": [member("disk", type=tarfile.BLKTYPE)],
    "the root as a file": [member(".", b"x")],
    "the root as a link": [member("./", type=tarfile.SYMTYPE, link="/")],
    "long name": [member("n" * 256, b"x")],
    "too deep": [member("d/" * 300 + "x", b"x")],
    "link to nothing": [member("l", type=tarfile.SYMTYPE, link="")],
    "long link": [member("l", type=tarfile.SYMTYPE, link="x" * 5000)],
}


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize("kind", ["tar", "image"])
def test_hostile_members_are_refused(store: LayerStore, tmp_path: Path, name: str, kind: str) -> None:
    """With a word on which; nothing is written outside of the store, and nothing of it is kept."""
    data = tar(member("before", os.urandom(100)), *HOSTILE[name])
    path = write_image(tmp_path / "x", data) if kind == "image" else tmp_path / "x"
    if kind == "tar":
        path.write_bytes(data)
    refuse(store, path)
    assert {found.name for found in tmp_path.iterdir()} == {"state", "x"}


def refuse(store: LayerStore, path: Path, reason: str = "", **limits: int) -> None:
    with pytest.raises(ArchiveRefused, match=f"was not imported: .*{reason}"):
        store.import_(path, **limits)
    assert store.layers() == []
    assert store.du().objects == 0
    assert not list((store.state_dir / "tmp").iterdir())


def test_bombs_are_refused(store: LayerStore, tmp_path: Path) -> None:
    """Before much is unpacked: content by what its header says, headers by their own size, names by their number."""
    path = tmp_path / "x"
    huge, _ = member("huge")
    huge.size = 1 << 50
    path.write_bytes(huge.tobuf())
    refuse(store, path, "more than 17,179,869,184 bytes")
    path.write_bytes(gzip.compress(tar(*(member(f"{n}", bytes(1 << 20)) for n in range(20)))))
    refuse(store, path, "more than 10,485,760 bytes", max_bytes=10 << 20)
    path.write_bytes(tar(*(member(f"{n}") for n in range(100))))
    refuse(store, path, "more than 50 names", max_files=50)
    for type in (tarfile.XHDTYPE, tarfile.GNUTYPE_LONGNAME, tarfile.XGLTYPE):
        header, _ = member("header", type=type)
        header.size = 1 << 40
        path.write_bytes(header.tobuf(tarfile.GNU_FORMAT) + bytes(4096))
        refuse(store, path, "is no header")
    sparse, _ = member("sparse", type=tarfile.GNUTYPE_SPARSE)
    sparse.size = 0
    path.write_bytes(sparse.tobuf() + bytes(1024))
    refuse(store, path, "it is sparse")


@pytest.mark.parametrize("kind", ["cut", "cut gzip", "noise", "empty member", "text"])
def test_damaged_archives_are_refused(store: LayerStore, tmp_path: Path, kind: str) -> None:
    data = tar(member("a", os.urandom(5000)), member("b", os.urandom(5000)))
    contents = {
        "cut": data[:3000],
        "cut gzip": gzip.compress(data)[:7000],
        "noise": os.urandom(10_000),
        "empty member": data[:512],
        "text": b"not a tar file at all\n" * 100,
    }
    path = tmp_path / "x"
    path.write_bytes(contents[kind])
    refuse(store, path)


def test_images_that_are_not_what_they_say(store: LayerStore, tmp_path: Path) -> None:
    """Digests that lead elsewhere, content that does not match, blobs that are links, documents that are none."""
    data = tar(member("a", b"a"))
    refuse(store, write_image(tmp_path / "1", data, ids=["sha256:" + "0" * 64]), "does not match its digest")
    refuse(store, write_image(tmp_path / "2", data, ids=[]), "diff_ids")
    refuse(store, write_image(tmp_path / "3"), "it has no layers")
    image = write_image(tmp_path / "4", data)
    (image / "index.json").write_text('{"manifests": [{"digest": "sha256:../../../../etc/passwd"}]}')
    refuse(store, image, "is no sha256 digest")
    (image / "index.json").write_text("[" * 100_000)
    refuse(store, image, "is not JSON")
    image = write_image(tmp_path / "5", data)
    for blob in (image / "blobs" / "sha256").iterdir():
        blob.write_bytes(blob.read_bytes() + b" ")
    refuse(store, image, "does not match its sha256")
    image = write_image(tmp_path / "6", data)
    for blob in (image / "blobs" / "sha256").iterdir():
        aside = tmp_path / f"aside-{blob.name}"
        blob.rename(aside)
        blob.symlink_to(aside)
    refuse(store, image, "cannot be read")
    (tmp_path / "7").mkdir()
    refuse(store, tmp_path / "7", "not in OCI image layout")


def test_what_a_format_cannot_hold_is_said(
    store: LayerStore, work: WorkDirectory, publish: Publish, tmp_path: Path
) -> None:
    (work.path / ".wh.a").touch()
    layer = publish(work)
    store.export(layer.hash, tmp_path / "x.tar")
    with pytest.raises(NotOffered, match=r"'\.wh\.a', whose name means a deletion there; use tar"):
        store.export(layer.hash, tmp_path / "image")
    with pytest.raises(ConfigurationError, match="exists already"):
        store.export(layer.hash, tmp_path / "x.tar")
    with pytest.raises(ConfigurationError, match=r"no archive format 'zip' \(there are: tar, oci\)"):
        store.export(layer.hash, tmp_path / "x", format="zip")  # type: ignore[arg-type]  # that is the point
    assert {path.name for path in tmp_path.iterdir()} == {"state", "x.tar"}
    with pytest.raises(ArchiveRefused, match="cannot be read"):
        store.import_(tmp_path / "nothing")
