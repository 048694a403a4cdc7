"""Images in OCI layout: a folder with an index, and blobs by their sha256."""

from __future__ import annotations

import gzip
import json
import os
import platform
import re
import stat
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import IO, Any, cast

from sequential_adaptor.runners.container.store.archives.growing import Growing
from sequential_adaptor.runners.container.store.archives.reading import Stream, read_tar
from sequential_adaptor.runners.container.store.archives.writing import packing, write_tar
from sequential_adaptor.runners.container.store.entries import Tree
from sequential_adaptor.runners.container.store.errors import ArchiveRefused
from sequential_adaptor.runners.container.store.shared import Shared

_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
_INDEX = "application/vnd.oci.image.index.v1+json"
_CONFIG = "application/vnd.oci.image.config.v1+json"
_LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
_LISTS = (_INDEX, "application/vnd.docker.distribution.manifest.list.v2+json")
_DIGEST = re.compile("sha256:([0-9a-f]{64})")
_MACHINES = {"x86_64": "amd64", "aarch64": "arm64"}
_LONGEST_DOCUMENT = 4 << 20
_PIECE = 1 << 20
_MANY = 1000


# ---- writing


def write_image(store: Shared, name: str, tree: Tree, folder: Path) -> None:
    """An image with one layer, the whole tree."""
    blobs = folder / "blobs" / "sha256"
    blobs.mkdir(parents=True)
    with (folder / "layer").open("xb") as file:
        outer = _Hashing(file)
        with packing(cast(IO[bytes], outer)) as packed:
            inner = _Hashing(cast(IO[bytes], packed))
            write_tar(store, tree, cast(IO[bytes], inner), whiteouts=True)
    (folder / "layer").rename(blobs / outer.hash.hexdigest())
    layer = {"mediaType": _LAYER, "digest": f"sha256:{outer.hash.hexdigest()}", "size": outer.size}
    config = {
        "architecture": _architecture(),
        "os": "linux",
        "config": {},
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{inner.hash.hexdigest()}"]},
        "history": [{"comment": f"layer {name}"}],
    }
    manifest = {"schemaVersion": 2, "mediaType": _MANIFEST, "config": _document(blobs, _CONFIG, config)}
    listed = _document(blobs, _MANIFEST, {**manifest, "layers": [layer]})
    listed["annotations"] = {"org.opencontainers.image.ref.name": name[:12]}
    index = {"schemaVersion": 2, "mediaType": _INDEX, "manifests": [listed]}
    (folder / "index.json").write_text(json.dumps(index))
    (folder / "oci-layout").write_text(json.dumps({"imageLayoutVersion": "1.0.0"}))


def _document(blobs: Path, kind: str, content: dict[str, Any]) -> dict[str, Any]:
    data = json.dumps(content).encode()
    digest = sha256(data).hexdigest()
    (blobs / digest).write_bytes(data)
    return {"mediaType": kind, "digest": f"sha256:{digest}", "size": len(data)}


def _architecture() -> str:
    return _MACHINES.get(platform.machine(), platform.machine())


class _Hashing:
    """A file to be written, with the hash and size of what was."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self.hash = sha256()
        self.size = 0

    def write(self, data: bytes) -> int:
        self.hash.update(data)
        self.size += len(data)
        return self._file.write(data)

    def flush(self) -> None:
        self._file.flush()


# ---- reading


def read_image(growing: Growing, folder: Path) -> None:
    """Take the layers of the image in a folder; each blob is checked against its name before it is read."""
    image = _Image(folder)
    manifest = image.manifest()
    layers = _list(manifest, "layers", image)
    config = image.document(manifest.get("config"))
    ids = config.get("rootfs", {}).get("diff_ids") if isinstance(config.get("rootfs"), dict) else None
    if not isinstance(ids, list) or len(ids) != len(layers):
        raise image.refused("its config does not name the content of each of its layers (diff_ids)")
    for number, (layer, id) in enumerate(zip(layers, ids, strict=True), 1):
        growing.layer = number
        image.read(layer, id, lambda stream: read_tar(growing, stream, whiteouts=True))


class _Image:
    """The files of an image; nothing outside of its folder is ever opened."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def refused(self, reason: str) -> ArchiveRefused:
        return ArchiveRefused(str(self._folder), reason)

    def manifest(self) -> dict[str, Any]:
        """The manifest for this machine, or the only one."""
        if not (self._folder / "oci-layout").is_file():
            raise self.refused("it is a folder, and not in OCI image layout: there is no file oci-layout in it")
        found = self._json((self._folder / "index.json").open("rb"))
        for _ in range(2):
            one = self._choose(_list(found, "manifests", self))
            found = self.document(one)
            if one.get("mediaType") not in _LISTS:
                return found
        raise self.refused("its manifests are lists of lists")

    def document(self, descriptor: object) -> dict[str, Any]:
        """A JSON blob."""
        with self._blob(descriptor) as file:
            return self._json(file)

    def read(self, descriptor: object, id: object, take: Callable[[Stream], None]) -> None:
        """A layer, unpacked, whose content must be what the config says it is."""
        with self._blob(descriptor) as file:
            packed = file.read(2) == b"\x1f\x8b"
            file.seek(0)
            stream = _Checked(cast(IO[bytes], gzip.GzipFile(fileobj=file)) if packed else file)
            take(stream)
            try:
                while stream.read(_PIECE):
                    pass
            except (OSError, EOFError) as error:
                raise self.refused(f"a layer is damaged: {error}") from error
        if id != f"sha256:{stream.hash.hexdigest()}":
            raise self.refused("the content of a layer does not match its digest")

    def _choose(self, manifests: list[Any]) -> dict[str, Any]:
        found = [one for one in manifests if isinstance(one, dict)]
        for one in found:
            wanted = one.get("platform")
            if isinstance(wanted, dict) and (wanted.get("os"), wanted.get("architecture")) == (
                "linux",
                _architecture(),
            ):
                return one
        if len(found) != 1:
            raise self.refused(f"it holds {len(found)} images, and none is named for linux/{_architecture()}")
        return dict(found[0])

    def _blob(self, descriptor: object) -> IO[bytes]:
        """An open blob, at its beginning, whose bytes have been checked."""
        digest = descriptor.get("digest") if isinstance(descriptor, dict) else None
        match = _DIGEST.fullmatch(digest) if isinstance(digest, str) else None
        if match is None:
            raise self.refused(f"{digest!r} is no sha256 digest")
        file = self._open(self._folder / "blobs" / "sha256" / match[1])
        hash = sha256()
        while piece := file.read(_PIECE):
            hash.update(piece)
        if hash.hexdigest() != match[1]:
            file.close()
            raise self.refused(f"blob {match[1]} does not match its sha256")
        file.seek(0)
        return file

    def _open(self, path: Path) -> IO[bytes]:
        try:
            file = os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC), "rb")
        except OSError as error:
            raise self.refused(f"blob {path.name} cannot be read ({error.strerror})") from error
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            file.close()
            raise self.refused(f"blob {path.name} is not a file")
        return file

    def _json(self, file: IO[bytes]) -> dict[str, Any]:
        with file:
            data = file.read(_LONGEST_DOCUMENT + 1)
        try:
            found = json.loads(data[:_LONGEST_DOCUMENT]) if len(data) <= _LONGEST_DOCUMENT else None
        except (ValueError, RecursionError) as error:
            raise self.refused(f"one of its documents is not JSON: {error}") from error
        if not isinstance(found, dict):
            raise self.refused("one of its documents is not what it should be")
        return found


class _Checked:
    """A stream with the hash of what was read."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self.hash = sha256()

    def read(self, size: int, /) -> bytes:
        data = self._file.read(size)
        self.hash.update(data)
        return data


def _list(document: dict[str, Any], name: str, image: _Image) -> list[Any]:
    found = document.get(name)
    if not isinstance(found, list) or not 0 < len(found) <= _MANY:
        raise image.refused(f"it has no {name}")
    return found
