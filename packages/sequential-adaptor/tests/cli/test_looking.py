"""list, show, history, describe, keystore, config, doctor: what people and programs get to see."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from sequential_adaptor import values
from sequential_adaptor.cli.examination import has_wal_reset_bug

FALSY: list[Any] = [0, False, "", [], {}]


@pytest.fixture
def three(sequential: Any) -> Any:
    """Three runs: two that completed and one that failed."""
    sequential("run", "greet.py", "--input", '{"names": ["Ada", "Bo"]}', "--id", "greeting")
    sequential("run", "echo.py", "--input", '"[red]text[/red] \\u001b[31m"', "--id", "echoing")
    sequential("run", "failing.py", "--input", "0", "--id", "failing")
    return sequential


def test_list_json_is_an_array_of_runs_newest_first(three: Any) -> None:
    found = three("list", "--json")
    assert found.err == ""
    rows = found.json()
    assert [row["id"] for row in rows] == ["failing", "echoing", "greeting"]
    assert all({"id", "task", "status", "input", "result", "error"} <= row.keys() for row in rows)
    assert rows[2] | {"created_at": "", "started_at": "", "ended_at": "", "version": ""} == {
        "id": "greeting",
        "task": "greet",
        "status": "completed",
        "input": {"names": ["Ada", "Bo"]},
        "result": ["Hello, Ada!", "Hello, Bo!"],
        "error": None,
        "runner": "fetch",
        "version": "",
        "metadata": None,
        "parent_call": None,
        "created_at": "",
        "started_at": "",
        "ended_at": "",
    }
    assert datetime.fromisoformat(rows[2]["created_at"]).tzinfo is not None


def test_list_of_nothing(sequential: Any) -> None:
    assert sequential("list", "--json").json() == []
    assert "sequential new" in sequential("list").err


@pytest.mark.parametrize(
    ("arguments", "ids"),
    [
        (("--limit", "2"), ["failing", "echoing"]),
        (("--limit", "0"), []),
        (("--limit", "1", "--all"), ["failing", "echoing", "greeting"]),
        (("--task", "echo"), ["echoing"]),
        (("--task", "none"), []),
        (("--status", "completed"), ["echoing", "greeting"]),
        (("--status", "failed", "--status", "completed", "--task", "greet"), ["greeting"]),
    ],
)
def test_list_takes_limits_and_filters(three: Any, arguments: tuple[str, ...], ids: list[str]) -> None:
    assert [row["id"] for row in three("list", "--json", *arguments).json()] == ids


def test_list_says_where_there_is_more(three: Any) -> None:
    shown = three("list", "--limit", "2")
    assert [line.split()[0] for line in shown.out.splitlines()] == ["id", "failing", "echoing"]
    assert "--all" in shown.err


def test_show_json_adds_the_calls(three: Any) -> None:
    found = three("show", "greeting", "--json").json()
    assert found["result"] == ["Hello, Ada!", "Hello, Bo!"]
    assert [(call["id"], call["operation"], call["status"], call["result"]) for call in found["calls"]] == [
        ("greeting.1", "step:greeting", "completed", "Hello, Ada!"),
        ("greeting.2", "step:greeting", "completed", "Hello, Bo!"),
    ]
    assert found["log"] == ["going to greet Ada Bo"]


def test_show_without_an_id_is_the_newest_run(three: Any) -> None:
    assert three("show", "--json").json()["id"] == "failing"


@pytest.mark.parametrize("width", ["80", "120"])
def test_show_draws_a_timeline_that_fits(three: Any, monkeypatch: pytest.MonkeyPatch, width: str) -> None:
    monkeypatch.setenv("COLUMNS", width)
    shown = three("show", "greeting").out
    calls = [line for line in shown.splitlines() if "step:greeting" in line]
    assert len(calls) == 2
    assert all("━" in line and "Hello" in line for line in calls)
    assert all(len(line) <= int(width) for line in shown.splitlines())
    assert "\x1b" not in shown


def test_what_a_task_says_is_shown_as_it_is_and_steers_no_terminal(three: Any) -> None:
    assert "[red]text[/red]" in three("show", "echoing").out
    shown = three("show", "failing").out
    assert "\\x1b[2Jdividing" in shown
    assert "\x1b" not in shown
    assert "\x1b" not in three("list").out


def test_a_terminal_of_no_width_is_one_that_says_nothing(three: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "0")
    assert "ZeroDivisionError" in three("show", "failing").out


def test_history_is_in_order_of_time(three: Any) -> None:
    lines = three("history", "greeting", "--json").json()
    assert [line["event"] for line in lines] == [
        "submitted",
        "started",
        "call",
        "completed",
        "call",
        "completed",
        "completed",
    ]
    assert [line["at"] for line in lines] == sorted(line["at"] for line in lines)
    assert len(three("history", "greeting").out.splitlines()) == len(lines) + 2


def test_describe_names_version_runs_and_code(three: Any, folder: Path) -> None:
    found = three("describe", "greet", "--json").json()
    assert found["code"] == (folder / "greet.py").read_text()
    assert [run["id"] for run in found["runs"]] == ["greeting"]
    assert three("describe", "greet", "--code").out == found["code"]
    assert found["version"][:12] in three("describe", "greet").out
    assert three("describe", "greet", "--version", "0" * 64).code == 1


def test_describe_without_a_name_lists_what_is_stored(three: Any) -> None:
    assert three("describe").out.split() == ["echo", "failing", "greet"]
    assert [row["identifier"] for row in three("describe", "--json").json()] == ["echo", "failing", "greet"]
    assert "did you mean 'greet'" in three("describe", "gret").err


@pytest.mark.parametrize(
    "command", [("show", "none"), ("history", "none"), ("delete", "none", "--yes"), ("cancel", "none")]
)
def test_a_run_that_is_not_there_is_exit_code_1_and_says_where_to_look(
    sequential: Any, command: tuple[str, ...]
) -> None:
    result = sequential(*command)
    assert (result.code, result.out) == (1, "")
    assert "sequential list" in result.err


@pytest.mark.parametrize("text", ["", "secret", "ü🙂", " two words ", "line\nbreak", "-dash"])
def test_the_keystore_keeps_text_exactly(sequential: Any, text: str) -> None:
    assert sequential("keystore", "set", "--", "KEY", text).code == 0
    assert sequential("keystore", "get", "KEY").out == f"{text}\n"


@pytest.mark.parametrize("value", [*FALSY, {"b": 1, "a": 2}, 1.5], ids=repr)
def test_the_keystore_keeps_any_json(sequential: Any, value: Any) -> None:
    assert sequential("keystore", "set", "KEY", "--json-value", values.encode(value)).code == 0
    assert values.identical(values.decode(sequential("keystore", "get", "KEY", "--json").out), value)


def test_a_secret_that_is_piped_in_shows_nowhere(sequential: Any) -> None:
    said = sequential("keystore", "set", "API_KEY", stdin="s3cret\n")
    assert sequential("keystore", "get", "API_KEY").out == "s3cret\n"
    listed = sequential("keystore", "list")
    assert listed.out == "API_KEY\n"
    assert sequential("keystore", "list", "--json").json() == ["API_KEY"]
    assert "s3cret" not in said.out + said.err + listed.out + listed.err


def test_a_key_that_is_gone_is_exit_code_1(sequential: Any) -> None:
    sequential("keystore", "set", "KEY", "x")
    assert sequential("keystore", "delete", "KEY").code == 0
    for command in ("get", "delete"):
        gone = sequential("keystore", command, "KEY")
        assert (gone.code, gone.out) == (1, "")
        assert "sequential keystore" in gone.err
    assert sequential("keystore", "list").out == ""


def test_delete_forgets_a_run_and_asks_first(three: Any) -> None:
    refused = three("delete", "greeting")
    assert (refused.code, "--yes" in refused.err) == (1, True)
    assert three("delete", "greeting", "echoing", "--yes").code == 0
    assert [row["id"] for row in three("list", "--json").json()] == ["failing"]
    assert three("show", "greeting").code == 1


def test_delete_leaves_what_has_not_ended_unless_forced(sequential: Any) -> None:
    sequential("submit", "waiting.py", "--id", "open")
    refused = sequential("delete", "open", "--yes")
    assert (refused.code, "sequential cancel open" in refused.err) == (1, True)
    assert sequential("delete", "open", "--yes", "--force").code == 0
    assert sequential("list", "--json").json() == []
    sequential("work", "--until-idle")


def test_delete_takes_a_run_that_is_named_twice_once(three: Any) -> None:
    first, second, third = [row["id"] for row in three("list", "--json").json()]
    assert three("delete", first, first, second, "--yes").code == 0
    assert [row["id"] for row in three("list", "--json").json()] == [third]


def test_delete_gives_the_key_of_a_run_on(sequential: Any) -> None:
    sequential("queue", "set", "mail", "--limit", "5")
    for id in ("first", "second"):
        sequential("submit", "waiting.py", "--id", id, "--queue", "mail", "--key", "k")
    sequential("work", "--until-idle")
    assert sequential("delete", "first", "--yes", "--force").code == 0
    sequential("work", "--until-idle")
    assert [(row["id"], row["status"]) for row in sequential("list", "--json").json()] == [("second", "suspended")]


def test_config_says_which_storage_and_who_says_so(sequential: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    assert sequential("config", "--json").json()["source"] == "default"
    monkeypatch.setenv("SEQUENTIAL_STORAGE", "postgresql://me:pass-word@host/db")
    monkeypatch.setenv("SERVICE_AUTH_TOKEN", "to-ken")
    found = sequential("config", "--json")
    assert (found.json()["source"], found.json()["adapter"]) == ("SEQUENTIAL_STORAGE", "supabase")
    assert "SERVICE_AUTH_TOKEN" in found.json()["environment"]
    text = sequential("config")
    for shown in (found.out, text.out):
        assert "pass-word" not in shown
        assert "to-ken" not in shown
    assert sequential("--storage", "folder:./here", "config", "--json").json()["storage"] == "folder:./here"
    assert sequential("config", "--json", "--storage", "folder:./here").json()["source"] == "argument"


def test_doctor_finds_a_healthy_store_healthy(sequential: Any) -> None:
    result = sequential("doctor", "--json")
    findings = {finding["subject"]: finding["level"] for finding in result.json()}
    assert findings.keys() >= {"python", "package", "sqlite", "storage", "writing", "clock", "runs"}
    assert (findings["storage"], findings["writing"]) == ("ok", "ok")


@pytest.mark.parametrize("storage", ["nonsense:x", "folder:/proc/none/tasks", "a b c"])
def test_doctor_says_what_is_wrong_and_exits_1(sequential: Any, storage: str) -> None:
    result = sequential("doctor", "--storage", storage)
    assert result.code == 1
    assert "XX  storage" in result.out
    assert "Traceback" not in result.out + result.err


@pytest.mark.parametrize("version", ["3.40.1", "3.44.5", "3.45.0", "3.50.6", "3.51.2"])
def test_sqlite_versions_with_the_wal_reset_bug_are_known(version: str) -> None:
    assert has_wal_reset_bug(_numbers(version))


@pytest.mark.parametrize("version", ["3.44.6", "3.50.7", "3.51.3", "3.52.0", "4.0.0"])
def test_sqlite_versions_without_it_are_not_suspected(version: str) -> None:
    assert not has_wal_reset_bug(_numbers(version))


def _numbers(version: str) -> tuple[int, int, int]:
    major, minor, patch = map(int, version.split("."))
    return major, minor, patch


def test_output_is_utf_8_whatever_the_locale_says(start: Any, finish: Any) -> None:
    done = finish(start("run", "echo.py", "--input", '"ü🙂"', PYTHONIOENCODING="ascii", LC_ALL="C"))
    assert (done.code, json.loads(done.out)) == (0, "ü🙂")
    shown = finish(start("show", PYTHONIOENCODING="ascii", LC_ALL="C"))
    assert shown.code == 0
