"""``sequential sync`` as people use it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

SYNC = ("sync", "folder:./tasks", "folder:./other")


def test_it_copies_moves_and_says_so(sequential: Any) -> None:
    sequential("run", "greet.py", "--input", '{"names": ["Ada"]}', "--id", "greeting")
    sequential("submit", "waiting.py", "--id", "open")
    sequential("work", "--until-idle")
    sequential("keystore", "set", "KEY", "s3cret")
    first = sequential(*SYNC, "--json").json()
    assert (first["copied"], first["moved"], first["keys"], first["refused"]) == (1, ["open"], 1, {})
    again = sequential(*SYNC)
    assert (again.code, again.out) == (0, "")
    assert "0 runs copied, 0 moved, 2 there already" in again.err
    assert "s3cret" not in again.err
    other = ("--storage", "folder:./other")
    assert sequential("send", "open", "approve", "--data", "7", *other).code == 0
    sequential("work", "--until-idle", *other)
    assert sequential("show", "open", "--json", *other).json()["result"] == 7
    left = sequential("show", "open", "--json").json()
    assert (left["status"], left["error"]["message"]) == ("cancelled", "moved to folder:./other, where it goes on")
    assert "cancelled: moved to folder:./other, where it goes on" in sequential("show", "open").out


def test_what_a_worker_holds_is_refused_and_it_says_how_to_go_on(sequential: Any, start: Any, folder: Path) -> None:
    sequential("submit", "slow.py", "--input", '{"steps": 1000, "pause": 0.05}', "--id", "held")
    worker = start("work", "--lease", "30")
    while not (folder / "noted").exists():
        assert worker.poll() is None
    refused = sequential(*SYNC)
    assert refused.code == 1
    assert "held" in refused.err
    assert "SIGTERM" in refused.err
    assert sequential("list", "--json", "--storage", "folder:./other").json() == []
    worker.terminate()
    worker.communicate(timeout=30)
    assert sequential(*SYNC, "--json").json()["moved"] == ["held"]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("folder:./tasks", "folder:tasks"), "one storage"),
        (("folder:./tasks", "folder:./tasks"), "one storage"),
        (("folder:./tasks", "folder:./other", "--run", "none"), "sequential list"),
    ],
)
def test_wrong_use_says_what_is_right(sequential: Any, arguments: tuple[str, ...], says: str) -> None:
    sequential("submit", "waiting.py", "--id", "open")
    result = sequential("sync", *arguments)
    assert result.code == 1
    assert says in result.err
    assert sequential("show", "open", "--json").json()["status"] == "pending"


def test_a_run_that_cannot_be_taken_over_is_exit_code_1(sequential: Any) -> None:
    sequential("run", "echo.py", "--input", "1", "--id", "same")
    sequential("run", "echo.py", "--input", "2", "--id", "same", "--storage", "folder:./other")
    result = sequential(*SYNC)
    assert result.code == 1
    assert "run same: the target has another run of that id" in result.err
