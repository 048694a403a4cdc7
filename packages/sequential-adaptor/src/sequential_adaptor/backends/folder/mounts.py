"""Which file system a folder is on: locks, and what other processes see of a write, are only as good as that.

- *Refused*: file systems that several machines share. Each machine caches on its own, so a worker would follow a
  journal that is not the present one; locks are kept by a server that may forget them, or by each machine for itself.
- *Warned about*: file systems that come from outside a virtual machine or go through a user's program. On one machine
  they mostly work; whether a sync reaches the disk is up to the other side.
"""

from __future__ import annotations

import re
from pathlib import Path

from sequential_adaptor.errors import ConfigurationError

SHARED = frozenset(
    "afs beegfs ceph cifs cvmfs davfs fuse.ceph fuse.cifs fuse.gcsfuse fuse.glusterfs fuse.goofys fuse.juicefs"
    " fuse.mount-s3 fuse.rclone fuse.s3fs fuse.sshfs gfs2 glusterfs gpfs lustre ncpfs nfs nfs4 ocfs2 orangefs smb2 smb3"
    " smbfs webdav".split()
)
OUTSIDE = ("9p", "fuse", "virtiofs", "vboxsf", "prl_fs", "vmhgfs")
_MOUNTS = Path("/proc/self/mountinfo")


def check_file_system(folder: Path) -> str | None:
    """Raise for a folder on a file system of several machines; a warning in words for one that may be unsafe."""
    kind = file_system(folder, _mounts())
    if kind in SHARED:
        raise ConfigurationError(
            f"{folder} is on a network file system ({kind}), where locks and caches of several machines"
            " cannot be relied on. Use a local disk, or a database that is made to be shared: supabase"
        )
    if kind is not None and kind.partition(".")[0] in OUTSIDE:
        return f"{folder} is on {kind}: whether a commit survives a power loss is up to what is behind it"
    return None


def file_system(folder: Path, mounts: str) -> str | None:
    """The type of the mount that holds a folder, by the text of ``/proc/self/mountinfo``; ``None`` where it does not
    say.
    """
    place = folder.resolve()
    best, kind = -1, None
    for line in mounts.splitlines():
        head, found, tail = line.partition(" - ")
        if not found:
            continue
        point = Path(_unescape(head.split(" ")[4]))
        if len(point.parts) >= best and place.is_relative_to(point):
            best, kind = len(point.parts), tail.split(" ")[0]
    return kind


def _mounts() -> str:
    try:
        return _MOUNTS.read_text(encoding="utf-8", errors="surrogateescape")
    except OSError:  # not Linux: there is no portable way to ask
        return ""


def _unescape(text: str) -> str:
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), text)
