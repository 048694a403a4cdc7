"""The parts that these tests stand on start wherever the project was cloned to."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from parts import postgres


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has its servers run as somebody else")
def test_a_server_whose_programs_only_root_can_reach(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As in an environment below ``/root``: what it runs from is a copy, with the libraries that are beside it."""
    programs = postgres.binaries(18)
    package = programs.parents[1]
    private = tmp_path / "private"
    private.mkdir(mode=0o700)
    shutil.copytree(programs.parent, private / package.name / programs.parent.name, symlinks=True)
    shutil.copytree(package.with_name(f"{package.name}.libs"), private / f"{package.name}.libs")
    monkeypatch.setattr(postgres, "binaries", lambda version: private / package.name / programs.parent.name / "bin")
    with postgres.Postgres.running(18) as server:
        assert server.sql("select 6 * 7") == "42"
        assert not server.bin.is_relative_to(private)
