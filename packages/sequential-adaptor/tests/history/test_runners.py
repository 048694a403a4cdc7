"""Forks and retries of flows, and of runners that keep their last state only."""

from __future__ import annotations

import json
from typing import Any

import pytest

from sequential_adaptor import (
    CallResults,
    CannotGoBack,
    Completed,
    Engine,
    Runner,
    ServiceError,
    Suspended,
    TaskFailed,
    register,
)
from sequential_adaptor.runners import Call
from sequential_adaptor.runners.flow.watching import view

FLOW = """
graph = {
    "id": "order", "initial": "check",
    "states": {
        "check": {"onDone": [{"target": "pay", "guard": "is_good"}, {"target": "refused"}], "onError": "broken"},
        "pay": {"on": {"PAID": "ship"}, "after": {"3600000": "refused"}},
        "ship": {"onDone": "done"},
        "done": {"type": "final"},
        "refused": {"type": "final"},
        "broken": {"type": "final"},
    },
}
def is_good(context, event, params):
    return event["output"] == "good"
async def check(input):
    return await call_host_tool("desk", "give", ["good"])
async def ship(input):
    return await call_host_tool("desk", "give", ["shipped"])
"""


async def at(engine: Engine, run_id: str) -> list[str]:
    return (await view(engine, run_id)).leaves


async def test_a_flow_goes_on_from_a_call_with_another_outcome(engine: Engine, desk: Any) -> None:
    await engine.publish("order", FLOW, runner="flow")
    run = await engine.submit("order", id="old")
    await engine.work(until_idle=True)
    await run.send("PAID")
    await engine.work(until_idle=True)
    assert await at(engine, "old") == ["done"]
    bad = await run.fork(at=1, changes={"result": "bad"})
    broken = await run.fork(at=1, changes={"error": "no answer"})
    shipped = await run.fork(at=2)
    await engine.work(until_idle=True)
    assert [await at(engine, one.id) for one in (bad, broken, shipped)] == [["refused"], ["broken"], ["done"]]
    assert desk.times("good", "shipped") == [1, 2]
    assert await at(engine, "old") == ["done"]


async def test_a_flow_that_failed_goes_on_at_its_call_and_keeps_its_events(engine: Engine, desk: Any) -> None:
    await engine.publish("order", FLOW, runner="flow")
    run = await engine.submit("order", id="old")
    await engine.work(until_idle=True)
    desk.broken.add("'shipped'")
    await run.send("PAID")
    await engine.work(until_idle=True)
    assert (await run.record()).status == "failed"
    desk.broken.clear()
    assert await run.retry() == ["old.2"]
    await engine.work(until_idle=True)
    assert await at(engine, "old") == ["done"]
    assert desk.times("good", "shipped") == [1, 2]


class Groups(Runner):
    """``[["s.a"], ["s.b", "s.c"]]`` calls ``a``, then ``b`` and ``c`` at once, and gives back all results in order."""

    async def init(self) -> None: ...

    async def run(self, code: str, input: Any) -> Completed | Suspended:
        return self._next(json.loads(code), [])

    async def resume(self, state: Any, response: Any) -> Completed | Suspended:
        found = [response]
        if isinstance(response, CallResults):
            if response.errors:
                raise ValueError(json.dumps([response.errors[number] for number in sorted(response.errors)]))
            found = [response.results[number] for number in sorted(response.results)]
        return self._next(state["left"], [*state["done"], *found])

    async def status(self) -> dict[str, Any]:
        return {}

    async def dispose(self) -> None: ...

    def _next(self, groups: list[list[str]], done: list[Any]) -> Completed | Suspended:
        if not groups:
            return Completed(done)
        calls = tuple(Call(number, operation, [number]) for number, operation in enumerate(groups[0], 1))
        return Suspended({"left": groups[1:], "done": done}, calls)


class Letters:
    """A service whose methods give their names, and fail as they are told to."""

    broken = ""

    def __init__(self) -> None:
        self.asked: list[str] = []

    async def __call__(self, method: str, params: Any) -> str:
        self.asked.append(method)
        if method in self.broken:
            raise ServiceError(f"{method} is broken")
        return method


@pytest.fixture
def letters(engine: Engine) -> Letters:
    register("runner", "groups", Groups, replace=True)
    found = Letters()
    engine.services.register_service("s", found)
    return found


async def test_a_runner_that_keeps_its_last_state_goes_back_to_the_calls_of_that(
    engine: Engine, letters: Letters
) -> None:
    await engine.publish("letters", '[["s.a"], ["s.b", "s.c"], ["s.d", "s.e", "s.f"]]', runner="groups")
    assert await engine.run("letters", id="old") == ["a", "b", "c", "d", "e", "f"]
    fork = await engine.handle("old").fork(at=5, changes={"result": 0})
    await engine.carry(fork)
    assert await fork.result(10) == ["a", "b", "c", "d", 0, "f"]
    assert letters.asked.count("d") == 1
    with pytest.raises(
        CannotGoBack, match="cannot go back to call 2: its runner, 'groups', .* waits for the calls 4, 5, 6"
    ):
        await engine.handle("old").fork(at=2)


async def test_a_runner_that_keeps_its_last_state_is_retried(engine: Engine, letters: Letters) -> None:
    await engine.publish("letters", '[["s.a"], ["s.b", "s.c", "s.d"]]', runner="groups")
    letters.broken = "c"
    with pytest.raises(TaskFailed, match="c is broken"):
        await engine.run("letters", id="old")
    letters.broken = ""
    assert await engine.handle("old").retry() == ["old.3"]
    await engine.work(until_idle=True)
    assert await engine.handle("old").result(10) == ["a", "b", "c", "d"]
    assert sorted(letters.asked) == ["a", "b", "c", "c", "d"]
