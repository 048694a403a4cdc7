"""The index made again from the readable files: after a git clone, or when ``.store`` was deleted."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence

from sequential_adaptor.backends.folder import index
from sequential_adaptor.backends.folder.disk import Disk
from sequential_adaptor.backends.folder.groups import Group
from sequential_adaptor.backends.folder.listings import listing_line
from sequential_adaptor.backends.folder.paths import Paths
from sequential_adaptor.backends.folder.record_files import damaged, read_checked, read_group

_log = logging.getLogger("sequential_adaptor.folder")


def rebuild(paths: Paths, disk: Disk, segments: Sequence[int]) -> None:
    """Write an index of the files that are there.

    The whole journal that is left is read on top of it: that writes the same values once more where the files have
    them.
    """
    covers = segments[0] - 1 if segments else 0
    lines = [listing_line(group) for group in _groups(paths)]
    if lines:
        _log.info("%s: made the index again from %d runs", paths.index, len(lines))
    index.write(paths.index, disk, lines, [], covers)


def _groups(paths: Paths) -> Iterator[Group]:
    for path in sorted(paths.runs.glob("*.json")):
        if ".calls" in path.name:  # no run id has a dot
            continue
        id = read_checked(path).get("id")
        if not isinstance(id, str) or paths.part(id, 0) != path:
            raise damaged(path, f"it holds run {id!r}, whose file has another name")
        yield read_group(paths, id)
