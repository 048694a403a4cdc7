"""Where a store may be: local disks yes, file systems that machines share no, what may be unsafe with a warning."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from sequential_adaptor.backends.folder import FolderAdapter, mounts
from sequential_adaptor.errors import ConfigurationError

TABLE = """\
22 1 254:0 / / rw,relatime - ext4 /dev/vda rw
30 22 0:26 / /mnt rw - tmpfs tmpfs rw
31 30 0:27 / /mnt/share rw,relatime shared:1 - nfs4 server:/export rw,vers=4.2
32 30 0:28 / /mnt/with\\040space rw - fuse.sshfs me@there:/ rw
33 22 0:29 / /c rw - 9p C:\\134 rw
34 22 0:30 / /app rw - fuse.grpcfuse grpcfuse rw
"""


@pytest.mark.parametrize(
    ("folder", "kind"),
    [
        ("/work/tasks", "ext4"),
        ("/", "ext4"),
        ("/mnt/tasks", "tmpfs"),
        ("/mnt/shared", "tmpfs"),
        ("/mnt/share", "nfs4"),
        ("/mnt/share/a/b", "nfs4"),
        ("/mnt/with space/tasks", "fuse.sshfs"),
        ("/c/tasks", "9p"),
    ],
)
def test_the_mount_that_holds_a_folder(folder: str, kind: str) -> None:
    """The longest mount point above it counts, whole names only."""
    assert mounts.file_system(Path(folder), TABLE) == kind


def test_without_a_table_nothing_is_said() -> None:
    """On other systems there is no portable way to ask."""
    assert mounts.file_system(Path("/work"), "") is None


async def test_a_network_file_system_is_refused(base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error says which, why, and what to use; nothing is written there."""
    monkeypatch.setattr(mounts, "_mounts", lambda: f"1 0 0:1 / {base.parent} rw - nfs4 server:/export rw\n")
    adapter = FolderAdapter(base)
    with pytest.raises(ConfigurationError, match=r"network file system \(nfs4\).*local disk"):
        await adapter.init()
    assert not base.exists()
    await adapter.close()


@pytest.mark.parametrize("kind", ["9p", "virtiofs", "fuse.grpcfuse"])
async def test_what_may_be_unsafe_is_warned_about(
    base: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, kind: str
) -> None:
    """A share of the host, or a user's file system: it opens, and the log says why that may be unwise."""
    monkeypatch.setattr(mounts, "_mounts", lambda: f"1 0 0:1 / {base.parent} rw - {kind} share rw\n")
    with caplog.at_level(logging.WARNING):
        async with FolderAdapter(base):
            pass
    assert f"is on {kind}" in caplog.text


async def test_a_local_disk_is_fine(base: Path, caplog: pytest.LogCaptureFixture) -> None:
    """This one, for example."""
    async with FolderAdapter(base):
        pass
    assert not caplog.records
