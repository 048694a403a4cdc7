"""A replay test: what was recorded, held against today's code."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from sequential_adaptor import ConfigurationError, Engine, ServiceClient, TaskFailed
from sequential_adaptor.testing import (
    MemoryAdapter,
    ReplayDiverged,
    SkippingEngine,
    read_histories,
    record_histories,
    replay,
    write_histories,
)

CODE = """\
import asyncio

async def main(n):
    log("a line")
    user = await call_host_tool("shop", "find", n)
    async with asyncio.TaskGroup() as group:
        doubled = group.create_task(step(double, n))
        group.create_task(asyncio.sleep(0.01))
    go = await wait_for_event("go")
    if go == "fail":
        raise LookupError(user)
    return [user, doubled.result(), go]

def double(n):
    return n * 2
"""
FLOW = """
graph = {
    "id": "order", "initial": "waiting",
    "states": {
        "waiting": {"on": {"PAID": "packing"}},
        "packing": {"invoke": {"src": "pack", "onDone": "packed"}},
        "packed": {"on": {"SENT": "sent"}},
        "sent": {"type": "final"},
    },
}

async def pack(input):
    return await call_host_tool("shop", "pack", 1)
"""


@pytest.fixture
async def engine() -> Any:
    services = ServiceClient()
    asked: list[Any] = []
    services.register_service("shop", lambda method, params: asked.append(method) or f"{method} {params}")
    async with SkippingEngine(services=services) as engine:
        engine.asked = asked  # type: ignore[attr-defined]  # for the test that looks at it
        await engine.publish("digest", CODE)
        await engine.publish("order", FLOW, runner="flow")
        yield engine


async def recorded(engine: Any, *events: Any) -> Any:
    """One run that waits, and one for each event, in the end."""
    await engine.submit("digest", 4, id="waits")
    for event in events:
        run = await engine.submit("digest", 4, id=f"ends-{event}")
        await run.send("go", event)
    await engine.advance(60)
    return await record_histories(engine, task="digest")


async def test_the_same_code_replays_whatever_has_become_of_the_run(engine: Any) -> None:
    """Runs that wait, have completed, have failed, were cancelled softly and by force, and one that has not begun."""
    await recorded(engine, "fail", 0, "")
    for id, force in (("cancelled", False), ("by-force", True)):
        run = await engine.submit("digest", 1, id=id)
        await engine.advance(60)
        await run.cancel(force=force)
    await engine.advance(60)
    await engine.submit("digest", 0, id="new")
    report = await replay(await record_histories(engine, task="digest"), CODE)
    report.check()
    found = {run.run: (run.status, run.calls) for run in report.runs}
    assert found == {
        "waits": ("suspended", 3),
        "ends-fail": ("failed", 3),
        "ends-0": ("completed", 3),
        "ends-": ("completed", 3),
        "cancelled": ("cancelled", 3),
        "by-force": ("cancelled", 3),
        "new": ("pending", 0),
    }


async def test_nothing_is_performed_and_nothing_is_stored(engine: Any) -> None:
    """Neither in the service nor in the store is there a trace."""
    await recorded(engine, "go")
    before = (list(engine.asked), await rows(engine.adapter))
    await replay(await record_histories(engine), CODE.replace('"find", n', '"find", n + 1'))
    assert (engine.asked, await rows(engine.adapter)) == before


async def rows(adapter: Any) -> list[Any]:
    return [*await adapter.query_task_runs(), *await adapter.query_stack_runs()]


@pytest.mark.parametrize(
    ("change", "call", "line", "before", "now"),
    [
        (("shop", "market"), "waits.1", 5, "`shop.find 4`", "`market.find 4`"),
        (('"find", n', '"find", str(n)'), "waits.1", 5, "`shop.find 4`", "`shop.find 4`"),
        (("step(double, n)", "step(double, n + 1)"), "waits.2", 6, "`step:double [4]`", "`step:double [5]`"),
        (("double", "twice"), "waits.2", 6, "`step:double [4]`", "`step:twice [4]`"),
        (('wait_for_event("go")', 'wait_for_event("start")'), "waits.3", 9, "`wait:go`", "`wait:start`"),
        (('    go = await wait_for_event("go")', "    return 7"), "waits.3", None, "`wait:go`", "completed with 7"),
        (("    go =", "    raise KeyError(1)\n    go ="), "waits.3", 9, "`wait:go`", "failed with KeyError: 1"),
        (("    go =", "    await asyncio.Future()\n    go ="), "waits.3", 9, "`wait:go`", "is not made"),
        (("    user =", "    syntax error\n    user ="), "waits.1", None, "`shop.find 4`", "SyntaxError"),
    ],
)
async def test_where_it_parts_is_told(
    engine: Any, change: tuple[str, str], call: str, line: int | None, before: str, now: str
) -> None:
    """The call, both sides, and the line of today's code."""
    report = await replay(await recorded(engine), CODE.replace(*change))
    (found,) = report.diverged
    assert found.divergence is not None
    assert (found.divergence.call, found.divergence.recorded) == (call, before)
    assert now in found.divergence.now
    assert found.divergence.line == ("" if line is None else f"digest.py, line {line}")
    with pytest.raises(ReplayDiverged, match=f"1 of 1 runs would not go on as they were recorded\nwaits .*{call}"):
        report.check()


@pytest.mark.parametrize(
    ("change", "before", "now"),
    [
        (("doubled.result(), go]", "go]"), '["find 4",8,"ok"]', 'completed with ["find 4","ok"]'),
        (
            ("    return [user", "    await wait_for_event('more')\n    return [user"),
            "completed",
            "call 4, `wait:more`",
        ),
        (("    return [user", "    1 / 0\n    return [user"), "completed", "failed with ZeroDivisionError"),
    ],
)
async def test_another_end_is_a_divergence(engine: Any, change: tuple[str, str], before: str, now: str) -> None:
    """A run that has ended ends as it did."""
    report = await replay(await recorded(engine, "ok"), CODE.replace(*change))
    (found,) = report.diverged
    assert (found.run, found.divergence.call) == ("ends-ok", None)  # type: ignore[union-attr]  # it is diverged
    assert before in found.divergence.recorded  # type: ignore[union-attr]
    assert now in found.divergence.now  # type: ignore[union-attr]


async def test_what_comes_after_the_recording_may_change(engine: Any) -> None:
    """A run that waits goes on with whatever today's code does then."""
    (await replay(await recorded(engine), CODE.replace("doubled.result(), go]", "go]"))).check()


async def test_runs_that_were_retried_and_forks_replay_too() -> None:
    """What a retry has undone is no part of the history, and what a fork was given is part of its own."""
    services, failures = ServiceClient(), [LookupError("no luck")]

    def shop(method: str, params: Any) -> str:
        if failures:
            raise failures.pop()
        return method

    services.register_service("shop", shop)
    async with SkippingEngine(services=services) as engine:
        await engine.publish("digest", CODE)
        run = await engine.submit("digest", 4, id="one")
        with pytest.raises(TaskFailed):
            await run.result()
        (await replay(await record_histories(engine, ["one"]), CODE)).check()
        await run.retry()
        await run.send("go", "ok")
        assert await run.result() == ["find", 8, "ok"]
        fork = await run.fork(1, {"result": "forked"}, id="fork")
        await fork.send("go", "ok")
        assert await fork.result() == ["forked", 8, "ok"]
        histories = await record_histories(engine, ["one", "fork"])
    (await replay(histories, CODE)).check()
    assert [one.run for one in (await replay(histories, CODE.replace('"go"', '"start"'))).diverged] == ["one", "fork"]


async def test_flows_stand_where_they_stood(engine: Any) -> None:
    """The same calls, and the same states."""
    run = await engine.submit("order", id="order-1")
    await engine.advance(1)
    await run.send("PAID")
    await engine.advance(1)
    histories = await record_histories(engine, ["order-1"])
    (await replay(histories, FLOW)).check()
    renamed = FLOW.replace('"packed"', '"ready"')
    (moved,) = (await replay(histories, renamed)).diverged
    assert (moved.divergence.recorded, moved.divergence.now) == ('stands in "packed"', 'stands in "ready"')  # type: ignore[union-attr]
    (other,) = (await replay(histories, FLOW.replace('"pack", 1', '"pack", 2'))).diverged
    assert other.divergence.call == "order-1.1"  # type: ignore[union-attr]
    assert (await replay(await record_histories(engine, ["order-1"]), None)).ok


async def test_files_hold_what_a_storage_does(engine: Any, tmp_path: Path) -> None:
    """Exported and read again, histories replay the same; what is no history says so."""
    histories = await recorded(engine, "fail", "ok")
    written = write_histories(tmp_path / "histories", histories)
    assert sorted(path.name for path in written) == ["ends-fail.json", "ends-ok.json", "waits.json"]
    read = read_histories(tmp_path / "histories")
    assert sorted(read, key=lambda one: one.run.id) == sorted(histories, key=lambda one: one.run.id)
    code = tmp_path / "today.py"
    code.write_text(CODE.replace('"find"', '"seek"'))
    assert {run.divergence.line for run in (await replay(read, code)).diverged} == {f"{code}, line 5"}  # type: ignore[union-attr]
    (tmp_path / "other.json").write_text(json.dumps({"format": 99}))
    with pytest.raises(ConfigurationError, match="holds no history .its format is 99"):
        read_histories(tmp_path / "other.json")
    with pytest.raises(ConfigurationError, match="there is no such file"):
        read_histories(tmp_path / "missing.json")


async def test_only_code_can_be_replayed() -> None:
    """A run whose code is not stored, or that no Python runs, is refused with the remedy."""
    async with Engine(MemoryAdapter()) as engine:
        await engine.publish("digest", CODE)
        await engine.submit("digest", 4, id="one")
        (found,) = await record_histories(engine, ["one"])
    with pytest.raises(ConfigurationError, match="is not stored; give the code"):
        await replay([type(found)(found.run, found.frame, found.rows, found.function.replace(code=""))], None)
