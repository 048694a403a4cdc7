"""What `sequential doctor` can ask: known bugs of SQLite, where the file lies, what is in it."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeAlias

import pytest

from sequential_adaptor.backends.sqlite import SQLiteAdapter, diagnosis

OpenAdapter: TypeAlias = Callable[..., Awaitable[SQLiteAdapter]]


@pytest.mark.parametrize(
    ("version", "known"),
    [
        ((3, 38, 0), True),
        ((3, 40, 1), True),
        ((3, 44, 5), True),
        ((3, 44, 6), False),
        ((3, 45, 3), True),
        ((3, 50, 6), True),
        ((3, 50, 7), False),
        ((3, 51, 2), True),
        ((3, 51, 3), False),
        ((3, 53, 0), False),
    ],
)
def test_versions_with_the_wal_reset_bug_are_named(version: tuple[int, int, int], known: bool) -> None:
    """The bug, the versions that mended it, and what to do."""
    found = diagnosis.library(version)
    assert bool(found) is known
    assert all("3.51.3" in line and ".".join(map(str, version)) in line for line in found)


async def test_a_store_that_is_well_has_nothing_to_say(
    open_adapter: OpenAdapter, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing wrong: no sentence, thorough or not, in memory or in a file."""
    monkeypatch.setattr(diagnosis, "library", list)
    for adapter in (await open_adapter(), await open_adapter(":memory:")):
        assert await adapter.diagnose() == []
        assert await adapter.diagnose(thorough=True) == []


@pytest.mark.skipif(os.name != "posix", reason="modes are POSIX's")
async def test_a_file_that_others_may_read_is_named(adapter: SQLiteAdapter, path: Path) -> None:
    """With the command that mends it."""
    path.chmod(0o644)
    assert any(f"chmod 600 {path}" in line for line in await adapter.diagnose())


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/home/me/tasks.db", "ext4"),
        ("/srv/my data/tasks.db", "nfs4"),
        ("/srv/my data2/x", "xfs"),
        ("/mnt/box/x", "fuse.sshfs"),
    ],
)
def test_the_file_system_of_a_path_is_known(tmp_path: Path, path: str, kind: str) -> None:
    """The mount that is nearest above it, spaces in its name included."""
    mounts = tmp_path / "mounts"
    mounts.write_text(
        "/dev/sda / ext4 rw 0 0\nbox:/ /srv/my\\040data nfs4 rw 0 0\n"
        "/dev/b /srv xfs rw 0 0\nme@box: /mnt/box fuse.sshfs rw 0 0\n"
    )
    assert diagnosis.file_system(path, str(mounts)) == kind


def test_a_network_file_system_is_named(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Write-ahead logs need the memory of one machine."""
    path.touch(mode=0o600)
    monkeypatch.setattr(diagnosis, "file_system", lambda path: "nfs4")
    [line] = diagnosis.file(str(path))
    assert "nfs4" in line


def test_a_log_that_cannot_be_written_back_is_named(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With its size, and what keeps it."""
    path.touch(mode=0o600)
    with Path(f"{path}-wal").open("wb") as log:
        log.truncate(300 * 1024 * 1024)
    monkeypatch.setattr(diagnosis, "file_system", lambda path: "ext4")
    [line] = diagnosis.file(str(path))
    assert "300 MiB" in line
