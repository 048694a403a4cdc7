"""run, publish, submit, work: what they print, what they leave, and how they go on."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sequential_adaptor import values
from sequential_adaptor.errors import StorageUnavailable

VALUES: list[Any] = [0, False, "", [], {}, None, "ü🙂", 2**100, -0.0, {"b": [1, {"a": None}], "a": 2}]


def until(condition: Callable[[], bool], seconds: float = 20.0) -> None:
    """Wait for something that another process does."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.02)


@pytest.mark.parametrize("value", VALUES, ids=repr)
def test_run_prints_the_result_as_json_and_nothing_else_on_standard_output(sequential: Any, value: Any) -> None:
    result = sequential("run", "echo.py", "--input", values.encode(value))
    assert result.code == 0
    assert values.identical(values.decode(result.out), value)


def test_run_says_beside_it_which_run_it_was_and_what_it_printed(sequential: Any) -> None:
    result = sequential("run", "greet.py", "--input", '{"names": ["Ada"]}', "--id", "first")
    assert result.err.splitlines() == ["run first of greet", "going to greet Ada"]


def test_run_with_the_same_id_goes_on_and_does_nothing_twice(sequential: Any, folder: Path) -> None:
    arguments = ("run", "greet.py", "--input", '{"names": ["Ada", "Bo"]}', "--id", "one")
    first, again = sequential(*arguments), sequential(*arguments)
    without_input = sequential("run", "greet", "--id", "one")
    assert first.json() == again.json() == without_input.json() == ["Hello, Ada!", "Hello, Bo!"]
    assert (folder / "greeted-Ada").read_text() == "x"


def test_run_outlives_a_moment_without_storage_while_it_says_what_it_waits_for(
    sequential: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The worker does, so whoever watches it does."""
    looks: list[Any] = []

    def away(row: Any, now: Any) -> None:
        looks.append(row)
        if len(looks) == 1:
            raise StorageUnavailable("the database is away for a moment")

    monkeypatch.setattr("sequential_adaptor.cli.carrying._LOOK", 0.05)
    monkeypatch.setattr("sequential_adaptor.cli.carrying._holder", away)
    result = sequential("run", "slow.py", "--input", '{"steps": 1, "pause": 0.5}')
    assert (result.code, result.json()) == (0, [0])
    assert len(looks) > 1


def test_run_by_name_runs_what_was_published(sequential: Any) -> None:
    published = sequential("publish", "echo.py", "--name", "repeat", "--json").json()
    assert (published["identifier"], len(published["version"])) == ("repeat", 64)
    assert sequential("run", "repeat", "--input", "[1]").json() == [1]


def test_an_id_that_belongs_to_another_task_or_input_is_refused_and_says_what_to_do(sequential: Any) -> None:
    sequential("run", "echo.py", "--input", "1", "--id", "mine")
    other_task = sequential("run", "greet.py", "--id", "mine")
    other_input = sequential("run", "echo.py", "--input", "2", "--id", "mine")
    assert (other_task.code, other_input.code) == (1, 1)
    assert "run echo --id mine" in other_task.err
    assert "--id" in other_input.err


def test_a_failed_task_is_exit_code_1_with_its_line_and_a_way_on_and_no_traceback(sequential: Any) -> None:
    result = sequential("run", "failing.py", "--input", "0", "--id", "bad")
    assert (result.code, result.out) == (1, "")
    assert "line 3, in divide: return 1 / x" in result.err
    assert "ZeroDivisionError: division by zero" in result.err
    assert "sequential show bad" in result.err
    assert "Traceback" not in result.err
    assert "\x1b" not in result.err


def test_debug_shows_the_tasks_traceback(sequential: Any) -> None:
    with pytest.raises(Exception, match="division by zero"):
        sequential("run", "failing.py", "--input", "0", "--debug")


def test_run_json_prints_the_record(sequential: Any) -> None:
    done = sequential("run", "echo.py", "--input", "[0]", "--json").json()
    assert (done["task"], done["status"], done["input"], done["result"], done["error"]) == (
        "echo",
        "completed",
        [0],
        [0],
        None,
    )
    bad = sequential("run", "failing.py", "--input", "0", "--json")
    assert (bad.code, bad.json()["status"], bad.json()["error"]["type"]) == (1, "failed", "ZeroDivisionError")


@pytest.mark.parametrize("bad", ["", "{a:1}", "NaN", "1e999", "[1,]", '{"a"', '"\\ud800"', "hello"])
def test_input_that_is_not_json_is_wrong_usage_with_its_place(sequential: Any, bad: str) -> None:
    result = sequential("run", "echo.py", "--input", bad)
    assert (result.code, result.out) == (2, "")
    assert "JSON" in result.err


def test_input_comes_from_a_file_or_standard_input_too(sequential: Any, folder: Path) -> None:
    (folder / "input.json").write_text('{"ü": 1}', encoding="utf-8")
    assert sequential("run", "echo.py", "--input", "@input.json").json() == {"ü": 1}
    assert sequential("run", "echo.py", "--input", "-", stdin="[2]").json() == [2]
    missing = sequential("run", "echo.py", "--input", "@nowhere.json")
    assert (missing.code, "nowhere.json" in missing.err) == (2, True)


@pytest.mark.parametrize("task", ["nothing.py", "folder/nothing"])
def test_a_file_that_is_not_there_is_wrong_usage(sequential: Any, task: str) -> None:
    result = sequential("run", task)
    assert result.code == 2
    assert "sequential new nothing" in result.err


def test_a_name_that_is_not_stored_says_how_to_publish(sequential: Any) -> None:
    result = sequential("run", "nothing")
    assert result.code == 1
    assert "sequential publish FILE --name nothing" in result.err


def test_submit_prints_the_id_and_the_same_id_is_the_same_run(sequential: Any, folder: Path) -> None:
    sequential("publish", "greet.py")
    first = sequential("submit", "greet", "--input", '{"names": ["Ada"]}', "--id", "job-1")
    again = sequential("submit", "greet", "--input", '{"names": ["Ada"]}', "--id", "job-1")
    made = sequential("submit", "greet", "--input", '{"names": ["Bo"]}').out.strip()
    assert (first.out, again.out) == ("job-1\n", "job-1\n")
    assert not (folder / "greeted-Ada").exists()
    assert sequential("work", "--until-idle").code == 0
    runs = {run["id"]: run for run in sequential("list", "--json").json()}
    assert {id: run["result"] for id, run in runs.items()} == {"job-1": ["Hello, Ada!"], made: ["Hello, Bo!"]}
    assert (folder / "greeted-Ada").read_text() == "x"


@pytest.mark.parametrize("id", ["", "a/b", "../x", "a" * 65, "ü", ".hidden"])
def test_an_id_that_cannot_be_one_is_wrong_usage(sequential: Any, id: str) -> None:
    result = sequential("submit", "echo.py", "--id", id)
    assert result.code == 2
    assert "run id" in result.err


def test_ctrl_c_says_how_to_go_on_and_going_on_works(start: Any, finish: Any, folder: Path) -> None:
    arguments = ("run", "slow.py", "--input", '{"steps": 4, "pause": 0.4}', "--id", "slow-one")
    process = start(*arguments)
    until(lambda: (folder / "noted").exists())
    process.send_signal(signal.SIGINT)
    stopped = finish(process)
    assert (stopped.code, stopped.out) == (130, "")
    assert "sequential run slow --id slow-one" in stopped.err
    assert "Traceback" not in stopped.err
    resumed = finish(start("run", "slow", "--id", "slow-one"))
    assert json.loads(resumed.out) == [0, 1, 2, 3]
    assert (folder / "noted").read_text().split() == ["0", "1", "2", "3"]


@pytest.mark.parametrize("command", [("run", "slow", "--id", "killed"), ("work", "--until-idle")])
def test_a_killed_run_goes_on_from_where_it_was(
    start: Any, finish: Any, folder: Path, command: tuple[str, ...]
) -> None:
    process = start("run", "slow.py", "--input", '{"steps": 3, "pause": 0.3}', "--id", "killed", "--lease", "1.5")
    until(lambda: (folder / "noted").exists())
    process.kill()
    finish(process)
    assert finish(start(*command)).code == 0
    assert finish(start("show", "killed", "--json")).json()["result"] == [0, 1, 2]
    noted = (folder / "noted").read_text().split()
    assert sorted(set(noted)) == ["0", "1", "2"]
    assert len(noted) <= 4  # only the step that it died in, or right after, may have been done again


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_worker_stops_cleanly_and_gives_back_what_it_holds(
    start: Any, finish: Any, folder: Path, number: signal.Signals
) -> None:
    submitted = finish(start("submit", "slow.py", "--input", '{"steps": 3, "pause": 0.5}', "--id", "given-back"))
    assert submitted.code == 0
    worker = start("work")
    until(lambda: (folder / "noted").exists())
    worker.send_signal(number)
    stopped = finish(worker)
    assert (stopped.code, stopped.out) == (0, "")
    assert [line.partition(" ")[0] for line in stopped.err.splitlines()] == ["worker", "worker"]
    begin = time.monotonic()
    assert finish(start("work", "--until-idle")).code == 0
    assert time.monotonic() - begin < 15  # the lease of 30 s was not waited for
    assert finish(start("show", "given-back", "--json")).json()["result"] == [0, 1, 2]


def test_an_event_sent_from_the_command_line_lets_a_run_go_on(sequential: Any) -> None:
    sequential("submit", "waiting.py", "--id", "needs-ok")
    assert sequential("work", "--until-idle").code == 0
    assert sequential("show", "needs-ok", "--json").json()["status"] == "suspended"
    assert sequential("send", "needs-ok", "approve", "--data", "[false]").code == 0
    sequential("work", "--until-idle")
    assert sequential("show", "needs-ok", "--json").json()["result"] == [False]


def test_cancel_ends_a_run_and_says_so(sequential: Any) -> None:
    sequential("submit", "waiting.py", "--id", "asked")
    sequential("submit", "waiting.py", "--id", "forced")
    sequential("work", "--until-idle")
    assert sequential("cancel", "asked").code == 0
    sequential("work", "--until-idle")
    assert sequential("cancel", "forced", "--force").code == 0
    assert {run["status"] for run in sequential("list", "--json").json()} == {"cancelled"}
    assert "has ended already" in sequential("cancel", "asked").err
    ended = sequential("run", "waiting", "--id", "asked")
    assert (ended.code, "cancelled" in ended.err) == (1, True)


def test_work_until_idle_with_nothing_to_do_ends_at_once(sequential: Any) -> None:
    assert sequential("work", "--until-idle").code == 0


def test_files_may_begin_with_a_byte_order_mark_and_end_lines_as_windows_does(sequential: Any, folder: Path) -> None:
    """Editors write one; Python takes it, so a task, the modules that it imports and its input may have one."""
    mark = b"\xef\xbb\xbf"
    task = b"import beside\r\nasync def main(input):\r\n    return [beside.N, input]\r\n"
    (folder / "marked.py").write_bytes(mark + task)
    (folder / "beside.py").write_bytes(mark + b"N = 1\r\n")
    (folder / "input.json").write_bytes(mark + b'{"a": 1}\r\n')
    assert sequential("run", "marked.py", "--input", "@input.json").json() == [1, {"a": 1}]
    assert sequential("run", "marked", "--input", "-", stdin="\ufeff[2]\r\n").json() == [1, [2]]


def test_a_start_that_no_calendar_has_is_wrong_usage(sequential: Any) -> None:
    refused = sequential("submit", "echo.py", "--at", "99999999d")
    assert (refused.code, "end of the calendar" in refused.err) == (2, True)
    assert sequential("submit", "echo.py", "--at", "99999d").code == 0


BLOCKING = """
import asyncio, time
from sequential_adaptor.task import step

def block(seconds):
    open("blocking", "w").close()
    time.sleep(seconds)

async def main(patience):
    try:
        await asyncio.wait_for(step(block, 50), patience)
    except TimeoutError:
        return "given up"
"""


def test_ctrl_c_ends_a_run_whose_step_blocks_its_thread(start: Any, finish: Any, folder: Path) -> None:
    """Python waits for its threads; the command does not."""
    (folder / "blocking.py").write_text(BLOCKING)
    process = start("run", "blocking.py", "--id", "one", "--input", "100")
    until((folder / "blocking").exists)
    began = time.monotonic()
    process.send_signal(signal.SIGINT)
    done = finish(process)
    assert (done.code, "sequential run blocking --id one" in done.err) == (130, True)
    assert time.monotonic() - began < 30


def test_a_step_that_was_given_up_holds_nobody_up(start: Any, finish: Any, folder: Path) -> None:
    (folder / "blocking.py").write_text(BLOCKING)
    began = time.monotonic()
    done = finish(start("run", "blocking.py", "--input", "0.2"))
    assert (done.code, json.loads(done.out)) == (0, "given up")
    assert time.monotonic() - began < 30
