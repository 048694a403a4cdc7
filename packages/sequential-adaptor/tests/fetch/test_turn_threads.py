"""Turns go to threads together, and one that takes long keeps nobody waiting: neither the loop nor the others."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from functools import partial
from typing import Any

import pytest

from sequential_adaptor.records import TaskFunction
from sequential_adaptor.runners.base import Assignment
from sequential_adaptor.runners.fetch.program import in_use
from sequential_adaptor.runners.fetch.rules import Rules
from sequential_adaptor.runners.fetch.session import FetchSession
from sequential_adaptor.runners.fetch.turn_threads import TurnThreads


@pytest.fixture(params=[1, 32], ids=["alone", "side by side"])
def threads(request: pytest.FixtureRequest) -> Iterator[TurnThreads]:
    made = TurnThreads(limit=4)
    made.users = request.param
    yield made
    made.close()


def run(threads: TurnThreads, function: Callable[[], Any]) -> asyncio.Task[Any]:
    return asyncio.create_task(threads.run(function, lambda stack: None))


@pytest.mark.parametrize("pause", [0, 0.02], ids=["at once", "late"])
async def test_each_gets_what_its_own_function_gave_or_raised(threads: TurnThreads, pause: float) -> None:
    def give(number: int) -> int:
        time.sleep(pause)
        if number % 3 == 0:
            raise LookupError(number)
        return number

    found = await asyncio.gather(
        *(run(threads, lambda number=number: give(number)) for number in range(20)), return_exceptions=True
    )
    assert [one.args[0] if isinstance(one, LookupError) else one for one in found] == list(range(20))
    assert [isinstance(one, LookupError) for one in found] == [number % 3 == 0 for number in range(20)]


async def test_a_turn_that_blocks_holds_up_neither_the_loop_nor_the_turns_beside_it(threads: TurnThreads) -> None:
    blocked = threading.Event()
    slow = [run(threads, lambda: blocked.wait(30)) for _ in range(3)]
    quick = [run(threads, threading.get_ident) for _ in range(20)]
    try:
        async with asyncio.timeout(10):
            idents = await asyncio.gather(*quick)
            assert threading.get_ident() not in idents
            assert not any(one.done() for one in slow)
            assert await run(threads, lambda: 7) == 7
    finally:
        blocked.set()
    assert await asyncio.gather(*slow) == [True] * 3


async def test_when_all_threads_are_blocked_the_others_have_their_turn_afterwards(threads: TurnThreads) -> None:
    blocked = threading.Event()
    slow = [run(threads, lambda: blocked.wait(30)) for _ in range(6)]
    quick = run(threads, lambda: "had")
    await asyncio.sleep(0.05)
    assert not quick.done()
    blocked.set()
    async with asyncio.timeout(10):
        assert await quick == "had"
        assert await asyncio.gather(*slow) == [True] * 6


async def test_a_turn_whose_awaiting_is_cancelled_goes_on_to_its_end(threads: TurnThreads) -> None:
    blocked, ended = threading.Event(), threading.Event()

    def act() -> None:
        blocked.wait(30)
        ended.set()

    turn = run(threads, act)
    await asyncio.sleep(0.05)
    turn.cancel()
    with pytest.raises(asyncio.CancelledError):
        await turn
    blocked.set()
    assert await asyncio.to_thread(ended.wait, 10)


async def test_threads_are_not_more_than_allowed_and_go_when_they_are_let_go(threads: TurnThreads) -> None:
    idents = await asyncio.gather(
        *(run(threads, lambda: (time.sleep(0.02), threading.get_ident())[1]) for _ in range(9))
    )
    assert len(set(idents)) <= 4
    threads.close()
    async with asyncio.timeout(10):
        while set(idents) & {thread.ident for thread in threading.enumerate()}:
            await asyncio.sleep(0.01)
    assert await run(threads, lambda: 1) == 1


def test_several_event_loops_share_the_threads(threads: TurnThreads) -> None:
    async def turns() -> list[int]:
        return [await run(threads, lambda number=number: number) for number in range(50)]

    found: list[list[int]] = []
    loops = [threading.Thread(target=lambda: found.append(asyncio.run(turns()))) for _ in range(4)]
    for one in loops:
        one.start()
    for one in loops:
        one.join(30)
    assert found == [list(range(50))] * 4


class LastFirst(TurnThreads):
    """Threads that come to the turns of a session in the order that is least likely: the last one first."""

    def __init__(self) -> None:
        super().__init__(limit=1)
        self._asked_for: list[Callable[[], Any]] = []

    async def run(self, function: Callable[[], Any], line: Callable[[Any], str | None]) -> Any:
        self._asked_for.append(function)
        if len(self._asked_for) == 1:  # it waits for a thread until whoever asked for it gives up
            await asyncio.Event().wait()
        for asked in reversed(self._asked_for):
            await super().run(asked, line)


@pytest.mark.parametrize("make", [partial(TurnThreads, limit=1), LastFirst], ids=["first first", "last first"])
async def test_a_frame_that_is_given_up_before_its_first_turn_leaves_nothing_behind(
    make: Callable[[], TurnThreads],
) -> None:
    threads, blocked = make(), threading.Event()
    function = TaskFunction(identifier="given-up", code="async def main():\n    await step(abs, 1)")
    session = FetchSession(Assignment(function, "run", "run", None, None, datetime.now(UTC)), Rules(), threads)
    blocking = asyncio.ensure_future(TurnThreads.run(threads, lambda: blocked.wait(30), lambda stack: None))
    await asyncio.sleep(0)
    starting = asyncio.ensure_future(session.start([]))
    await asyncio.sleep(0)
    starting.cancel()
    await asyncio.wait([starting])
    closing = asyncio.ensure_future(session.close())
    await asyncio.sleep(0)
    blocked.set()
    await asyncio.gather(blocking, closing)
    with in_use(function) as program:
        assert program.users == 1
    assert session._frame is None
    assert threads.users == 0
    threads.close()
