"""SIGKILL at any instant: the head is the old layer or the whole new one, and the store is whole."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

KILLING = Path(__file__).with_name("killing.py")


@pytest.mark.slow
def test_killed_at_200_instants(tmp_path: Path) -> None:
    """Of captures and publications (by scan and by overlay), checkouts, restores and collections. What was begun is
    finished or undone when the store is next opened; nothing is between."""
    command = [sys.executable, "-W", "error", str(KILLING), str(tmp_path), "200", "1"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=250)
    assert (done.returncode, done.stdout, done.stderr) == (0, "good\n", "")
