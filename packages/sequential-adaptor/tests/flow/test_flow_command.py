"""``sequential flow``: checking files, drawing files and runs."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from sequential_adaptor import ConfigurationError, Engine
from sequential_adaptor.cli.main import sequential

FLOW = """
graph = {"id": "lamp", "initial": "off", "states": {
    "off": {"on": {"PRESS": "on"}}, "on": {"on": {"PRESS": "off"}, "after": {"late": "off"}}, "attic": {},
}}
late = 5_000_000
"""


@pytest.fixture
def lamp(tmp_path: Path) -> Path:
    path = tmp_path / "lamp.py"
    path.write_text(FLOW)
    return path


def invoke(*arguments: Any) -> Any:
    return CliRunner().invoke(sequential, ["flow", *map(str, arguments)])


def test_check_says_that_a_machine_can_run_and_what_it_wonders_about(lamp: Path) -> None:
    done = invoke("check", lamp)
    assert done.exit_code == 0
    assert "lamp.py can run: 3 states, 1 warning" in done.output
    assert "states.attic: unreachable state 'attic'" in done.output


def test_check_says_all_that_is_wrong_and_fails(tmp_path: Path) -> None:
    bad = {"initial": "a", "states": {"a": {"on": {"GO": "shiped"}, "after": {"1": "c"}}, "shipped": {}}}
    path = tmp_path / "bad.json"
    path.write_text(json.dumps(bad))
    done = invoke("check", path)
    assert done.exit_code == 1
    assert "nearest is 'shipped'" in str(done.exception)
    done = invoke("check", path, "--json")
    assert done.exit_code == 1
    assert len(json.loads(done.output)["problems"]) == 2


@pytest.mark.parametrize("text", [b'{"initial": ', b"\xff", b"", b"[" * 100_000])
@pytest.mark.parametrize("command", ["check", "draw"])
def test_a_file_that_is_not_json_is_named(tmp_path: Path, command: str, text: bytes) -> None:
    path = tmp_path / "bad.json"
    path.write_bytes(text)
    done = invoke(command, path)
    assert (done.exit_code, type(done.exception)) == (1, ConfigurationError)
    assert "bad.json holds no machine, as it is not JSON" in str(done.exception)


def test_draw_writes_a_file_in_each_format(lamp: Path, tmp_path: Path) -> None:
    assert invoke("draw", lamp).output.startswith("stateDiagram-v2\n")
    assert invoke("draw", lamp, "--format", "dot").output.startswith('digraph "lamp"')
    output = tmp_path / "lamp.svg"
    assert invoke("draw", lamp, "--format", "svg", "--output", output).exit_code == 0
    assert output.read_text().startswith("<svg")


def test_draw_shows_where_a_run_stands(lamp: Path, tmp_path: Path) -> None:
    url = f"folder:{tmp_path}/tasks"

    async def press() -> None:
        async with Engine(url) as engine:
            await engine.publish("lamp", lamp, runner="flow")
            handle = await engine.submit("lamp", id="run")
            await engine.work(until_idle=True)
            await handle.send("PRESS")
            await engine.work(until_idle=True)

    asyncio.run(press())
    text = invoke("draw", "run", "--storage", url).output
    assert "class s1 visited" in text
    assert "class s2 current" in text
    missing = invoke("draw", "gone", "--storage", url)
    assert missing.exit_code == 1
    assert "no file and no run 'gone'" in missing.output + str(missing.exception)
