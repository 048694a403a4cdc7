"""``sequential replay`` and ``sequential export`` as people use them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture
def recorded(sequential: Any, folder: Path) -> None:
    """A run that waits."""
    sequential("submit", "waiting.py", "--id", "one")
    sequential("work", "--until-idle")


def test_it_says_who_replays_and_who_does_not(sequential: Any, recorded: None, folder: Path) -> None:
    same = sequential("replay", "--code", "waiting.py")
    assert (same.code, same.out) == (
        0,
        "one  suspended  1 calls  replays\n1 of 1 runs replay on today's code\n",
    )
    code = folder / "waiting.py"
    code.write_text(code.read_text().replace('"approve"', '"agree"'))
    other = sequential("replay", "one", "--code", "waiting.py")
    assert other.code == 1
    for text in ("one  suspended  0 calls  diverges", "waiting.py, line 5", "one.1", "`wait:approve`", "`wait:agree`"):
        assert text in other.out
    found = sequential("replay", "--task", "waiting", "--code", "waiting.py", "--json").json()
    assert (found["ok"], found["runs"][0]["divergence"]["call"]) == (False, "one.1")
    assert sequential("replay", "one").code == 0  # by the version that is stored
    sequential("publish", "waiting.py")
    assert sequential("replay", "one").code == 1


def test_histories_are_files(sequential: Any, recorded: None, folder: Path) -> None:
    done = sequential("export", "one", "--to", "kept")
    assert (done.code, done.out) == (0, "kept/one.json\n")
    assert json.loads((folder / "kept" / "one.json").read_text())["run"]["id"] == "one"
    sequential("delete", "one", "--force")
    assert "one  suspended  1 calls  replays" in sequential("replay", "kept", "--code", "waiting.py").out


def test_only_runs_that_have_not_ended(sequential: Any, recorded: None) -> None:
    sequential("submit", "waiting.py", "--id", "two")
    sequential("send", "two", "approve")
    sequential("work", "--until-idle")
    found = sequential("replay", "--code", "waiting.py", "--unfinished", "--json").json()
    assert [run["run"] for run in found["runs"]] == ["one"]


@pytest.mark.parametrize("command", ["replay", "export"])
def test_which_runs_has_to_be_said(sequential: Any, command: str) -> None:
    refused = sequential(command)
    assert refused.code == 2
    assert "say which runs: RUN_ID..." in refused.err
    missing = sequential(command, "nobody")
    assert missing.code == 1
    assert "nobody" in missing.err


def test_a_task_function_that_nobody_stored_is_no_success(sequential: Any, recorded: None) -> None:
    """A name misspelt in a pipeline would let everything pass."""
    refused = sequential("replay", "--task", "waitng", "--code", "waiting.py")
    assert (refused.code, "'waitng'" in refused.err) == (1, True)
    sequential("publish", "echo.py")
    assert sequential("replay", "--task", "echo").code == 0  # it has no runs yet
    assert sequential("replay", "--code", "greet.py").code == 0  # it was never deployed
