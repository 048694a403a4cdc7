"""Which code runs, with what input, in which world."""

from __future__ import annotations

import datetime
import gc
import linecache
import sys
import threading
from typing import Any

import pytest

from sequential_adaptor.errors import TaskCancelled, TaskError
from sequential_adaptor.runners.base import CallResults, Completed, Suspended
from sequential_adaptor.runners.fetch import FetchRunner, program


async def result_of(task: Any, code: str, input: Any = None, **options: Any) -> Any:
    one = task(code, input, **options)
    await one.start()
    return one.result


@pytest.mark.parametrize(
    ("code", "metadata", "expected"),
    [
        ("async def main(): return 1\nasync def other(): return 2", None, 1),
        ("def main(): return 1", None, 1),
        ("async def other(): return 2\nasync def _helper(): return 3", None, 2),
        ("async def main(): return 1\nasync def other(): return 2", {"entry": "other"}, 2),
        ("x = 1\nawait sleep(0)\nx + 1", None, 2),
        ("async def helper(): return 5\nawait helper()", None, 5),
        ("await sleep(0)\nx = 7", None, None),
        ("from functools import partial\nasync def a(x): return x\nasync def b(): 0\nmain = partial(a, 9)", None, 9),
        ("class main:\n    def __new__(cls): return 4", None, 4),
    ],
)
async def test_the_entry_is_found(task: Any, code: str, metadata: Any, expected: Any) -> None:
    assert await result_of(task, code, metadata=metadata) == expected


@pytest.mark.parametrize(
    ("code", "metadata", "message"),
    [
        ("x = 1", None, "no public async function"),
        ("async def a(): 0\nasync def b(): 0", None, "the async functions a, b"),
        ("async def a(): 0", {"entry": "nope"}, "'nope' is no function of the task; it defines a"),
        ("def broken(:", None, "invalid syntax"),
        ("x = '\0'", None, "null bytes"),
    ],
)
async def test_code_without_an_entry_says_so(task: Any, code: str, metadata: Any, message: str) -> None:
    one = task(code, metadata=metadata)
    await one.start()
    assert message in one.error["message"]


@pytest.mark.parametrize(
    ("signature", "input", "seen"),
    [
        ("", {"a": 1}, "()"),
        ("input", {"a": 1}, "({'a': 1},)"),
        ("input=None", 0, "(0,)"),
        ("*, input", [1], "([1],)"),
        ("a, b=2", {"a": 1}, "(1, 2)"),
        ("a, b=2", {"a": 1, "b": 3}, "(1, 3)"),
        ("a, b=2", {"z": 1}, "({'z': 1}, 2)"),
        ("a, b=2", [5], "([5], 2)"),
        ("**options", {"a": 1}, "({'a': 1},)"),
        ("*rest", {"a": 1}, "(({'a': 1},),)"),
        ("a, b", {"a": 1}, None),
    ],
)
async def test_how_the_input_arrives(task: Any, signature: str, input: Any, seen: str | None) -> None:
    code = f"async def main({signature}):\n    return repr(tuple(locals().values()))"
    one = task(code, input)
    await one.start()
    if seen is None:
        assert "does not fit main(a, b)" in one.error["message"]
    else:
        assert one.result == seen


async def test_a_script_finds_its_input_under_that_name(task: Any) -> None:
    assert await result_of(task, "await sleep(0)\ninput['a'] * 2", {"a": 21}) == 42


@pytest.mark.parametrize("result", ["{1}", "float('nan')", "{'a': [1, object()]}", "(1, 2)", "main"])
async def test_a_result_that_is_no_json_fails_with_its_path(task: Any, result: str) -> None:
    one = task(f"async def main():\n    return {result}")
    await one.start()
    assert one.error["type"] == "InvalidValue"
    assert one.error["message"].startswith("$")
    assert "result of a task must be JSON" in one.error["message"]


async def test_errors_show_the_tasks_own_file_line_and_source(task: Any) -> None:
    one = task("""
        import json
        class Own(Exception): pass
        def deep(text):
            try:
                return json.loads(text)
            except ValueError as error:
                raise Own("unreadable") from error
        async def main():
            await call_host_tool("s", "m")
            deep("{")
    """)
    await one.start()
    await one.finish(1)
    text = one.error["traceback"]
    assert one.error["type"] == "Own"
    assert one.error["message"] == "unreadable"
    assert 'File "task@' in text
    assert 'line 11, in main\n    deep("{")' in text
    assert 'raise Own("unreadable") from error' in text
    assert "json/decoder.py" in text
    assert "sequential_adaptor/" not in text
    assert "base_events.py" not in text
    assert "sequential_task_" not in text


async def test_system_exit_is_but_a_failure(task: Any) -> None:
    for code in (
        "import sys\nasync def main():\n    sys.exit(3)",
        """
        import asyncio, sys
        async def leave():
            sys.exit(3)
        async def main():
            await asyncio.create_task(leave())
    """,
    ):
        one = task(code)
        await one.start()
        assert (one.error["type"], one.error["message"]) == ("SystemExit", "3")


async def test_each_session_has_modules_of_its_own_and_libraries_find_them(task: Any) -> None:
    code = """
        from __future__ import annotations
        import pickle, typing
        from dataclasses import dataclass, field
        from enum import Enum
        count = []
        class Colour(Enum):
            RED = 1
        @dataclass
        class Point:
            x: int
            tags: list[Colour] = field(default_factory=list)
        async def main():
            count.append(await call_host_tool("s", "m"))
            again = pickle.loads(pickle.dumps(Point(1, [Colour.RED])))
            return [count, again == Point(1, [Colour.RED]), str(typing.get_type_hints(Point)["x"])]
    """
    ones = [task(code) for _ in range(3)]
    for one in ones:
        await one.start()
    for n, one in enumerate(ones):
        await one.finish(1, n)
        assert one.result == [[n], True, "<class 'int'>"]


MODULES = {
    "helpers": "import time\nfrom shapes.round import circle\nseen = []\ndef now():\n    return time.time()\n",
    "shapes": "from . import round\nfrom .round import circle as c\nname = __name__\n",
    "shapes.round": "import random\ndef circle():\n    return random.random()\n",
    "only.nested": "value = 3\n",
}


async def test_modules_stored_with_a_task_are_importable_fresh_and_see_the_same_world(task: Any) -> None:
    code = """
        import helpers, shapes.round as r, only.nested
        from helpers import seen
        from shapes import round, c
        import random, time
        async def main():
            seen.append(await call_host_tool("s", "m"))
            return [helpers.seen, helpers.now() == time.time(), r is round, c is helpers.circle, only.nested.value,
                    round.circle()]
    """
    one, two = task(code, modules=MODULES), task(code, modules=MODULES)
    await one.start()
    await two.start()
    await one.finish(1, "one")
    await two.finish(1, "two")
    assert one.result[:5] == [["one"], True, True, True, 3]
    assert two.result[0] == ["two"]
    assert "helpers" not in sys.modules
    assert "shapes" not in sys.modules


async def test_an_import_that_fails_says_what_python_says(task: Any) -> None:
    for line in ("import only.nothing", "import nowhere", "from shapes import nothing", "from . import x"):
        one = task(f"{line}\nasync def main(): 0", modules=MODULES)
        await one.start()
        assert one.error["type"] in ("ImportError", "ModuleNotFoundError")


async def test_time_stands_at_what_happened_last(task: Any) -> None:
    one = task("""
        import datetime, time
        from datetime import datetime as dt, date, UTC
        from time import time as now, monotonic
        def clocks():
            return [now(), time.time_ns(), monotonic(), time.perf_counter(), dt.now(UTC).isoformat(),
                    datetime.datetime.utcnow().isoformat(), dt.now().astimezone(UTC).isoformat(), time.gmtime().tm_sec,
                    time.strftime("%S"), date.today() == dt.today().date()]
        async def main():
            first = clocks()
            await call_host_tool("s", "m")
            return [first, clocks(), first == clocks()]
    """)
    await one.start()
    await one.finish(1, None, after=90.25)
    first, second, same = one.result
    assert first[:4] == [1767268800.0, 1767268800 * 10**9, 0.0, 0.0]
    assert not same
    assert second[0] == 1767268890.25
    assert second[2] == 90.25
    assert second[4] == second[6] == "2026-01-01T12:01:30.250000+00:00"
    assert second[5] == "2026-01-01T12:01:30.250000"
    assert second[7:] == [30, "30", True]


async def test_time_never_goes_back(task: Any) -> None:
    one = task("""
        import asyncio, time
        async def main():
            times = []
            async def call():
                await call_host_tool("s", "m")
                times.append([time.time(), asyncio.get_running_loop().time()])
            await asyncio.gather(call(), call())
            return times
    """)
    await one.start()
    await one.finish(1, after=10)
    await one.finish(2, after=-9)
    assert one.result == [[1767268810.0, 10.0]] * 2


async def test_dates_are_ordinary_ones(task: Any) -> None:
    code = """
        import datetime, pickle, json
        from importlib import import_module
        real = import_module("datetime")
        class Mine(datetime.datetime):
            pass
        async def main():
            now = datetime.datetime.now()
            day = datetime.date(2026, 1, 2)
            parsed = datetime.datetime.fromisoformat("2026-01-02T03:04:05+00:00")
            mine = Mine.now()
            return [
                type(now) is real.datetime, isinstance(now, datetime.datetime), isinstance(now, datetime.date),
                isinstance(real.datetime(2026, 1, 1), datetime.datetime), not isinstance(day, datetime.datetime),
                type(parsed) is real.datetime, pickle.loads(pickle.dumps(now)) == now,
                now - datetime.timedelta(1) < now, type(day) is real.date, issubclass(real.datetime, datetime.date),
                type(mine) is Mine, isinstance(mine, Mine),
                not isinstance(now, Mine), datetime.datetime.strptime("2026", "%Y").year == 2026,
                datetime.datetime.combine(day, datetime.time(1)).hour == 1, datetime.datetime.max == real.datetime.max,
            ]
    """
    found = await result_of(task, code)
    assert all(found), found


async def test_models_of_pydantic_take_the_stand_ins(task: Any) -> None:
    pytest.importorskip("pydantic")
    found = await result_of(
        task,
        """
        from datetime import datetime, date
        from pydantic import BaseModel
        class Order(BaseModel):
            at: datetime
            day: date | None = None
        async def main():
            order = Order(at=datetime.now(), day="2026-01-01")
            return [order.model_dump(mode="json")["day"], isinstance(order.at, datetime)]
    """,
    )
    assert found == ["2026-01-01", True]


CHANCE = """
    import os, random, secrets, uuid
    from random import choice, shuffle
    from uuid import uuid4
    async def main():
        if {call}:
            await call_host_tool("s", "m")
        deck = list(range(20))
        shuffle(deck)
        return [os.urandom(4).hex(), random.random(), random.gauss(0, 1), choice("abc"), deck, secrets.token_hex(),
                str(uuid4()), str(uuid.uuid1()), secrets.randbelow(10**9), random.Random().random(),
                random.SystemRandom().random(), random.sample(range(100), 5), secrets.token_urlsafe(5),
                random.randbytes(3).hex(), secrets.choice([1, 2, 3])]
"""


async def test_chance_is_the_same_on_replay_and_another_in_each_run(task: Any) -> None:
    one, two = task(CHANCE.format(call=True)), task(CHANCE.format(call=True))
    await one.start()
    await two.start()
    await one.finish(1)
    first = one.result
    await one.start()
    assert one.result == first
    await two.finish(1)
    assert all(a != b for a, b in zip(first, two.result, strict=True) if len(str(a)) > 4)


async def test_what_is_seeded_is_what_it_is_anywhere(task: Any) -> None:
    import random

    code = """
        import random
        async def main():
            random.seed(7)
            return [random.random(), random.Random(7).randrange(100)]
    """
    assert await result_of(task, code) == [random.Random(7).random(), random.Random(7).randrange(100)]


async def test_libraries_see_real_time_and_chance(task: Any) -> None:
    code = """
        import email.utils, tempfile
        async def main():
            return [email.utils.formatdate(), next(tempfile._RandomNameSequence())]
    """
    one, two = task(code), task(code)
    await one.start()
    one_seen = one.result
    await two.start()
    assert "2026 12:00:00" not in one_seen[0]
    assert one_seen[1] != two.result[1]
    assert email_year(one_seen[0]) == datetime.datetime.now(datetime.UTC).year


def email_year(text: str) -> int:
    return int(text.split()[3])


async def test_a_step_sees_real_time_and_chance(task: Any) -> None:
    one = task("""
        import time, random, datetime
        def work():
            return [time.time(), datetime.datetime.now(datetime.UTC).timestamp()]
        async def main():
            return [await step(work), time.time()]
    """)
    await one.start()
    await one.perform(1)
    (real, other), virtual = one.result
    now = datetime.datetime.now(datetime.UTC).timestamp()
    assert abs(real - now) < 60
    assert abs(other - now) < 60
    assert virtual == 1767268800.001


async def test_sessions_leave_nothing_behind(task: Any, runner: FetchRunner) -> None:
    async def cycle(count: int, start: int) -> None:
        for n in range(start, start + count):
            one = task(
                "import asyncio\nasync def main():\n    await asyncio.to_thread(int)\n"
                f"    await call_host_tool('s', 'm', {n})"
            )
            await one.start()
            await one.close()

    await cycle(300, 0)
    gc.collect()
    before = (len(sys.modules), len(linecache.cache), threading.active_count())
    await cycle(300, 300)
    gc.collect()
    after = (len(sys.modules), len(linecache.cache), threading.active_count())
    assert after[0] <= before[0] + 2
    assert after[1] <= before[1] + 2
    assert after[2] <= before[2] + 8
    assert not any(found.users for key, found in program._programs.items() if key[0] == "task")


# ---- run and resume without an engine

SCRIPT = """
import asyncio
a = await call_host_tool("s", "m", input)
print(a)
b = await asyncio.gather(call_host_tool("s", "x"), call_host_tool("s", "y"), sleep(3600))
e = await wait_for_event("go")
await asyncio.sleep(10)
[a, b, e]
"""


@pytest.mark.parametrize("elsewhere", [False, True])
async def test_run_and_resume_go_on_from_the_state_alone(runner: FetchRunner, elsewhere: bool) -> None:
    import json

    async def resume(state: Any, response: Any) -> Any:
        other = FetchRunner() if elsewhere else runner
        try:
            return await other.resume(json.loads(json.dumps(state)), response)
        finally:
            if elsewhere:
                await other.dispose()

    stop = await runner.run(SCRIPT, {"q": 0})
    assert isinstance(stop, Suspended)
    assert stop.calls[0].input == {"q": 0}
    stop = await resume(stop.state, 0)
    assert [call.operation for call in stop.calls] == ["s.x", "s.y", "sleep"]
    stop = await resume(stop.state, CallResults({2: "x"}, {}))
    stop = await resume(stop.state, CallResults({3: None}))
    stop = await resume(stop.state, None)
    assert [call.operation for call in stop.calls] == ["wait:go"]
    stop = await resume(stop.state, {"data": 1})
    assert stop.calls == ()
    assert await resume(stop.state, None) == Completed([0, ["x", None, None], {"data": 1}])


async def test_resuming_in_the_same_process_runs_nothing_again(runner: FetchRunner) -> None:
    import builtins

    builtins.times_run = []  # type: ignore[attr-defined]
    code = (
        "import builtins\nbuiltins.times_run.append(1)\nawait call_host_tool('s', 'm')\nawait call_host_tool('s', 'm')"
    )
    stop = await runner.run(code, None)
    again = await runner.resume(stop.state, None)
    assert builtins.times_run == [1]  # type: ignore[attr-defined]
    assert await runner.resume(again.state, 5) == Completed(5)
    assert await runner.resume(again.state, 6) == Completed(6), "an old state is replayed"
    assert builtins.times_run == [1, 1]  # type: ignore[attr-defined]
    del builtins.times_run  # type: ignore[attr-defined]


async def test_run_raises_what_the_code_raises(runner: FetchRunner) -> None:
    with pytest.raises(KeyError, match="nope"):
        await runner.run("async def main():\n    raise KeyError('nope')", None)
    with pytest.raises(SyntaxError):
        await runner.run("def", None)
    with pytest.raises(TaskCancelled):
        await runner.run("import asyncio\nasync def main():\n    raise asyncio.CancelledError", None)
    stop = await runner.run("async def main():\n    await call_host_tool('s', 'm')", None)
    with pytest.raises(TaskError, match="no"):
        await runner.resume(stop.state, CallResults({}, {1: {"type": "X", "message": "no"}}))
    assert await runner.status() == {"runner": "fetch", "sessions": 0}
