"""Flows on the engine: they end right wherever a process dies, their timers wait, their invocations are tasks."""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import itertools
import json
import random
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator, Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from sequential_adaptor import (
    Completed,
    Engine,
    FolderAdapter,
    SequentialError,
    ServiceClient,
    Suspended,
    TaskFailed,
    Worker,
)
from sequential_adaptor.errors import ConfigurationError, RecordNotFound, StorageClosed
from sequential_adaptor.runners.flow import FlowRunner, view, wait_for

ORDERS = Path(__file__).with_name("orders.py")
ADAPTERS = {
    "folder": ("sequential_adaptor.backends.folder", "FolderAdapter"),
    "sqlite": ("sequential_adaptor.backends.sqlite", "SQLiteAdapter"),
}
LEASE = 0.2


class Shop:
    """A service that declines the first charge, and counts who called what under which keys."""

    def __init__(self) -> None:
        self.calls: Counter[str] = Counter()
        self.keys: dict[str, set[str]] = {}
        self.boundary: Callable[[], None] = lambda: None

    async def __call__(self, method: str, params: Any, idempotency_key: str) -> Any:
        self.boundary()
        self.calls[method] += 1
        keys = self.keys.setdefault(method, set())
        keys.add(idempotency_key)
        self.boundary()
        if method == "charge":
            return "declined" if len(keys) == 1 else "charged"
        return {method: params}


@pytest.fixture
async def shop() -> AsyncIterator[tuple[Shop, ServiceClient]]:
    service = Shop()
    async with ServiceClient() as client:
        client.register_service("shop", service)
        yield service, client


@pytest.fixture(params=ADAPTERS)
def mortal(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[..., Any]:
    """Makes an adapter on one store that is gone for its process from its ``dies_at``-th boundary on."""
    module, name = ADAPTERS[request.param]
    try:
        base: Any = getattr(importlib.import_module(module), name)
    except ImportError:
        pytest.skip(f"the {request.param} adapter is not installed")

    class Mortal(base):  # type: ignore[misc]  # whichever is there
        passed = 0
        dies_at: int | None = None

        def boundary(self) -> None:
            self.passed += 1
            if self.dies_at is not None and self.passed >= self.dies_at:
                self.died.set()
                raise StorageClosed("a store whose process was killed")

        async def commit(self, *args: Any, **options: Any) -> None:
            self.boundary()
            await super().commit(*args, **options)
            self.boundary()

        async def claim_stack_runs(self, *args: Any, **options: Any) -> Any:
            self.boundary()
            return await super().claim_stack_runs(*args, **options)

    def make(where: str, dies_at: int | None = None) -> Any:
        if request.param == "folder":
            adapter = Mortal(tmp_path / where, durability="process")
        else:
            adapter = Mortal(tmp_path / f"{where}.db")
        adapter.dies_at, adapter.died = dies_at, asyncio.Event()
        return adapter

    return make


class Shifted:
    """Time as the stores see it, moved on by ``days`` without waiting for it."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.by = timedelta()
        shift = self

        class Kind(type(datetime)):  # type: ignore[misc]  # the type of a class is a class
            def __instancecheck__(cls, instance: object) -> bool:
                return isinstance(instance, datetime)

        class Moved(datetime, metaclass=Kind):
            @classmethod
            def now(cls, tz: Any = None) -> Any:
                return datetime.now(tz) + shift.by

        for name, module in [*sys.modules.items()]:
            is_store = name.startswith(("sequential_adaptor.backends.", "sequential_adaptor.storage."))
            if is_store and getattr(module, "datetime", None) is datetime:
                patch.setattr(module, "datetime", Moved)


@pytest.fixture
def time(monkeypatch: pytest.MonkeyPatch, mortal: Any) -> Shifted:
    return Shifted(monkeypatch)


async def live(adapter: Any, services: ServiceClient, shop: Shop) -> None:
    """One process: it works until nothing is left to do at once, or dies."""
    shop.boundary = adapter.boundary
    await adapter.init()
    working = asyncio.create_task(Worker(adapter, lease=LEASE, services=services).run(until_idle=True))
    dying = asyncio.create_task(adapter.died.wait())
    await asyncio.wait((working, dying), return_when=asyncio.FIRST_COMPLETED)
    for task in (working, dying):
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError, SequentialError):
            await task
    shop.boundary = lambda: None
    adapter.dies_at = None
    await adapter.close()


@contextlib.asynccontextmanager
async def opened(adapter: Any) -> AsyncIterator[Engine]:
    await adapter.init()
    async with Engine(adapter) as engine:
        yield engine
    await adapter.close()


async def settled(make: Any, where: str, services: ServiceClient, shop: Shop) -> None:
    """A fresh process goes on where another has died; the lease of that one has to end first."""
    for _ in range(40):
        await live(make(where), services, shop)
        async with opened(make(where)) as engine:
            run = await engine.handle("run").record()
            found = await view(engine, "run") if run.status != "pending" else None
            if run.status in ("completed", "failed"):
                return
            if found is not None and found.leaves == ["handling.packing.packed", "handling.payment.waiting"]:
                return
        await asyncio.sleep(LEASE / 4)
    raise AssertionError(f"stuck: {run}")


async def begun(make: Any, where: str) -> None:
    async with opened(make(where)) as engine:
        await engine.publish("order", ORDERS, runner="flow")
        await engine.submit("order", {"order": {"n": 1}}, id="run")


@pytest.mark.slow
async def test_an_order_ends_right_wherever_its_process_is_killed(
    mortal: Any, shop: tuple[Shop, ServiceClient]
) -> None:
    """Killed at every boundary of storage and service, once before the approval and once after it."""
    service, client = shop
    for dies_at in itertools.count(1):
        where = f"at{dies_at}"
        service.calls.clear()
        service.keys.clear()
        await begun(mortal, where)
        first = mortal(where, dies_at)
        await live(first, client, service)
        await settled(mortal, where, client, service)
        async with opened(mortal(where)) as engine:
            await engine.handle("run").send("APPROVED", {"amount": 9})
            await engine.handle("run").send("APPROVED", {"amount": 10})
        second = mortal(where, dies_at)
        await live(second, client, service)
        await settled(mortal, where, client, service)
        async with opened(mortal(where)) as engine:
            run = await engine.handle("run").record()
            assert (run.status, run.result) == ("completed", {"order": {"n": 1}, "entries": 1, "how": "shipped"})
            log = (await engine.adapter.get_stack_run("run")).log  # type: ignore[union-attr]  # it is there
            assert log == ["reserving {'n': 1}"]
        assert {method: len(keys) for method, keys in service.keys.items()} == {"reserve": 1, "pack": 2, "charge": 2}
        if not first.died.is_set() and not second.died.is_set():
            assert dies_at > 6
            break


async def test_a_timer_of_30_days_fires_when_30_days_are_over(
    mortal: Any, shop: tuple[Shop, ServiceClient], time: Shifted
) -> None:
    service, client = shop
    await begun(mortal, "late")
    for days, status in ((0, "suspended"), (29.9, "suspended"), (30.1, "completed")):
        time.by = timedelta(days=days)
        await settled(mortal, "late", client, service)
        await live(mortal("late"), client, service)
        async with opened(mortal("late")) as engine:
            run = await engine.handle("run").record()
            assert run.status == status
    assert run.result["how"] == "expired"


# ---- on the folder alone


@pytest.fixture
async def engine(tmp_path: Path) -> AsyncIterator[Engine]:
    async with Engine(f"folder:{tmp_path}/tasks?durability=process") as engine:
        yield engine


async def result_of(engine: Engine, code: str, input: Any = None) -> Any:
    await engine.publish("flow", code, runner="flow")
    return await engine.run("flow", input, timeout=30)


SHORT = """
graph = {"initial": "fetch_user", "states": {
    "fetch_user": {"onDone": "greet", "onError": "sorry"},
    "greet": {"onDone": "end"},
    "sorry": {"onDone": "end"},
    "end": {"type": "final"},
}}
async def fetch_user(id):
    if id < 0: raise LookupError("nobody")
    return {"name": f"user {id}"}
async def greet(user): return f"hello {user['name']}"
async def sorry(error): return error["message"]
"""


async def test_the_short_form_hands_each_result_to_the_next_state(engine: Engine) -> None:
    assert await result_of(engine, SHORT, 7) == "hello user 7"
    assert await result_of(engine, SHORT, -1) == "nobody"


async def test_an_unhandled_error_fails_the_run_with_the_functions_own_error_and_line(engine: Engine) -> None:
    code = "graph = {'initial': 'a', 'states': {'a': {'onDone': 'a'}}}\nasync def a(input):\n    return 1 / input\n"
    with pytest.raises(TaskFailed) as caught:
        await result_of(engine, code, 0)
    assert (caught.value.error or {})["type"] == "ZeroDivisionError"
    assert "return 1 / input" in (caught.value.traceback or "")


async def test_a_group_of_errors_of_any_kind_is_an_error_of_the_invocation(engine: Engine) -> None:
    code = """
graph = {"initial": "a", "states": {"a": {"onDone": "b", "onError": "b"},
    "b": {"type": "final", "output": {"$event": "error.message"}}}}
async def a(input):
    raise BaseExceptionGroup("several", [SystemExit(1)])
"""
    assert await result_of(engine, code) == "several (1 sub-exception)"


async def test_retries_time_limits_and_maps(engine: Engine) -> None:
    code = """
from asyncio import sleep
tried, most, now = [], 0, 0
graph = {"initial": "flaky", "states": {
    "flaky": {"onDone": "slow", "retry": {"attempts": 3, "delay": 1, "jitter": False, "errors": ["KeyError"]}},
    "slow": {"timeout": 5, "onDone": "end", "onError": "many"},
    "many": {"input": [3, 1, 2, 0], "map": {"concurrency": 2}, "onDone": "end"},
    "end": {"type": "final", "output": {"many": {"$event": "output"}}},
}}
async def flaky(input):
    tried.append(input)
    if len(tried) < 3: raise KeyError("again")
async def slow(input):
    await sleep(3600)
async def many(item):
    global now, most
    now += 1
    most = max(most, now)
    await sleep(item / 1000)
    now -= 1
    return [item, most, len(tried)]
"""
    found = (await result_of(engine, code, "x"))["many"]
    assert [item for item, _, _ in found] == [3, 1, 2, 0]
    assert {most for _, most, _ in found} == {2}
    assert {tries for _, _, tries in found} == {3}


async def test_invocations_of_one_id_in_several_states_have_each_their_own_policy(engine: Engine) -> None:
    code = """
tried = []
graph = {"initial": "first", "states": {
    "first": {"invoke": {"id": "job", "src": "flaky", "retry": {"attempts": 3, "delay": 1}, "onDone": "second"}},
    "second": {"invoke": {"id": "job", "src": "flaky", "onDone": "end", "onError": "end"}},
    "end": {"type": "final", "output": {"$event": "error.message"}},
}}
async def flaky(input):
    tried.append(input)
    if len(tried) != 3: raise ValueError(len(tried))
"""
    assert await result_of(engine, code) == "4"


async def test_what_is_tried_again_thousands_of_times_is_tried_to_the_end(engine: Engine) -> None:
    code = """
tried = []
graph = {"initial": "flaky", "states": {
    "flaky": {"onDone": "end", "retry": {"attempts": 2000, "delay": 0}}, "end": {"type": "final"}}}
async def flaky(input):
    tried.append(input)
    if len(tried) < 1100: raise ValueError
    return len(tried)
"""
    assert await result_of(engine, code) == 1100


async def test_one_error_to_try_again_for_may_stand_without_a_list(engine: Engine) -> None:
    code = """
tried = []
retry = {"attempts": 3, "delay": 1, "errors": "ValueError"}
graph = {"initial": "flaky", "states": {"flaky": {"onDone": "end", "retry": retry}, "end": {"type": "final"}}}
async def flaky(input):
    tried.append(input)
    if len(tried) < 3: raise ValueError
    return len(tried)
"""
    assert await result_of(engine, code) == 3


async def test_an_error_of_another_kind_is_not_tried_again(engine: Engine) -> None:
    code = """
from sequential_adaptor.task import log
retry = {"attempts": 3, "delay": 1, "errors": ["KeyError"]}
graph = {"initial": "a", "states": {"a": {"onDone": "z", "retry": retry}, "z": {"type": "final"}}}
async def a(input):
    log("tried")
    raise ValueError("no")
"""
    await engine.publish("flow", code, runner="flow")
    with pytest.raises(TaskFailed, match="ValueError: no"):
        await engine.run("flow", id="once", timeout=30)
    frame = await engine.adapter.get_stack_run("once")
    assert frame is not None
    assert frame.log == ["tried"]


async def test_a_graph_or_a_task_may_be_invoked(engine: Engine) -> None:
    await engine.publish("double", "async def main(n):\n    return n * 2\n")
    code = """
inner = {"initial": "one", "states": {"one": {"onDone": "end"}, "end": {"type": "final"}}}
graph = {"initial": "a", "states": {
    "a": {"invoke": {"src": "inner", "input": {"$input": "n"}, "onDone": "b"}},
    "b": {"invoke": {"src": "task:double", "input": {"$event": "output"}, "onDone": "end"}},
    "end": {"type": "final", "output": {"$event": "output"}},
}}
async def one(n): return n + 1
"""
    assert await result_of(engine, code, {"n": 4}) == 10


async def test_events_go_to_the_function_that_waits_for_them_else_to_the_machine(engine: Engine) -> None:
    code = """
from sequential_adaptor.task import wait_for_event
graph = {"initial": "ask", "states": {
    "ask": {"invoke": {"src": "ask", "onDone": "end"}, "on": {"STOP": "stopped", "SAY": "wrong"}},
    "end": {"type": "final", "output": {"$event": "output"}},
    "stopped": {"type": "final", "output": "stopped"}, "wrong": {},
}}
async def ask(input): return await wait_for_event("SAY")
"""
    await engine.publish("flow", code, runner="flow")
    for event, result in (("SAY", {"it": 0}), ("STOP", "stopped")):
        handle = await engine.submit("flow", id=f"run-{event}")
        carrying = asyncio.create_task(engine.carry(handle))
        await wait_for(engine, handle.id, state="ask", timeout=10)
        await handle.send("xstate.done.actor.ask", {"output": "forged"})
        await handle.send(event, {"it": 0})
        assert await handle.result(timeout=10) == result
        await carrying


async def test_waiting_from_outside_for_a_state_or_a_tag(
    engine: Engine, tmp_path: Path, shop: tuple[Shop, ServiceClient]
) -> None:
    await engine.publish("order", ORDERS, runner="flow")
    handle = await engine.submit("order", {"order": 0})
    with pytest.raises(TimeoutError):
        await wait_for(engine, handle.id, tag="waiting", timeout=0.05)
    working = asyncio.create_task(Worker(engine.adapter, services=shop[1]).run(until_idle=True))
    found = await wait_for(engine, handle.id, tag="waiting", timeout=10)
    assert found.descriptions == {"handling.payment.waiting": "for an approval"}
    assert (await wait_for(engine, handle.id, state="handling.packing.packed", timeout=10)).visits["reserve"][
        "count"
    ] == 1
    await working
    await handle.cancel(force=True)
    with pytest.raises(ConfigurationError, match="never came to state 'shipped'"):
        await wait_for(engine, handle.id, state="shipped", timeout=10)
    with pytest.raises(ConfigurationError, match="give one of them"):
        await wait_for(engine, handle.id)
    with pytest.raises(RecordNotFound):
        await view(engine, "nobody")


async def test_a_step_costs_one_durable_write(tmp_path: Path, shop: tuple[Shop, ServiceClient]) -> None:
    """A call's outcome, the step that follows from it, and what that step starts are one commit."""
    commits = 0

    class Counting(FolderAdapter):
        async def commit(self, *args: Any, **options: Any) -> None:
            nonlocal commits
            commits += 1
            await super().commit(*args, **options)

    states = {f"s{n}": {"onDone": f"s{n + 1}"} for n in range(20)} | {"s20": {"type": "final"}}
    functions = "".join(f"async def s{n}(input): return await call_host_tool('shop', 'm{n}', {n})\n" for n in range(20))
    async with Engine(Counting(tmp_path / "tasks", durability="process"), services=shop[1]) as engine:
        await engine.adapter.init()
        await engine.publish("flow", f"graph = {{'initial': 's0', 'states': {states}}}\n{functions}", runner="flow")
        handle = await engine.submit("flow")
        commits = 0
        await engine.carry(handle, timeout=20)
        assert await handle.result() == {"m19": 19}
        assert commits == 21
        await engine.adapter.close()


async def test_a_new_version_of_a_graph_leaves_runs_in_flight_on_theirs(engine: Engine) -> None:
    code = "graph = {'initial': 'a', 'states': {'a': {'on': {'GO': 'z'}}, 'z': {'type': 'final', 'output': 'old'}}}"
    await engine.publish("flow", code, runner="flow")
    handle = await engine.submit("flow")
    await engine.work(until_idle=True)
    await engine.publish("flow", code.replace("'GO'", "'GONE'").replace("old", "new"), runner="flow")
    await handle.send("GO")
    await engine.carry(handle, timeout=10)
    assert await handle.result() == "old"


SPEECHLESS = """
graph = {"initial": "a", "states": {"a": {"onDone": "a"}}}
class Speechless(Exception):
    def __str__(self): return self.nothing
async def a(input):
    raise Speechless
"""


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("x = 1", "a flow is a module with a machine as `graph"),
        ("graph = {'initial': 'a', 'states': {'a': {'onDone': 'b'}}}", "no state 'b'"),
        (
            "graph = {'initial': 'f', 'states': {'f': {'onDone': 'f', 'retry': {'atempts': 2}}}}\nasync def f(i): pass",
            "nearest is 'attempts'",
        ),
        (
            "graph = {'initial': 'f', 'states': {'f': {'onDone': 'f', 'retry': {'errors': 5}}}}\nasync def f(i): pass",
            "5 is no list",
        ),
        ("graph = {'initial': 'sleep', 'states': {'sleep': {'onDone': 'b'}, 'b': {}}}", "no function 'sleep'"),
        ("graph = {'initial': 'a', 'states': {'a': {}}}", "nothing can lead on"),
        (
            "graph = {'initial': 'a', 'states': {'a': {'map': 2, 'input': 1, 'onDone': 'a'}}}\nasync def a(i): pass",
            "needs a list",
        ),
        ("graph = {'initial': 'a', 'states': {'a': {'always': 'b'}, 'b': {'always': 'a'}}}", "a -> b -> a"),
        (SPEECHLESS, "<exception str() failed>"),
        (
            "graph = {'initial': 'a', 'states': {'a': {'onDone': 'a'}}}\nasync def a(input): return [{1}]",
            "$[0]: a set has no order; use a sorted list (the result of a must be JSON)",
        ),
        (
            "graph = {'initial': 'a', 'states': {'a': {'entry': 'b'}}}\ndef b(*given): return {'x': {1}}",
            "action 'b' returned what is not JSON: $.x: a set",
        ),
    ],
)
async def test_a_flow_that_cannot_go_on_fails_and_says_why(engine: Engine, code: str, said: str) -> None:
    with pytest.raises(TaskFailed) as caught:
        await result_of(engine, code)
    assert said in (caught.value.error or {})["message"]


async def test_a_flow_is_cancelled_with_all_that_it_invokes(engine: Engine) -> None:
    code = """
from sequential_adaptor.task import sleep
graph = {"initial": "a", "states": {"a": {"onDone": "z"}, "z": {"type": "final"}}}
async def a(input): await sleep(3600)
"""
    await engine.publish("flow", code, runner="flow")
    handle = await engine.submit("flow", id="gone")
    await engine.work(until_idle=True)
    await handle.cancel()
    await engine.carry(handle, timeout=10)
    assert (await handle.record()).status == "cancelled"
    assert [call.status for call in await handle.calls() if call.operation == "sleep"] == ["cancelled"]


async def test_a_flow_goes_on_from_its_state_alone_in_another_runner() -> None:
    """The documented `run` and `resume`: a response with a type is an event, any other the outcome of the call."""
    code = """
from sequential_adaptor.task import call_host_tool
graph = {"initial": "a", "states": {
    "a": {"onDone": "b"}, "b": {"on": {"GO": "c"}}, "c": {"type": "final", "output": {"$event": "n"}}}}
async def a(input): return await call_host_tool("s", "m", input)
"""
    first, second, third = FlowRunner(), FlowRunner(), FlowRunner()
    called = await first.run(code, 1)
    assert isinstance(called, Suspended)
    assert [call.operation for call in called.calls] == ["s.m"]
    waiting = await second.resume(json.loads(json.dumps(called.state)), {"ok": True})
    assert isinstance(waiting, Suspended)
    assert waiting.calls == ()
    assert await third.resume(json.loads(json.dumps(waiting.state)), {"type": "GO", "n": 0}) == Completed(0)
    for runner in (first, second, third):
        await runner.dispose()


@pytest.mark.slow
def test_a_real_process_killed_again_and_again_ends_its_flow_right(tmp_path: Path) -> None:
    """SIGKILL at random moments: each state is entered once, each call recorded once, and the result is right."""
    code = """
import time
from sequential_adaptor.task import sleep, step
graph = {"initial": "s0", "context": {"entered": []}, "output": {"$context": "entered"}, "states": {
    **{f"s{n}": {"entry": {"type": "enter", "params": n}, "invoke": {"src": "work", "input": n, "onDone": f"s{n + 1}"}}
       for n in range(12)},
    "s12": {"type": "final"},
}}
def enter(context, event, params): return {"entered": [*context["entered"], params]}
def slowly(n):
    time.sleep(0.05)
    return n
async def work(n):
    await step(slowly, n)
    await sleep(0.02)
    return await step(slowly, n)
"""
    storage = f"folder:{tmp_path}/tasks?durability=process"

    async def begin() -> None:
        async with Engine(storage) as engine:
            await engine.publish("flow", code, runner="flow")
            await engine.submit("flow", id="run")

    async def ended() -> Any:
        async with Engine(storage) as engine:
            return await engine.handle("run").record(), await engine.handle("run").calls()

    asyncio.run(begin())
    chance, kills = random.Random(7), 0
    command = [
        sys.executable,
        "-m",
        "sequential_adaptor.cli",
        "work",
        "--until-idle",
        "--lease",
        "0.2",
        "--storage",
        storage,
    ]
    for attempt in range(60):
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            process.wait(timeout=chance.uniform(0.5, 1.1) * (1 + attempt / 4))  # a busy machine starts slowly
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            kills += 1
        run, calls = asyncio.run(ended())
        if run.status not in ("pending", "running", "suspended"):
            break
    assert kills >= 2
    assert (run.status, run.result) == ("completed", [*range(12)])
    steps = [call for call in calls if call.operation == "step:slowly"]
    assert [call.result for call in sorted(steps, key=lambda call: call.sequence or 0)] == [n // 2 for n in range(24)]
    assert len({call.id for call in steps}) == 24
