"""A replay is the run once more: for any program and any order of outcomes."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sequential_adaptor.runners.fetch import FetchRunner

LEAVES = st.sampled_from(
    [
        "call()",
        "call()",
        "asyncio.sleep({n})",
        "asyncio.sleep(jitter())",
        "sleep({n})",
        "note(random.random())",
        "note(time.time())",
        "note(str(uuid.uuid4()))",
        "asyncio.to_thread(lambda: secrets.token_hex(4))",
        "wait_for_event('e{n}', timeout={n})",
    ]
)
SHAPES = ["row", "gather", "settled", "wait", "completed", "group", "timeout", "queue", "shield"]


@st.composite
def programs(draw: Any, depth: int = 0) -> str:
    """An expression: shapes of shapes of calls, pauses, waits and chance."""
    n = draw(st.integers(1, 4))
    if depth == 3 or (depth > 0 and draw(st.integers(0, 2)) == 0):
        return str(draw(LEAVES)).format(n=n)
    parts = draw(st.lists(programs(depth + 1), min_size=2 - bool(depth), max_size=4 - depth))
    return f"{draw(st.sampled_from(SHAPES))}({n}, [{', '.join(f'lambda: {part}' for part in parts)}])"


PRELUDE = """
import asyncio, importlib, random, secrets, time, uuid

# What a library does that waits before it tries again: chance that is not the task's, another one at each replay.
jitter = lambda: importlib.import_module("random").uniform(0.1, 4)
numbers = iter(range(10**9))
async def call():
    n = next(numbers)
    try:
        return await call_host_tool("s", "m", n)
    except ServiceError as error:
        return [n, str(error)]
    except asyncio.CancelledError:
        print("given up", n)
        raise
async def note(value):
    print(value)
    return value
async def safe(part):
    try:
        return await part()
    except (TimeoutError, ExceptionGroup) as error:
        return type(error).__name__
async def row(n, parts):
    return [await safe(part) for part in parts]
async def gather(n, parts):
    return await asyncio.gather(*(safe(part) for part in parts))
async def settled(n, parts):
    return [str(x) for x in await asyncio.gather(*(part() for part in parts), return_exceptions=True)]
async def wait(n, parts):
    tasks = [asyncio.create_task(safe(part)) for part in parts]
    done, pending = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for rest in pending:
        rest.cancel()
    return [task.result() for task in done]
async def completed(n, parts):
    return [await each for each in asyncio.as_completed([safe(part) for part in parts])]
async def group(n, parts):
    async with asyncio.TaskGroup() as tasks:
        made = [tasks.create_task(part()) for part in parts]
    return [task.result() for task in made]
async def timeout(n, parts):
    async with asyncio.timeout(n):
        return await row(n, parts)
async def shield(n, parts):
    inner = asyncio.ensure_future(row(n, parts))
    try:
        return await asyncio.wait_for(asyncio.shield(inner), n)
    except TimeoutError:
        return ["late", await inner]
async def queue(n, parts):
    items, found = asyncio.Queue(maxsize=n), []
    async def produce():
        for part in parts:
            await items.put(await safe(part))
        await items.put(items)
    async def consume():
        while (item := await items.get()) is not items:
            found.append([item, time.monotonic()])
    await asyncio.gather(produce(), consume())
    return found
async def main():
    result = await safe(lambda: {program})
    return [result, random.random(), time.time()]
"""
# `ServiceError` is looked up when it is needed; the import stands first so that line numbers stay.
PRELUDE = "from sequential_adaptor import ServiceError\n" + PRELUDE


async def straight(one: Any, choose: Any) -> list[Any]:
    """Run to the end; what was seen at each standstill."""
    await one.start()
    seen = [standstill(one)]
    while one.ending is None:
        choices: list[Any] = [("finish", n) for n, call in one.open_calls.items() if call.operation == "s.m"]
        choices += [("fail", n) for _, n in choices]
        choices += [("timer", 0.0), ("timer", 0.5)] if one.turn.deadline is not None else []
        choices += [("event", c.operation[5:]) for c in one.open_calls.values() if c.operation.startswith("wait:")]
        choices += [("cancel", None)] if len(seen) == 3 else []
        kind, what = choose(choices)
        if kind == "finish":
            await one.finish(what, [what, "ok"], after=0.4)
        elif kind == "fail":
            await one.fail(what, {"type": "Refused", "message": f"no {what}"}, after=0.1)
        elif kind == "timer":
            await one.timer(late=what)
        elif kind == "event":
            await one.event(what, {"event": what})
        else:
            await one.cancel()
        seen.append(standstill(one))
    return seen


def standstill(one: Any) -> Any:
    """What an engine sees of a task."""
    calls = sorted((n, call.operation, call.input) for n, call in one.open_calls.items())
    return calls, one.turn.deadline, one.turn.ending, dict(one.stored), len(one.log), one.state


@settings(
    max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture]
)
@given(program=programs(), data=st.data())
def test_replayed_at_every_point_a_program_does_what_it_did_straight(task: Any, program: str, data: Any) -> None:
    async def check() -> None:
        runner = FetchRunner()
        code = PRELUDE.replace("{program}", program)
        one = task(code, of=runner)
        seen = await straight(one, lambda choices: data.draw(st.sampled_from(choices)))
        taken = [
            r for r in one.happened() if r.operation in ("timer", "cancel", "s.m") or r.operation.startswith("event:")
        ]
        taken = [r for r in taken if not (r.operation == "s.m" and r.status == "cancelled")]
        for index, (calls, deadline, ending, stored, lines, state) in enumerate(seen):
            again = task(code, of=runner)
            again.state, again.stored, again.now = state, dict(stored), one.now
            again._position = max((r.position + 1 for r in stored.values() if r.position is not None), default=0)
            again.log = one.log[:lines]
            turn = await again.start()
            assert standstill(again)[0] == calls, "other calls are open"
            assert turn.ending == ending
            assert turn.deadline == deadline or "jitter" in program
            assert (turn.log, turn.settled) == ((), {}), "said twice"
            for happening in taken[index:]:
                await again.take(happening.replace(position=None))
            assert again.ending == one.ending
            assert again.log == one.log
            await again.close()
        await one.close()

    asyncio.run(check())


@pytest.mark.parametrize("jitter", [0.0, 0.3, 0.9])
async def test_a_library_that_waits_by_real_chance_is_replayed_all_the_same(
    task: Any, tmp_path: Any, jitter: float
) -> None:
    """The durations differ at each replay; the timers that go off are the recorded ones."""
    one = task(
        """
        import asyncio
        from pathlib import Path
        async def nap(name, base):
            # what a library does: chance that is not the task's
            await asyncio.sleep(base + float(Path(input["jitter"]).read_text()))
            return await call_host_tool("s", "m", name)
        await asyncio.gather(nap("a", 1.0), nap("b", 1.5))
    """,
        {"jitter": str(tmp_path / "jitter")},
    )
    (tmp_path / "jitter").write_text("0.0")
    await one.start()
    await one.timer()
    await one.timer()
    (tmp_path / "jitter").write_text(str(jitter))
    turn = await one.start()
    assert [call.input for call in turn.calls] == ["a", "b"]
    assert turn.ending is None
