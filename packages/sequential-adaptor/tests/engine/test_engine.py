"""What a person gets from ``Engine``: results, errors, the same run for the same id, cancelling, events, children."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

from sequential_adaptor import (
    ConfigurationError,
    Engine,
    FolderAdapter,
    InvalidId,
    InvalidValue,
    RecordExists,
    RecordNotFound,
    ServiceClient,
    ServiceError,
    TaskCancelled,
    TaskFailed,
    TaskFunctionNotFound,
    Worker,
)
from sequential_adaptor.engine.submitting import prepare, store_once
from sequential_adaptor.testing.strategies import json_values

FALSY: list[Any] = [0, False, "", [], {}, None, -0.0]


class Echo:
    """A service: ``give`` returns its parameter; ``fail`` fails so many times, then gives the number of attempts."""

    def __init__(self) -> None:
        self.calls = 0

    async def give(self, value: Any) -> Any:
        self.calls += 1
        return value

    async def fail(self, times: int) -> int:
        self.calls += 1
        if self.calls <= times:
            raise ServiceError("busy", retryable=True, retry_after=0.01)
        return self.calls

    async def hang(self) -> None:
        self.calls += 1
        await asyncio.sleep(60)


@pytest.fixture
def echo() -> Echo:
    return Echo()


@pytest.fixture
async def engine(tmp_path: Path, echo: Echo) -> AsyncIterator[Engine]:
    async with ServiceClient() as services:
        services.register_service("echo", echo)
        async with Engine(f"folder:{tmp_path / 'store'}?durability=process", services=services) as engine:
            yield engine


# ---- the same run for the same id


async def test_whoever_runs_an_id_first_carries_it_and_all_who_run_it_get_its_result(
    engine: Engine, echo: Echo
) -> None:
    await engine.publish("give", 'async def main(value):\n    return await call_host_tool("echo", "give", [value])')
    results = await asyncio.gather(*(engine.run("give", 7, id="one", timeout=60) for _ in range(5)))
    assert results == [7] * 5
    assert echo.calls == 1
    assert await engine.run("give", 7, id="one") == 7
    with pytest.raises(RecordExists):
        await engine.run("give", 8, id="one")
    assert [call.id for call in await engine.handle("one").calls()] == ["one.1"]


async def test_a_run_is_claimed_in_the_commit_that_stores_it_and_others_go_on_when_its_lease_has_ended(
    tmp_path: Path,
) -> None:
    async with FolderAdapter(tmp_path) as store, Engine(store) as engine:
        await engine.publish("one", "async def main():\n    return 1")
        submission = await prepare(store, "one", None, id="run")
        now = await store.now()
        held, claim = submission.held_by("dead", now, now + timedelta(seconds=0.3))
        assert await store_once(store, held)
        assert await store.get_stack_run("run") == claim.stack_run.replace(
            last_commit=(await store.get_stack_run("run")).last_commit
        )
        assert await store.claim_stack_runs("next") == []
        await engine.work(until_idle=True)
        assert await engine.handle("run").result() == 1
        assert (await store.get_stack_run("run")).token == 2


# ---- values


@pytest.mark.parametrize("value", FALSY, ids=repr)
async def test_falsy_values_survive_as_input_as_result_of_a_call_and_of_a_task(engine: Engine, value: Any) -> None:
    await engine.publish("give", 'async def main(value):\n    return await call_host_tool("echo", "give", [value])')
    handle = await engine.submit("give", value)
    result = await engine.run("give", value, id=handle.id)
    assert repr(result) == repr(value)
    [call] = await handle.calls()
    assert repr(call.result) == repr(value)
    assert repr((await handle.record()).input) == repr(value)


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(value=json_values())
async def test_whatever_is_json_goes_through_a_task_as_it_is(engine: Engine, value: Any) -> None:
    await engine.publish("same", "async def main(value):\n    return value")
    assert repr(await engine.run("same", value)) == repr(value)


async def test_an_input_that_is_not_json_is_refused_with_its_path_and_nothing_is_stored(engine: Engine) -> None:
    await engine.publish("same", "async def main(value):\n    return value")
    with pytest.raises(InvalidValue, match=r"\$\.input\.a\[1\]: a set has no order"):
        await engine.submit("same", {"a": [1, {2}]}, id="bad")
    with pytest.raises(RecordNotFound):
        await engine.handle("bad").record()


# ---- runs


async def test_the_same_id_is_the_same_run(engine: Engine, echo: Echo) -> None:
    await engine.publish("give", 'async def main(value):\n    return await call_host_tool("echo", "give", [value])')
    assert await engine.run("give", 1, id="once") == 1
    assert await engine.run("give", 1, id="once") == 1
    assert echo.calls == 1
    with pytest.raises(RecordExists, match="'once' exists already: it has another input"):
        await engine.submit("give", 2, id="once")


async def test_many_submissions_of_one_id_at_once_are_one_run(engine: Engine, echo: Echo) -> None:
    await engine.publish("give", 'async def main(value):\n    return await call_host_tool("echo", "give", [value])')
    handles = await asyncio.gather(*(engine.submit("give", 1, id="once") for _ in range(20)))
    await engine.work(until_idle=True)
    assert [await handle.result() for handle in handles] == [1] * 20
    assert echo.calls == 1


async def test_a_failed_task_raises_its_own_error_with_its_own_lines(engine: Engine) -> None:
    await engine.publish("broken", "async def main():\n    x = 1\n    return x / 0\n")
    with pytest.raises(TaskFailed, match="ZeroDivisionError: division by zero") as raised:
        await engine.run("broken")
    assert "return x / 0" in (raised.value.traceback or "")
    assert "sequential_adaptor" not in (raised.value.traceback or "").replace("sequential_task", "")


async def test_a_result_that_is_waited_for_in_vain_goes_on(engine: Engine) -> None:
    await engine.publish("slow", "import asyncio\nasync def main():\n    await asyncio.sleep(0.3)\n    return 'done'")
    handle = await engine.submit("slow")
    with pytest.raises(TimeoutError):
        await handle.result(timeout=0.05)
    with pytest.raises(TimeoutError):
        await engine.run("slow", id=handle.id, timeout=0.1)
    assert await engine.run("slow", id=handle.id) == "done"


async def test_a_run_keeps_the_version_it_started_with(engine: Engine) -> None:
    await engine.publish("versioned", "async def main():\n    return 1")
    handle = await engine.submit("versioned")
    await engine.publish("versioned", "async def main():\n    return 2")
    await engine.work(until_idle=True)
    assert await handle.result() == 1
    assert await engine.run("versioned") == 2


async def test_a_function_is_published_with_the_modules_beside_it(engine: Engine, tmp_path: Path) -> None:
    (tmp_path / "helper.py").write_text("def twice(x):\n    return x * 2\n")
    (tmp_path / "job.py").write_text("import helper\nasync def main(x):\n    return helper.twice(x)\n")
    await engine.publish("job", tmp_path / "job.py")
    (tmp_path / "helper.py").write_text("broken (")
    assert await engine.run("job", 21) == 42


PACKAGE = {
    "task.py": "from shop import price\nimport shop.tools.more as m\nasync def main():\n    return price() + m.four()",
    "shop/__init__.py": "from .prices import price",
    "shop/prices.py": "from . import tools\nfrom helper import three\ndef price():\n    return three() + tools.TWO",
    "shop/tools/__init__.py": "TWO = 2",
    "shop/tools/more.py": "from ..prices import three\ndef four():\n    return three() + 1",
    "shop/unused.py": "this is no Python",
    "helper.py": "def three():\n    return 3",
}


async def test_a_file_is_published_with_the_packages_beside_it(engine: Engine, tmp_path: Path) -> None:
    for name, text in PACKAGE.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    function = await engine.publish("task", tmp_path / "task.py")
    assert sorted(function.modules or {}) == ["helper", "shop", "shop.prices", "shop.tools", "shop.tools.more"]
    assert await engine.run("task") == 9


@pytest.mark.parametrize(
    "name", ["sequential_adaptor/task.py", "compiled/fast.cpython-311-x86_64-linux-gnu.so", "compiled/parts/fast.pyd"]
)
async def test_what_is_installed_beside_a_file_is_imported_as_everything_else(
    engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    files = {"compiled/__init__.py": ""}
    files |= {"task.py": "import sequential_adaptor.task as t\nimport compiled\nasync def main():\n    t.log('x')"}
    for each, content in {**files, name: ""}.items():
        (tmp_path / each).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / each).write_text(content)
    monkeypatch.syspath_prepend(tmp_path)
    function = await engine.publish("task", tmp_path / "task.py")
    assert sorted(function.modules or {}) == ([] if name.startswith("compiled") else ["compiled"])
    assert await engine.run("task") is None


@pytest.mark.parametrize("id", ["", "../x", "a b", "x" * 65, "é", "a\n", 7])
async def test_an_id_that_is_none_is_refused(engine: Engine, id: Any) -> None:
    await engine.publish("same", "async def main(value):\n    return value")
    with pytest.raises(InvalidId, match="run id"):
        await engine.submit("same", 1, id=id)


async def test_what_is_not_there_is_named_with_the_remedy(engine: Engine) -> None:
    with pytest.raises(ConfigurationError, match="wrong, line 2: .*mend it before it is published"):
        await engine.publish("wrong", "async def main():\n    return (")
    with pytest.raises(TaskFunctionNotFound, match="sequential publish"):
        await engine.run("nothing")
    with pytest.raises(RecordNotFound, match="no TaskRun 'nobody'"):
        await engine.handle("nobody").result()
    with pytest.raises(ConfigurationError, match="not open"):
        _ = Engine().adapter


def test_the_engine_serves_code_that_is_not_async(tmp_path: Path) -> None:
    engine = Engine(f"folder:{tmp_path}?durability=process")
    engine.publish_sync("add", "async def main(a, b):\n    return a + b")
    assert engine.run_sync("add", {"a": 1, "b": 2}) == 3
    run_id = engine.submit_sync("add", {"a": 3, "b": 4})
    engine.work_sync(until_idle=True)
    assert engine.result_sync(run_id) == 7

    async def wrong() -> None:
        engine.run_sync("add", {"a": 1, "b": 2})

    with pytest.raises(ConfigurationError, match="await the method itself"):
        asyncio.run(wrong())


# ---- calls that fail


async def test_a_call_is_tried_again_until_it_succeeds_and_its_failures_are_counted(engine: Engine, echo: Echo) -> None:
    await engine.publish("try", 'async def main(times):\n    return await call_host_tool("echo", "fail", [times])')
    handle = await engine.submit("try", 2)
    assert await engine.run("try", 2, id=handle.id, timeout=30) == 3
    [call] = await handle.calls()
    assert (call.attempts, call.status) == (2, "completed")


async def test_a_call_that_keeps_failing_ends_inside_the_task_at_its_line(tmp_path: Path, echo: Echo) -> None:
    async with ServiceClient() as services:
        services.register_service("echo", echo, attempts=2)
        async with Engine(f"folder:{tmp_path}?durability=process", services=services) as engine:
            code = (
                "async def main():\n    try:\n        await call_host_tool('echo', 'fail', [9])\n"
                "    except Exception as error:\n        return [type(error).__name__, error.retryable]\n"
            )
            await engine.publish("try", code)
            assert await engine.run("try", timeout=30) == ["ServiceError", True]
    assert echo.calls == 2


async def test_a_call_that_backs_off_for_long_is_left_to_any_worker(engine: Engine, echo: Echo) -> None:
    async def fail_once(method: str, params: Any) -> str:
        echo.calls += 1
        if echo.calls == 1:
            raise ServiceError("busy", retryable=True, retry_after=1.5)
        return "done"

    engine.services.register_service("late", fail_once)
    await engine.publish("late", 'async def main():\n    return await call_host_tool("late", "x", [])')
    handle = await engine.submit("late")
    await engine.work(until_idle=True)
    assert await handle.result() == "done"
    [call] = await handle.calls()
    assert (call.attempts, call.token) == (1, 1)  # it was claimed by itself: no longer covered by the frame's claim


# ---- side by side


async def test_calls_beyond_the_hands_of_a_worker_are_handed_out_and_all_end(engine: Engine, echo: Echo) -> None:
    code = (
        "import asyncio\n"
        "async def main(n):\n"
        "    calls = [call_host_tool('echo', 'give', [i]) for i in range(n)]\n"
        "    return sum(await asyncio.gather(*calls))\n"
    )
    await engine.publish("many", code)
    handle = await engine.submit("many", 40)
    await engine.work(concurrency=4, until_idle=True)
    assert await handle.result() == sum(range(40))
    calls = await handle.calls()
    assert echo.calls == 40
    assert sorted(call.position or 0 for call in calls) == list(range(40))
    assert any(call.token for call in calls)  # some were claimed by themselves


async def test_calls_of_what_has_begun_go_before_runs_that_were_submitted_later(engine: Engine) -> None:
    """Else they would wait until all of these have begun, and those who wait for them with them."""
    begun: list[str] = []

    class Log:
        async def note(self, name: str) -> None:
            begun.append(name)

    engine.services.register_service("log", Log())
    code = (
        "import asyncio\n"
        "async def main(names):\n"
        "    await asyncio.gather(*(call_host_tool('log', 'note', [name]) for name in names))\n"
    )
    await engine.publish("notes", code)
    first = [f"first-{n}" for n in range(8)]
    await engine.submit("notes", first)
    for n in range(40):
        await engine.submit("notes", [f"later-{n}"])
    await engine.work(concurrency=2, until_idle=True)
    assert len(begun) == 48
    assert max(begun.index(name) for name in first) < 16


class SlowToCommit(FolderAdapter):
    """A store whose commits take longer than the calls."""

    async def commit(self, *args: Any, **options: Any) -> None:
        await asyncio.sleep(0.05)
        await super().commit(*args, **options)


@pytest.mark.parametrize("stops", [False, True])
async def test_a_call_that_ends_while_a_commit_is_on_its_way_is_taken(tmp_path: Path, stops: bool) -> None:
    async def soon(method: str, params: list[float]) -> float:
        await asyncio.sleep(params[0])
        return params[0]

    code = (
        "import asyncio\nasync def main():\n"
        "    return await asyncio.gather(*(call_host_tool('soon', 'x', [n / 100]) for n in range(6)))\n"
    )
    async with SlowToCommit(tmp_path, durability="process") as store, ServiceClient() as services:
        services.register_service("soon", soon)
        async with Engine(store, services=services) as engine:
            await engine.publish("soon", code)
            handle = await engine.submit("soon")
            if stops:
                worker = Worker(store, services=services)
                asyncio.get_running_loop().call_later(0.13, worker.stop)
                await worker.run()
            await asyncio.wait_for(engine.work(until_idle=True), 10)
            assert await handle.result(1) == [0.0, 0.01, 0.02, 0.03, 0.04, 0.05]
            assert all(call.attempts == 0 for call in await handle.calls())


async def test_tasks_run_side_by_side(engine: Engine) -> None:
    await engine.publish("nap", "import asyncio\nasync def main():\n    await asyncio.sleep(0.4)")
    handles = [await engine.submit("nap") for _ in range(20)]
    began = time.monotonic()
    await engine.work(until_idle=True)
    assert time.monotonic() - began < 5
    for handle in handles:
        assert await handle.result() is None


# ---- cancel, events, children

CLEANS_UP = """
import asyncio
async def main():
    try:
        await call_host_tool("echo", "hang")
    finally:
        await call_host_tool("echo", "give", ["cleaned"])
"""


async def test_a_cancelled_task_cleans_up_and_is_cancelled(engine: Engine, echo: Echo) -> None:
    await engine.publish("hangs", CLEANS_UP)
    handle = await engine.submit("hangs")
    working = asyncio.create_task(engine.work(until_idle=True))
    while not echo.calls:
        await asyncio.sleep(0.01)
    await handle.cancel()
    await handle.cancel()
    with pytest.raises(TaskCancelled):
        await handle.result(timeout=10)
    await working
    hang, cancel, give = sorted(await handle.calls(), key=lambda call: (call.operation != "echo.hang", call.operation))
    assert (hang.status, cancel.operation, give.result) == ("cancelled", "cancel", "cleaned")


async def test_a_run_that_nobody_works_on_is_cancelled_by_force_at_once(engine: Engine, echo: Echo) -> None:
    await engine.publish("hangs", CLEANS_UP)
    handle = await engine.submit("hangs")
    await handle.cancel(force=True)
    with pytest.raises(TaskCancelled):
        await handle.result(timeout=1)
    await engine.work(until_idle=True)
    assert echo.calls == 0
    await handle.cancel(force=True)
    await handle.cancel()


async def test_a_run_that_ends_at_the_very_moment_it_is_cancelled_by_force_has_ended(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is worked off between two readings of its records."""
    await engine.publish("gives", "async def main():\n    return 7\n")
    handle = await engine.submit("gives")
    look = engine.adapter.query_stack_runs

    async def late(*given: Any, **named: Any) -> Any:
        monkeypatch.undo()
        await engine.work(until_idle=True)
        return await look(*given, **named)

    monkeypatch.setattr(engine.adapter, "query_stack_runs", late)
    await handle.cancel(force=True)
    assert await handle.result(timeout=1) == 7


async def test_the_holder_of_a_run_that_is_cancelled_by_force_is_refused(engine: Engine, echo: Echo) -> None:
    await engine.publish(
        "gives", "import asyncio\nasync def main():\n" + "    await call_host_tool('echo', 'give', [1])\n" * 500
    )
    handle = await engine.submit("gives")
    working = asyncio.create_task(engine.work(until_idle=True))
    while not echo.calls:
        await asyncio.sleep(0.005)
    await handle.cancel(force=True)
    await asyncio.wait_for(working, 10)
    assert echo.calls < 500
    assert (await handle.record()).status == "cancelled"


async def test_events_are_kept_and_taken_first_in_first_out(engine: Engine) -> None:
    code = (
        "async def main():\n"
        "    first = await wait_for_event('approved')\n"
        "    second = await wait_for_event('approved')\n"
        "    return [first, second]\n"
    )
    await engine.publish("waits", code)
    handle = await engine.submit("waits")
    await handle.send("approved", {"by": "A"})
    await engine.work(until_idle=True)
    assert (await handle.record()).status == "suspended"
    await handle.send("approved", 0)
    await engine.work(until_idle=True)
    assert await handle.result() == [{"by": "A"}, 0]
    with pytest.raises(ConfigurationError, match="nobody is left to take"):
        await handle.send("approved", 1)


async def test_children_give_their_results_and_errors_to_their_parent(engine: Engine) -> None:
    await engine.publish(
        "child", "async def main(n):\n    if n < 0:\n        raise ValueError('negative')\n    return n * 2"
    )
    code = (
        "import asyncio\n"
        "async def main():\n"
        "    found = await asyncio.gather(*(run_task('child', n) for n in range(5)))\n"
        "    try:\n        await run_task('child', -1)\n"
        "    except Exception as error:\n        found.append(str(error))\n"
        "    return found\n"
    )
    await engine.publish("parent", code)
    *numbers, error = await engine.run("parent", timeout=30)
    assert numbers == [0, 2, 4, 6, 8]
    assert "negative" in error


async def test_a_cancelled_parent_takes_its_children_along(engine: Engine, echo: Echo) -> None:
    await engine.publish("child", CLEANS_UP)
    await engine.publish("parent", "async def main():\n    await run_task('child')")
    handle = await engine.submit("parent")
    working = asyncio.create_task(engine.work(until_idle=True))
    while not echo.calls:
        await asyncio.sleep(0.01)
    await handle.cancel()
    with pytest.raises(TaskCancelled):
        await handle.result(timeout=10)
    await asyncio.wait_for(working, 10)
    [child] = await engine.adapter.query_task_runs({"task_identifier": "child"})
    assert child.status == "cancelled"


async def test_a_detached_child_lives_on_by_itself_under_the_id_it_was_given(engine: Engine) -> None:
    await engine.publish("child", "async def main(n):\n    return n * 2")
    code = "async def main(n):\n    return await run_task('child', n, id='letter-7', detached=True)"
    await engine.publish("parent", code)
    assert await engine.run("parent", 4) == "letter-7"
    assert await engine.run("parent", 4) == "letter-7"  # it is there, and it is the same
    await engine.work(until_idle=True)
    assert await engine.handle("letter-7").result() == 8
    with pytest.raises(TaskFailed, match="different TaskRun 'letter-7' exists"):
        await engine.run("parent", 5)


async def test_a_child_of_an_unknown_function_is_an_error_at_its_line(engine: Engine) -> None:
    await engine.publish("parent", "async def main():\n    return await run_task('nobody', 1)")
    with pytest.raises(TaskFailed, match="sequential publish FILE --name nobody"):
        await engine.run("parent")


async def test_a_timer_is_recorded_with_what_it_set_off(engine: Engine) -> None:
    code = "import asyncio\nasync def main():\n    await asyncio.gather(asyncio.sleep(0.01), asyncio.sleep(0.02))"
    await engine.publish("sleeps", code)
    handle = await engine.submit("sleeps")
    await engine.run("sleeps", id=handle.id)
    timers = [call for call in await handle.calls() if call.operation == "timer"]
    assert timers
    assert all(timer.result is not None for timer in timers)


async def test_steps_that_block_run_side_by_side(engine: Engine) -> None:
    await engine.publish(
        "naps",
        "import asyncio\nfrom importlib import import_module\n"
        "def nap(n):\n    time = import_module('time')\n    began = time.monotonic()\n    time.sleep(0.2)\n"
        "    return [began, time.monotonic()]\n"
        "async def main():\n    return await asyncio.gather(*(step(nap, n) for n in range(32)))",
    )
    naps = await engine.run("naps")
    assert len(naps) == 32
    assert max(sum(one[0] <= begun < one[1] for one in naps) for begun, _ in naps) > 8


EXITS = """
import asyncio, sys
def leaves():
    sys.exit(3)
async def leaves_async():
    sys.exit(3)
def interrupts():
    raise KeyboardInterrupt
def closes():
    raise GeneratorExit
async def several():
    raise BaseExceptionGroup("several", [SystemExit(3)])
async def main():
    caught = []
    for call in (step(leaves), step(leaves_async), step(interrupts), step(closes), step(several),
                 call_host_tool("exits", "now"), call_host_tool("exits", "soon")):
        try:
            await call
        except Exception as error:
            caught.append(type(error).__name__)
    return caught
"""


class Exits:
    def now(self) -> None:
        sys.exit(3)

    async def soon(self) -> None:
        sys.exit(3)


async def test_a_function_that_exits_ends_its_call_and_not_the_worker(engine: Engine) -> None:
    engine.services.register_service("exits", Exits())
    await engine.publish("exits", EXITS)
    assert await engine.run("exits", timeout=30) == [*["RuntimeError"] * 5, *["ServiceError"] * 2]


SPEECHLESS = """
class Speechless(Exception):
    def __str__(self):
        return self.nothing
def fails():
    raise Speechless
async def caught():
    try:
        await step(fails)
    except Exception as error:
        return type(error).__name__
async def main(where):
    if where == "step":
        return await caught()
    await step(int)
    raise Speechless
"""


async def test_an_error_that_cannot_say_what_it_is_ends_a_step_and_a_task_like_any_other(engine: Engine) -> None:
    await engine.publish("speechless", SPEECHLESS)
    assert await engine.run("speechless", "step", timeout=30) == "Speechless"
    with pytest.raises(TaskFailed, match=r"Speechless: <exception str\(\) failed>"):
        await engine.run("speechless", "task", timeout=30)


async def test_a_step_that_raises_stop_iteration_ends_as_any_that_fails(engine: Engine) -> None:
    await engine.publish("stops", "def stop():\n    next(iter(()))\nasync def main():\n    await step(stop)")
    with pytest.raises(TaskFailed, match="StopIteration"):
        await engine.run("stops", timeout=30)
