"""Scripts as task runs of the engine: each step is a call with a layer, and a killed run goes on."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from sequential_adaptor import TaskExecutor
from sequential_adaptor.engine import Engine
from sequential_adaptor.errors import TaskCancelled, TaskFailed
from sequential_adaptor.runners.base import Completed

NAP = f"7531.{os.getpid()}"
SCRIPT = """
# %% fetch
echo fetched >> {log}; echo source > src
# %% compile
echo compiled >> {log}; cat src > obj; cat >> obj
# %% test
echo tested >> {log}; grep source obj
"""


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The state folder of runners that an engine makes."""
    monkeypatch.setenv("SEQUENTIAL_STATE_DIR", str(tmp_path / "state"))
    return tmp_path / "state"


@pytest.fixture
async def engine(state: Path, tmp_path: Path) -> AsyncIterator[Engine]:
    """An engine on a folder."""
    async with Engine(f"folder:{tmp_path}/tasks") as engine:
        yield engine


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """Where the steps of the script say that they were really run."""
    return tmp_path / "log"


async def _calls(engine: Engine, run_id: str) -> list[Any]:
    rows = await engine.adapter.query_stack_runs({"task_run_id": run_id})
    return sorted((row for row in rows if row.sequence is not None), key=lambda row: row.sequence)


async def test_each_step_is_a_call_whose_result_is_its_layer(engine: Engine, state: Path, log: Path) -> None:
    await engine.publish("build", SCRIPT.format(log=log), runner="container")
    result = await engine.run("build", {"v": 1}, id="one")
    calls = await _calls(engine, "one")
    assert [call.operation for call in calls] == ["step:fetch", "step:compile", "step:test"]
    assert [call.status for call in calls] == ["completed"] * 3
    assert calls[2].result == result
    assert [call.result["parent"] for call in calls] == [None, calls[0].result["hash"], calls[1].result["hash"]]
    assert result["stdout"] == "source\n"
    assert (state / "work" / "obj").read_text() == 'source\n{"v":1}\n'


async def test_the_same_script_again_runs_nothing_and_a_changed_line_only_what_follows(
    engine: Engine, log: Path
) -> None:
    script = SCRIPT.format(log=log)
    await engine.publish("build", script, runner="container")
    first = await engine.run("build")
    again = await engine.run("build")
    assert (again["hash"], again["cached"]) == (first["hash"], True)
    assert log.read_text().split() == ["fetched", "compiled", "tested"]
    await engine.publish("build", script.replace("cat src > obj", "cat src src > obj"), runner="container")
    await engine.run("build", id="changed")
    assert log.read_text().split()[3:] == ["compiled", "tested"]
    assert [call.result["cached"] for call in await _calls(engine, "changed")] == [True, False, False]


async def test_a_step_that_fails_ends_the_run_with_its_exit_code_and_output(
    engine: Engine, state: Path, tmp_path: Path
) -> None:
    await engine.publish("bad", "# %% good\necho 1 > a\n# %% bad\necho deep; echo 2 > b; exit 9\n", runner="container")
    with pytest.raises(TaskFailed, match=r"exit code 9.*\n*deep") as caught:
        await engine.run("bad", id="bad")
    assert caught.value.error is not None
    assert caught.value.error["type"] == "CommandFailed"
    assert caught.value.error["message"] == "'echo deep; echo 2 > b; exit 9' ended with exit code 9: deep"
    assert [path.name for path in (state / "work").iterdir()] == ["a"]
    assert [call.status for call in await _calls(engine, "bad")] == ["completed", "failed"]


async def test_code_without_a_command_is_refused_with_a_reason(engine: Engine) -> None:
    await engine.publish("nothing", "# only a comment\n# %% and\n", runner="container")
    with pytest.raises(TaskFailed, match="there is no command"):
        await engine.run("nothing")


async def test_runs_side_by_side_share_the_work_directory_and_do_not_mix(engine: Engine, log: Path) -> None:
    for name in ("a", "b", "c"):
        await engine.publish(name, f"# %% one\necho {name} > who\n# %% two\ncat who who\n", runner="container")
    found = await asyncio.gather(*(engine.run(name) for name in ("a", "b", "c")))
    assert [result["stdout"] for result in found] == ["a\na\n", "b\nb\n", "c\nc\n"]


async def test_cancelling_a_run_ends_its_command_and_undoes_it(
    engine: Engine, state: Path, processes: Callable[[str], list[int]]
) -> None:
    await engine.publish("long", f"# %% one\necho 1 > a\n# %% two\necho 2 > b; sleep {NAP}\n", runner="container")
    handle = await engine.submit("long")
    carried = asyncio.create_task(engine.carry(handle))
    while not processes(f"sleep\0{NAP}"):
        await asyncio.sleep(0.02)
    await handle.cancel()
    await carried
    with pytest.raises(TaskCancelled):
        await handle.result()
    assert not processes(f"sleep\0{NAP}")
    assert [path.name for path in (state / "work").iterdir()] == ["a"]


async def test_a_run_that_has_begun_stays_on_the_layer_its_tag_meant_then(
    engine: Engine, new_runner: Any, state: Path
) -> None:
    runner = await new_runner(state)
    old = await runner.run("echo old > base")
    await runner.tag("base")
    await engine.publish("based", "# from: base\n# %% one\ntrue\n# %% two\ncat base\n", runner="container")
    await runner.dispose()
    handle = await engine.submit("based", id="based")
    await engine.carry(handle)
    assert (await _calls(engine, "based"))[0].input["parent"] == old.hash
    assert (await handle.result())["stdout"] == "old\n"


async def test_a_failed_run_that_is_retried_goes_on_at_the_step_that_failed(engine: Engine, log: Path) -> None:
    flag = log.with_name("flag")
    script = SCRIPT.format(log=log).replace("# %% compile\n", f"# %% compile\ntest -e {flag}\n")
    await engine.publish("build", script, runner="container")
    with pytest.raises(TaskFailed):
        await engine.run("build", id="one")
    flag.touch()
    handle = engine.handle("one")
    await handle.retry()
    await engine.carry(handle, timeout=120)
    assert (await handle.result())["stdout"] == "source\n"
    assert log.read_text().split() == ["fetched", "compiled", "tested"]


async def test_an_event_that_nobody_waits_for_holds_nothing_up(engine: Engine, log: Path) -> None:
    await engine.publish("build", SCRIPT.format(log=log), runner="container")
    handle = await engine.submit("build", id="one")
    await handle.send("hello", 1)
    await engine.carry(handle, timeout=120)
    assert (await handle.result())["stdout"] == "source\n"


async def test_stop_and_go_carries_a_script_through(state: Path, tmp_path: Path, log: Path) -> None:
    executor = TaskExecutor(f"folder:{tmp_path}/tasks")
    run = {"id": "one", "task_identifier": "build", "runner": "container"}
    ended = await executor.execute(run, SCRIPT.format(log=log))
    assert isinstance(ended, Completed)
    assert ended.result["stdout"] == "source\n"


@pytest.mark.parametrize("which", ["fetch", "compile", "test"])
def test_a_killed_run_goes_on_at_the_first_step_that_has_no_layer(
    which: str, state: Path, tmp_path: Path, log: Path, processes: Callable[[str], list[int]]
) -> None:
    """`sequential run` is killed in the middle of a step; the same command again carries it through."""
    flag, script = tmp_path / "slow", tmp_path / "build.sh"
    waits = f"echo half > half; if test -e {flag}; then sleep {NAP}; fi; rm half"
    script.write_text(SCRIPT.format(log=log).replace(f"# %% {which}\n", f"# %% {which}\n{waits}\n"))
    words = [sys.executable, "-m", "sequential_adaptor.cli", "run", str(script)]
    words += ["--runner=container", "--id=one", "--lease=0.5"]
    flag.touch()
    process = subprocess.Popen(words, cwd=tmp_path, start_new_session=True)
    deadline = time.monotonic() + 120
    while not processes(f"sleep\0{NAP}"):
        assert time.monotonic() < deadline
        assert process.poll() is None
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    flag.unlink()
    again = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=True)
    assert '"stdout": "source\\n"' in again.stdout
    assert not processes(f"sleep\0{NAP}")
    assert log.read_text().split() == ["fetched", "compiled", "tested"]
    assert not (state / "work" / "half").exists()
