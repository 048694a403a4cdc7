"""Layers as archives: tar files, and images in OCI layout. Nothing is ever unpacked onto the disk."""

from __future__ import annotations

import os
from pathlib import Path

from sequential_adaptor.errors import ConfigurationError
from sequential_adaptor.runners.container.store.archives.growing import Growing, Limits
from sequential_adaptor.runners.container.store.archives.oci import read_image, write_image
from sequential_adaptor.runners.container.store.archives.reading import opened, read_tar
from sequential_adaptor.runners.container.store.archives.writing import complete, write_tar_file
from sequential_adaptor.runners.container.store.entries import Tree
from sequential_adaptor.runners.container.store.shared import Shared
from sequential_adaptor.runners.container.store.sinks import Storing

FORMATS = ("tar", "oci")
_TAR = (".tar", ".tar.gz", ".tgz")


def export(store: Shared, name: str, tree: Tree, path: Path, format: str | None) -> None:
    """Write a tree to a path where nothing is yet; it is there complete or not at all."""
    chosen = format or ("tar" if path.name.endswith(_TAR) else "oci")
    if chosen not in FORMATS:
        raise ConfigurationError(f"no archive format {chosen!r} (there are: {', '.join(FORMATS)})")
    if os.path.lexists(path):
        raise ConfigurationError(f"{path} exists already; name a new file or folder, or take it away first")
    with complete(path) as place:
        if chosen == "tar":
            write_tar_file(store, tree, place, zipped=path.name.endswith((".gz", ".tgz")))
        else:
            write_image(store, name, tree, place)


def import_(sink: Storing, path: Path, limits: Limits) -> Tree:
    """The tree of an archive, its objects in the sink."""
    growing = Growing(sink, path, limits)
    if path.is_dir():
        read_image(growing, path)
    else:
        with opened(path) as stream:
            read_tar(growing, stream)
    return growing.write()
