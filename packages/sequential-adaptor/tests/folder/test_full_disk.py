"""A full disk: a typed error, nothing half-written, and the store goes on when there is room again."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

CHILD = Path(__file__).with_name("filling.py")


def test_a_full_disk_loses_nothing_and_passes(base: Path) -> None:
    """In a process of its own, whose files may not grow beyond a limit (the kernel refuses the write, as a full disk
    does).
    """
    done = subprocess.run(
        [sys.executable, "-W", "error", str(CHILD), str(base)], capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "good\n", "")
