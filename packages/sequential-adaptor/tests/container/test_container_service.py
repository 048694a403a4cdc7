"""The container runner as a service of other tasks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from sequential_adaptor.engine import Engine
from sequential_adaptor.errors import ServiceError
from sequential_adaptor.services import ServiceClient

TASK = """
from sequential_adaptor.task import call_host_tool

async def main(input):
    command = {"command": "echo $WHO > who; cat", "env": {"WHO": input}, "input": [1]}
    made = await call_host_tool("container", "run", command)
    look = await call_host_tool("container", "exec", {"command": "rm who; exit 3"})
    text = await call_host_tool("container", "read", [made["hash"], "who"])
    head = await call_host_tool("container", "head")
    try:
        await call_host_tool("container", "run", {"command": "echo no >&2; exit 5"})
    except Exception as error:
        failure = str(error)
    return [made["stdout"], look["exit_code"], text, head["hash"] == made["hash"], failure]
"""


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The state folder of the service."""
    monkeypatch.setenv("SEQUENTIAL_STATE_DIR", str(tmp_path / "state"))
    return tmp_path / "state"


async def test_a_task_runs_commands_by_calling_the_service(state: Path, tmp_path: Path) -> None:
    async with Engine(f"folder:{tmp_path}/tasks") as engine:
        await engine.publish("caller", TASK)
        *found, failure = await engine.run("caller", "ada")
    assert found == ["[1]\n", 3, "ada\n", True]
    assert "exit code 5" in failure


async def test_the_same_call_once_more_begins_where_it_began(state: Path, new_runner: Any) -> None:
    """A worker may die between the layer and the record of the call's outcome."""
    async with ServiceClient() as client:
        params = {"command": "echo x >> log"}
        one = await client.call("container", "run", params, idempotency_key="run.1")
        await client.call("container", "run", params, idempotency_key="run.2")
        again = await client.call("container", "run", params, idempotency_key="run.1")
    assert (again["hash"], again["cached"], again["parent"]) == (one["hash"], True, None)


async def test_secrets_come_by_name_and_stay_hidden(state: Path) -> None:
    async def resolve(name: str) -> str:
        return {"token": "hunter2-hunter2"}[name]

    async with ServiceClient() as client:
        params = {"command": "echo $TOKEN", "secrets": {"TOKEN": "placeholder-1"}}
        found = await client.call("container", "run", params, secrets={"placeholder-1": "token"}, resolve=resolve)
    assert found["stdout"] == "***\n"


async def test_a_call_that_takes_too_long_is_killed_and_undone(state: Path) -> None:
    async with ServiceClient() as client:
        with pytest.raises(ServiceError):
            await client.call("container", "run", {"command": "echo 1 > a; sleep 60"}, timeout=1.0)
        assert (await client.call("container", "status"))["clean"]


async def test_a_wrong_option_is_named(state: Path) -> None:
    async with ServiceClient() as client:
        with pytest.raises(ServiceError, match="no option 'environment'"):
            await client.call("container", "run", {"command": "true", "environment": {}})
