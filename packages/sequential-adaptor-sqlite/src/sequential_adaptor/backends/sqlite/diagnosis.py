"""What is wrong with a file or with SQLite itself, in sentences for people."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Final

_FIXED: Final = ((3, 44, 6), (3, 50, 7), (3, 51, 3))
_WAL_RESET: Final = (
    "SQLite {version} has the WAL-reset bug: where one program writes a checkpoint while another commits, the database "
    "may, very rarely, be damaged. Our own processes take turns and keep out of it; do not let other programs (a "
    "replicator, a shell) write to the file. Mended in 3.44.6, 3.50.7 and 3.51.3"
)
_LARGE_LOG: Final = 256 * 1024 * 1024
_NETWORK: Final = frozenset(
    {"9p", "afs", "ceph", "cifs", "glusterfs", "lustre", "ncpfs", "nfs", "nfs4", "smb3", "smbfs"}
)
_SHARED: Final = 0o077


def library(version: tuple[int, int, int] = sqlite3.sqlite_version_info) -> list[str]:
    """Known corruption bugs of a version of SQLite."""
    fixed = next((fixed for fixed in _FIXED if fixed[:2] == version[:2]), _FIXED[-1])
    if version >= fixed:
        return []
    return [_WAL_RESET.format(version=".".join(map(str, version)))]


def file(path: str) -> Iterator[str]:
    """What is wrong with where a file lies, its permissions and its log."""
    kind = file_system(os.path.realpath(path))
    if kind in _NETWORK or kind.startswith("fuse."):
        yield f"{path} is on {kind}: processes on several machines would damage it; use a disk of this machine"
    if os.name == "posix" and os.stat(path).st_mode & _SHARED:
        yield f"{path} can be read by other users; try: chmod 600 {path}"
    log = Path(f"{path}-wal")
    if log.exists() and log.stat().st_size > _LARGE_LOG:
        yield (
            f"{log} is {log.stat().st_size >> 20} MiB large: some program keeps a read transaction open, "
            "and until it ends nothing can be written back"
        )


def contents(connection: sqlite3.Connection) -> list[str]:
    """Damage inside the file; reads all of it."""
    found = [row[0] for row in connection.execute("PRAGMA integrity_check(10)")]
    return [] if found == ["ok"] else [f"damaged: {line}" for line in found]


def file_system(path: str, mounts: str = "/proc/self/mounts") -> str:
    """The kind of file system that a path is on; empty where that cannot be said."""
    try:
        lines = Path(mounts).read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ""
    places = ((fields[1].replace("\\040", " "), fields[2]) for fields in (line.split() for line in lines))
    above = [(place, kind) for place, kind in places if place == "/" or path == place or path.startswith(f"{place}/")]
    return max(above, key=lambda one: len(one[0]), default=("", ""))[1]
