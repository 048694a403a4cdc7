"""The demo: what a newcomer sees first, run as a newcomer runs it."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path
from typing import Any


def test_the_demo_kills_a_worker_and_another_goes_on_from_where_it_was(start: Any, finish: Any, folder: Path) -> None:
    done = finish(start("demo"))
    assert done.code == 0, done.err
    lines = done.out.splitlines()
    killed = next(index for index, line in enumerate(lines) if line.startswith("KILLED"))
    before = [line.split()[0] for line in lines[:killed] if line.startswith(" ")]
    after = [line.split()[0] for line in lines[killed:] if line.startswith("  ") and "key ..." in line]
    # On a loaded machine a lease may lapse, and a bill be asked for once more: under its key, so it is not paid twice.
    assert list(dict.fromkeys(before)) == ["rent", "power", "water"]
    assert list(dict.fromkeys(after)) == ["water", "phone", "books"]
    assert [line for line in lines if line.startswith("result ") and "right" in line]
    assert done.err == ""
    run = finish(start("show", "--storage", "folder:sequential-demo", "--json")).json()
    assert run["result"] == {"bills": 5, "total": 855}
    assert len({call["id"] for call in run["calls"]}) == 5


def test_the_demo_leaves_readable_files_and_runs_again_beside_them(start: Any, finish: Any, folder: Path) -> None:
    for _ in range(2):
        assert finish(start("demo", "--folder", "left here")).code == 0
    left = folder / "left here"
    runs = [path for path in (left / "runs").rglob("*.json") if not path.name.endswith(".calls.json")]
    assert len(runs) == 2
    assert [json.loads(path.read_text())["run"]["status"] for path in runs] == ["completed"] * 2


def test_the_demo_works_where_nothing_may_be_written(start: Any, finish: Any, folder: Path) -> None:
    locked = folder / "locked"
    locked.mkdir()
    locked.chmod(stat.S_IRUSR | stat.S_IXUSR)
    if os.access(locked, os.W_OK):  # root may write anywhere: a file of that name is as good a hindrance
        (folder / "sequential-demo").write_text("")
    else:
        os.chdir(locked)
    temporary = folder / "temporary"
    temporary.mkdir()
    done = finish(start("demo", TMPDIR=str(temporary)))
    assert done.code == 0, done.err
    assert str(temporary) in done.out
