"""``sequential container``: what a person sees, what a program reads, and exit codes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from sequential_adaptor.cli.main import run

NAP = f"6420.{os.getpid()}"


@dataclass(frozen=True)
class Result:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """All of standard output, which is one JSON value."""
        return json.loads(self.out)


Command = Callable[..., Result]


@pytest.fixture
def container(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Command:
    """Runs ``sequential container`` with words, in an empty folder; never with a traceback."""
    monkeypatch.chdir(tmp_path)
    for name in ("SEQUENTIAL_STATE_DIR", "SEQUENTIAL_WORKDIR", "SEQUENTIAL_ISOLATION"):
        monkeypatch.delenv(name, raising=False)

    def call(*words: str) -> Result:
        capfd.readouterr()
        code = run(["container", *words])
        out, err = capfd.readouterr()
        assert "Traceback" not in err
        return Result(code, out, err)

    return call


def test_output_goes_where_the_command_sent_it_and_what_is_said_to_standard_error(container: Command) -> None:
    found = container("run", "echo out; echo err >&2; echo 1 > a; mkdir d")
    assert (found.code, found.out) == (0, "out\n")
    assert found.err.startswith("err\nlayer ")
    assert "+2" in found.err


def test_the_same_command_on_the_same_layer_says_that_it_was_not_run(container: Command) -> None:
    container("run", "echo out; echo 1 > a")
    container("reset")
    found = container("run", "echo out; echo 1 > a")
    assert found.out == "out\n"
    assert "not run" in found.err


def test_words_are_quoted_for_the_shell_and_options_of_the_command_are_its_own(container: Command) -> None:
    assert container("run", "printf", "%s|", "a b", "$HOME", "--json").out == "a b|$HOME|--json|\n"


def test_a_failed_command_ends_with_its_exit_code_and_says_what_is(container: Command) -> None:
    found = container("run", "echo no >&2; exit 9")
    assert found.code == 9
    assert "exit code 9" in found.err
    assert "left no layer" in found.err
    assert container("run", "--timeout", "0.3", "sleep 60").code == 124


def test_json_is_all_of_standard_output_also_when_the_command_fails(container: Command) -> None:
    made = container("run", "--json", "echo out; echo 1 > a")
    assert made.json["stdout"] == "out\n"
    assert made.json["changed"] == {"added": ["a"], "modified": [], "deleted": []}
    failed = container("run", "--json", "echo out; exit 4")
    assert (failed.code, failed.json["exit_code"], failed.json["stdout"]) == (4, 4, "out\n")
    assert failed.json["error"]["type"] == "CommandFailed"


def test_exec_leaves_no_layer_and_ends_with_the_exit_code(container: Command) -> None:
    container("run", "echo 1 > a")
    head = container("head").out
    found = container("exec", "cat a; rm a; exit 3")
    assert (found.code, found.out) == (3, "1\n")
    assert container("head").out == head
    assert container("exec", "--json", "ls").json["stdout"] == "a\n"


def test_status_and_commit_see_to_what_was_changed_by_hand(container: Command, tmp_path: Path) -> None:
    container("run", "echo 1 > a")
    (tmp_path / ".statekit/work/hand").write_text("mine")
    assert container("status").out == "+ hand\n"
    assert container("status", "--json").json["added"] == ["hand"]
    refused = container("run", "true")
    assert refused.code == 1
    assert "container commit" in refused.err
    assert container("commit", "by hand").code == 0
    assert container("status", "--json").json["clean"]


def test_history_is_a_tree(container: Command) -> None:
    root = container("run", "--json", "echo 1 > a").json["short"]
    left = container("run", "--json", "echo 2 > b").json["short"]
    container("checkout", root)
    right = container("run", "--json", "echo 3 > c").json["short"]
    last = container("run", "--json", "rm a").json["short"]
    container("tag", "mine", left)
    lines = container("history").out.splitlines()
    assert [line.split("  ")[0].translate(str.maketrans("○●├─", "o*+-")) for line in lines] == [
        f"o {root}",
        f"+-o {left}",
        f"o {right}",
        f"* {last}",
    ]
    assert lines[1].endswith("(mine)")
    assert lines[3].endswith("(head)")
    rows = container("history", "--json").json
    assert [(row["short"], row["head"], row["tags"]) for row in rows] == [
        (root, False, []),
        (left, False, ["mine"]),
        (right, False, []),
        (last, True, []),
    ]


def test_layers_are_looked_at_and_moved_between(container: Command, tmp_path: Path) -> None:
    container("run", r"printf 'a\0b' > a")
    container("tag", "one")
    container("run", "rm a; echo 2 > b")
    assert container("diff", "one").out == "+ b\n- a\n"
    assert container("diff", "one", "--json").json == {"added": ["b"], "modified": [], "deleted": ["a"]}
    assert container("read", "one", "a").out == "a\0b"
    assert container("read", "one", "a", "--json").json == {"path": "a", "text": "a\0b"}
    assert "printf" in container("inspect", "one").out
    assert container("inspect", "one", "--json").json["hash"] == container("tags", "--json").json["one"]
    assert container("checkout", "one").code == 0
    assert (tmp_path / ".statekit/work/a").exists()
    path = container("fork", "one").out.strip()
    assert (Path(path) / "a").exists()
    assert container("rebuild").code == 0
    assert container("tag", "one", "--delete").code == 0
    assert container("tags").out == ""


def test_upkeep(container: Command) -> None:
    container("run", "echo 1 > a")
    container("run", "echo 2 > a")
    container("reset")
    assert container("verify", "--json").json["damage"] == []
    assert container("du", "--json").json["layers"] == 2
    assert container("gc", "--json").json["layers"] == 0
    assert container("gc", "--unused", "--json").json["layers"] == 2
    assert container("history").out == ""


def test_what_does_not_exist_is_named_with_what_helps(container: Command) -> None:
    container("run", "echo 1 > a")
    for words, said in (
        (["checkout", "nope"], "container history"),
        (["read", "nope", "a"], "container history"),
        (["run", "--isolation", "nope", "true"], "none, bwrap, overlay"),
        (["run", "--workdir", "/", "true"], "root of the file system"),
    ):
        found = container(*words)
        assert found.code == 1
        assert said in found.err
    assert container("run").code == 2
    assert container("nope").code == 2


def test_a_script_is_run_cell_by_cell(container: Command, tmp_path: Path) -> None:
    (tmp_path / "build.sh").write_text("# %% one\ncat > in\n# %% two\ncat in\n")
    found = container("run", "--file", "build.sh", "--input", '{"a": 1}')
    assert found.out == '{"a":1}\n'
    assert found.err.startswith("-- one\nlayer ")
    assert "-- two\n" in found.err


def test_secrets_come_from_the_environment_and_stay_hidden(container: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOKEN", "hunter2-hunter2")
    found = container("run", "--secret", "TOKEN", "echo $TOKEN")
    assert found.out == "***\n"
    assert container("run", "--secret", "NOT_THERE", "true").code == 2


def test_output_comes_as_it_is_printed_and_ctrl_c_undoes_the_command(
    tmp_path: Path, processes: Callable[[str], list[int]]
) -> None:
    words = [sys.executable, "-m", "sequential_adaptor.cli", "container", "run", f"echo first; echo 1 > a; sleep {NAP}"]
    process = subprocess.Popen(words, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    with process:
        assert process.stdout.readline() == "first\n"
        deadline = time.monotonic() + 60
        while not processes(f"sleep\0{NAP}"):
            assert time.monotonic() < deadline
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Interrupted" in err
    assert "Traceback" not in err
    assert not processes(f"sleep\0{NAP}")
    assert not list((tmp_path / ".statekit/work").iterdir())
