"""A fork goes on from a call of another run, whose history it shares up to there, and leaves that run as it is."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable
from typing import Any

import pytest

from sequential_adaptor import CallNotFound, ConfigurationError, Engine, RecordExists, RecordNotFound, TaskFailed
from sequential_adaptor.records import to_json

ROW = """
async def main(n):
    found = []
    for i in range(n):
        found.append(await call_host_tool("desk", "give", [i]))
        print("got", found[-1])
    return found
"""


async def stored(engine: Engine, run_id: str) -> list[Any]:
    """All that is stored of a run."""
    run = await engine.adapter.get_task_run(run_id)
    rows = await engine.adapter.query_stack_runs({"task_run_id": run_id}, order_by="id")
    assert run is not None
    return [to_json(run), *map(to_json, rows)]


async def test_a_fork_makes_the_call_and_what_follows_again_and_leaves_the_original_as_it_is(
    engine: Engine, desk: Any
) -> None:
    await engine.publish("row", ROW)
    assert await engine.run("row", 5, id="old") == [0, 1, 2, 3, 4]
    before = await stored(engine, "old")
    fork = await engine.handle("old").fork(at=3)
    await engine.carry(fork)
    assert await fork.result(10) == [0, 1, 2, 3, 4]
    assert desk.times(0, 1, 2, 3, 4) == [1, 1, 2, 2, 2]
    assert await stored(engine, "old") == before
    record = await fork.record()
    assert (record.input, record.task_identifier) == (5, "row")
    calls = [call for call in await fork.calls() if call.sequence is not None]
    assert [call.id for call in calls] == [f"{fork.id}.{n}" for n in range(1, 6)]


@pytest.mark.parametrize("value", [0, False, "", [], {}, None, "nö"], ids=repr)
async def test_an_outcome_can_be_replaced_by_any_value(quick: Engine, desk: Any, value: Any) -> None:
    await quick.publish("row", ROW)
    await quick.run("row", 3, id="old")
    fork = await quick.handle("old").fork(at="old.2", changes={"result": value})
    await quick.carry(fork)
    assert repr(await fork.result(10)) == repr([0, value, 2])
    assert desk.times(0, 1, 2) == [1, 1, 2]


async def test_an_error_can_take_the_place_of_an_outcome(quick: Engine, desk: Any) -> None:
    code = """
async def main():
    try:
        return await call_host_tool("desk", "give", [1])
    except Exception as error:
        return [type(error).__name__, str(error)]
"""
    await quick.publish("careful", code)
    assert await quick.run("careful", id="old") == 1
    fork = await quick.handle("old").fork(at=1, changes={"error": "out of paper"})
    await quick.carry(fork)
    assert await fork.result(10) == ["ServiceError", "out of paper"]
    assert desk.times(1) == [1]


# ---- chance and time


async def test_chance_and_clock_are_those_of_the_original_up_to_the_call(quick: Engine) -> None:
    code = """
import random, uuid
from datetime import datetime, UTC
async def main():
    before = [random.random(), str(uuid.uuid4()), datetime.now(UTC).isoformat()]
    said = await call_host_tool("desk", "give", ["yes"])
    return [before, said, random.random(), str(uuid.uuid4())]
"""
    await quick.publish("chance", code)
    old = await quick.run("chance", id="old")
    fork = await quick.handle("old").fork(at=1, changes={"result": "no"})
    await quick.carry(fork)
    new = await fork.result(10)
    assert new == [old[0], "no", old[2], old[3]]


async def test_no_time_passes_for_a_fork_between_the_call_and_the_moment_at_which_it_goes_on(quick: Engine) -> None:
    code = """
import asyncio
from datetime import datetime, UTC
async def main():
    try:
        async with asyncio.timeout(2):
            said = await call_host_tool("desk", "give", ["yes"])
    except TimeoutError:
        return "too late"
    await asyncio.sleep(0.05)
    return [said, datetime.now(UTC).timestamp()]
"""
    await quick.publish("timed", code)
    [_, then] = await quick.run("timed", id="old")
    await asyncio.sleep(2.1)
    for changes in (None, {"result": "no"}):
        fork = await quick.handle("old").fork(at=1, changes=changes)
        await quick.carry(fork)
        [said, now] = await fork.result(10)
        assert said == ("yes" if changes is None else "no")
        assert now > then + 2  # the calendar goes on all the same


# ---- side by side

TOGETHER = """
import asyncio
async def main(n):
    return await asyncio.gather(*(call_host_tool("desk", "give", [i]) for i in range(n)))
"""


@pytest.mark.parametrize("at", range(1, 6))
async def test_calls_that_were_on_their_way_keep_their_outcomes(quick: Engine, desk: Any, at: int) -> None:
    await quick.publish("together", TOGETHER)
    await quick.run("together", 5, id="old")
    fork = await quick.handle("old").fork(at=at, changes={"result": "x"})
    await quick.carry(fork)
    assert await fork.result(10) == [*range(at - 1), "x", *range(at, 5)]
    assert desk.times(*range(5)) == [1] * 5


CHAINS = """
import asyncio
async def chain(name):
    one = await call_host_tool("desk", "give", [f"{name}1"])
    await asyncio.sleep(0.001)
    return [one, await call_host_tool("desk", "give", [f"{name}2"])]
async def main():
    async with asyncio.TaskGroup() as group:
        chains = [group.create_task(chain(name)) for name in "abc"]
    return [await call_host_tool("desk", "give", ["last"]), *(each.result() for each in chains)]
"""


@pytest.mark.parametrize("at", range(1, 8))
async def test_a_fork_at_any_call_of_chains_side_by_side_ends_as_the_original(
    quick: Engine, desk: Any, at: int
) -> None:
    await quick.publish("chains", CHAINS)
    result = await quick.run("chains", id="old")
    fork = await quick.handle("old").fork(at=at)
    await quick.carry(fork)
    assert await fork.result(10) == result
    again = await fork.fork(at=at)
    await quick.carry(again)
    assert await again.result(10) == result


# ---- events and waits

WAITS = """
async def main():
    first = await call_host_tool("desk", "give", [1])
    try:
        said = await wait_for_event("approved", timeout=3600)
    except TimeoutError:
        said = "nobody"
    return [first, said, await call_host_tool("desk", "give", [2])]
"""


@pytest.mark.parametrize("early", [True, False])
async def test_at_a_wait_the_event_is_waited_for_once_more_or_is_another(quick: Engine, desk: Any, early: bool) -> None:
    await quick.publish("waits", WAITS)
    old = await quick.submit("waits", id="old")
    if not early:
        await quick.work(until_idle=True)
    await old.send("approved", "yes")
    await quick.work(until_idle=True)
    assert await old.result(10) == [1, "yes", 2]
    fork = await old.fork(at=2)
    await quick.work(until_idle=True)
    assert (await fork.record()).status == "suspended"
    await fork.send("approved", "later")
    no = await old.fork(at=2, changes={"result": None})
    await quick.work(until_idle=True)
    assert await fork.result(10) == [1, "later", 2]
    assert await no.result(10) == [1, None, 2]
    assert desk.times(1, 2) == [1, 3]


async def test_at_a_later_call_the_event_has_been_taken(quick: Engine) -> None:
    await quick.publish("waits", WAITS)
    old = await quick.submit("waits", id="old")
    await old.send("approved", "yes")
    await old.send("approved", "never taken")
    await quick.work(until_idle=True)
    fork = await old.fork(at=3, changes={"result": 9})
    await quick.carry(fork)
    assert await fork.result(10) == [1, "yes", 9]


async def test_a_wait_that_timed_out_can_have_been_in_time(quick: Engine) -> None:
    await quick.publish("waits", WAITS.replace("3600", "0.05"))
    assert await quick.run("waits", id="old") == [1, "nobody", 2]
    fork = await quick.handle("old").fork(at=2, changes={"result": "just"})
    await quick.carry(fork)
    assert await fork.result(10) == [1, "just", 2]
    again = await quick.handle("old").fork(at=2)
    await quick.carry(again)
    assert await again.result(10) == [1, "nobody", 2]


async def test_at_a_call_that_the_task_gave_up_it_is_made_again_or_was_in_time(quick: Engine, desk: Any) -> None:
    code = """
import asyncio
async def main():
    try:
        async with asyncio.timeout(0.05):
            return await call_host_tool("desk", "hang", [])
    except TimeoutError:
        return await call_host_tool("desk", "give", ["gave up"])
"""
    await quick.publish("impatient", code)
    assert await quick.run("impatient", id="old") == "gave up"
    again = await quick.handle("old").fork(at=1)
    await quick.carry(again)
    assert await again.result(10) == "gave up"
    assert desk.asked["hang"] == 2
    in_time = await quick.handle("old").fork(at=1, changes={"result": "in time"})
    await quick.carry(in_time)
    assert await in_time.result(10) == "in time"


async def test_at_a_sleep_what_was_left_of_it_is_slept_again(quick: Engine) -> None:
    await quick.publish("sleeps", "async def main():\n    await sleep(0.05)\n    return 1\n")
    assert await quick.run("sleeps", id="old") == 1
    fork = await quick.handle("old").fork(at=1)
    await quick.carry(fork)
    assert await fork.result(10) == 1
    with pytest.raises(ConfigurationError, match="is a sleep, which has no outcome to replace"):
        await quick.handle("old").fork(at=1, changes={"result": 1})


async def test_a_fork_from_before_a_cancel_has_not_been_cancelled(quick: Engine, desk: Any) -> None:
    code = """
async def main():
    await call_host_tool("desk", "give", [1])
    await wait_for_event("on")
    return "done"
"""
    await quick.publish("long", code)
    old = await quick.submit("long", id="old")
    await quick.work(until_idle=True)
    await old.cancel()
    await quick.work(until_idle=True)
    assert (await old.record()).status == "cancelled"
    fork = await old.fork(at=2, changes={"result": None})
    await quick.carry(fork)
    assert await fork.result(10) == "done"


# ---- children

PARENT = """
async def main():
    first = await run_task("child", 1)
    return [first, await run_task("child", 2)]
"""


async def test_a_child_from_before_the_call_is_the_old_one_and_one_from_behind_it_is_new(engine: Engine) -> None:
    await engine.publish("child", 'async def main(n):\n    return await call_host_tool("desk", "give", [n])')
    await engine.publish("parent", PARENT)
    assert await engine.run("parent", id="old") == [1, 2]
    fork = await engine.handle("old").fork(at=2, id="new")
    await engine.carry(fork)
    assert await fork.result(10) == [1, 2]
    runs = await engine.adapter.query_task_runs({"task_identifier": "child"}, order_by="id")
    assert [run.id for run in runs] == ["new--2", "old--1", "old--2"]
    [first, _] = [call for call in await fork.calls() if call.sequence is not None]
    assert first.options == {"id": "old--1"}


async def test_the_outcome_of_a_child_can_be_replaced_by_an_error_of_its_own(quick: Engine) -> None:
    code = """
from sequential_adaptor import TaskFailed
async def main():
    try:
        return await run_task("child", 1)
    except TaskFailed as failed:
        return failed.error
"""
    await quick.publish("child", "async def main(n):\n    return n")
    await quick.publish("parent", code)
    await quick.run("parent", id="old")
    fork = await quick.handle("old").fork(at=1, changes={"error": {"type": "ValueError", "message": "odd"}})
    await quick.carry(fork)
    assert await fork.result(10) == {"type": "ValueError", "message": "odd"}


# ---- which, and when


async def test_a_call_that_is_not_there_is_an_error_that_lists_the_calls(quick: Engine) -> None:
    await quick.publish("row", ROW)
    await quick.run("row", 3, id="old")
    with pytest.raises(CallNotFound, match=r"has no call 9; its calls are: 1 \(desk.give\), 2 .*, 3 "):
        await quick.handle("old").fork(at=9)
    with pytest.raises(RecordNotFound, match="no TaskRun 'nobody'"):
        await quick.handle("nobody").fork(at=1)
    await quick.submit("row", 3, id="fresh")
    with pytest.raises(CallNotFound, match="has no call 1; it has made none yet"):
        await quick.handle("fresh").fork(at=1)
    for wrong in ({}, {"result": 1, "error": "x"}, {"status": 1}):
        with pytest.raises(ConfigurationError, match="changes give the call one outcome"):
            await quick.handle("old").fork(at=1, changes=wrong)
    with pytest.raises(ConfigurationError, match="an error is its message, or an object"):
        await quick.handle("old").fork(at=1, changes={"error": 7})


async def test_the_same_id_is_the_same_fork_and_any_other_request_is_refused(engine: Engine) -> None:
    await engine.publish("row", ROW)
    await engine.run("row", 3, id="old")
    old = engine.handle("old")
    one, two, three = await asyncio.gather(*(old.fork(at=2, changes={"result": 7}, id="new") for _ in range(3)))
    assert one.id == two.id == three.id == "new"
    await engine.carry(one)
    assert await (await old.fork(at=2, changes={"result": 7}, id="new")).result(10) == [0, 7, 2]
    for at, changes, id in ((3, {"result": 7}, "new"), (2, {"result": 7.0}, "new"), (2, None, "new"), (2, None, "old")):
        with pytest.raises(RecordExists, match="it is not this fork of old"):
            await old.fork(at=at, changes=changes, id=id)


async def test_a_run_on_its_way_can_be_forked_also_at_the_call_that_it_waits_for(quick: Engine, desk: Any) -> None:
    await quick.publish("waits", WAITS)
    old = await quick.submit("waits", id="old")
    await quick.work(until_idle=True)
    fork = await old.fork(at=2, changes={"result": "forked"})
    other = await old.fork(at=1, changes={"result": "one"})
    await quick.work(until_idle=True)
    assert await fork.result(10) == [1, "forked", 2]
    assert (await other.record()).status == (await old.record()).status == "suspended"
    await old.send("approved", "old")
    await other.send("approved", "other")
    await quick.work(until_idle=True)
    assert (await old.result(10), await other.result(10)) == ([1, "old", 2], ["one", "other", 2])


async def test_a_fork_of_a_fork_of_a_fork(engine: Engine) -> None:
    await engine.publish("row", ROW)
    await engine.run("row", 4, id="a")
    one = await engine.handle("a").fork(at=1, changes={"result": "b"}, id="b")
    await engine.carry(one)
    two = await one.fork(at=2, changes={"result": "c"}, id="c")
    await engine.carry(two)
    three = await two.fork(at=4, changes={"result": "d"}, id="d")
    await engine.carry(three)
    assert await three.result(10) == ["b", "c", 2, "d"]


async def test_a_fork_prints_what_it_shares_once_and_then_its_own(quick: Engine) -> None:
    await quick.publish("row", ROW)
    await quick.run("row", 3, id="old")
    fork = await quick.handle("old").fork(at=2, changes={"result": "x"})
    await quick.carry(fork)
    rows = await quick.adapter.query_stack_runs({"task_run_id": fork.id})
    lines = [line for row in sorted(rows, key=lambda row: row.position or 0) for line in row.log or ()]
    assert lines == ["got 0", "got x", "got 2"]


async def test_a_fork_may_go_on_with_the_current_code(quick: Engine) -> None:
    await quick.publish("row", ROW)
    await quick.run("row", 3, id="old")
    await quick.publish("row", ROW.replace("return found", "return found[::-1]"))
    fork = await quick.handle("old").fork(at=3, latest=True)
    same = await quick.handle("old").fork(at=3)
    await quick.work(until_idle=True)
    assert (await fork.result(10), await same.result(10)) == ([2, 1, 0], [0, 1, 2])
    await quick.publish("row", ROW.replace("[i]", "[i, 1]"))
    other = await quick.handle("old").fork(at=3, latest=True)
    await quick.work(until_idle=True)
    with pytest.raises(TaskFailed, match="NonDeterminismError: .* was recorded"):
        await other.result(10)


class Killed(BaseException):
    """What a process dies of."""


@pytest.fixture
def dies_at(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """``dies_at(n)``: the n-th commit from now on is not made; and a history is long from 8 changes on."""
    monkeypatch.setattr("sequential_adaptor.engine.history.forking._CHANGES_A_COMMIT", 7)
    commit = engine.adapter.commit

    def dies_at(number: int) -> None:
        left = number

        async def dies(*args: Any, **options: Any) -> None:
            nonlocal left
            left -= 1
            if left == 0:
                raise Killed
            await commit(*args, **options)

        monkeypatch.setattr(engine.adapter, "commit", dies)

    return dies_at


async def test_a_long_history_is_copied_in_parts_and_whoever_does_so_may_be_killed(
    engine: Engine, desk: Any, dies_at: Callable[[int], None]
) -> None:
    await engine.publish("row", ROW)
    old = engine.handle("old")
    await engine.run("row", 30, id="old")
    for number in itertools.count(1):
        id = f"new{number}"
        dies_at(number)
        try:
            await old.fork(at=25, id=id)
        except Killed:
            assert desk.times(0, 23, 24) == [1, 1, number]
            fork = await old.fork(at=25, id=id)
        else:
            break
        await engine.carry(fork)
        assert await fork.result(10) == list(range(30))
        assert desk.times(0, 23, 24) == [1, 1, number + 1]
    assert number == 1 + 4 + 1 + 1  # the run, its parts, and what sets it free: all of them are there


@pytest.mark.parametrize("number", [2, 4])
async def test_nobody_goes_on_with_a_fork_that_is_not_all_there_or_takes_its_id(
    engine: Engine, desk: Any, dies_at: Callable[[int], None], number: int
) -> None:
    await engine.publish("row", ROW)
    await engine.publish("other", ROW)
    old = engine.handle("old")
    await engine.run("row", 30, id="old")
    dies_at(number)
    with pytest.raises(Killed):
        await old.fork(at=25, id="new")
    for taking in (engine.submit("other", 30, id="new"), old.fork(at=3, id="new"), old.fork(at=25, id="old")):
        with pytest.raises(RecordExists):
            await taking
    await asyncio.wait_for(engine.work(until_idle=True), 20)
    await engine.handle("new").send("event")
    assert await engine.adapter.claim_stack_runs("w", limit=9, lease=1.0) == []
    one, two = await asyncio.gather(*(old.fork(at=25, id="new") for _ in range(2)))
    await engine.carry(one)
    assert await two.result(10) == list(range(30))
    assert desk.times(0, 23, 24) == [1, 1, 2]


async def test_a_fork_that_is_not_all_there_can_be_ended_or_deleted(
    engine: Engine, dies_at: Callable[[int], None]
) -> None:
    await engine.publish("row", ROW)
    old = engine.handle("old")
    await engine.run("row", 30, id="old")
    for id in ("ended", "deleted"):
        dies_at(3)
        with pytest.raises(Killed):
            await old.fork(at=25, id=id)
    await engine.handle("ended").cancel(force=True)
    assert (await (await old.fork(at=25, id="ended")).record()).status == "cancelled"
    await engine.adapter.delete_task_run("deleted")
    assert await engine.adapter.query_stack_runs({"task_run_id": "deleted"}) == []
    assert await engine.run("row", 2, id="deleted") == [0, 1]


async def test_a_long_fork_that_is_deleted_while_it_is_made_is_made_whole(
    engine: Engine, dies_at: Callable[[int], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A part of a history is never stored without the run that it belongs to."""
    await engine.publish("row", ROW)
    await engine.run("row", 30, id="old")
    dies_at(4)
    commit, commits = engine.adapter.commit, 0

    async def deleted_before_some(*args: Any, **options: Any) -> None:
        nonlocal commits
        commits += 1
        if commits in (3, 8):
            await engine.adapter.delete_task_run("new")
        await commit(*args, **options)

    monkeypatch.setattr(engine.adapter, "commit", deleted_before_some)
    with pytest.raises(Killed):  # at the commit that begins it anew
        await engine.fork("old", 25, id="new")
    assert await engine.adapter.query_stack_runs({"task_run_id": "new"}) == []
    fork = await engine.fork("old", 25, id="new")
    assert commits > 8
    await engine.carry(fork)
    assert await fork.result(10) == list(range(30))


async def test_a_long_fork_of_a_run_of_a_queue_waits_in_it(engine: Engine, dies_at: Callable[[int], None]) -> None:
    await engine.publish("row", ROW)
    await engine.set_queue("line", limit=1)
    await engine.submit("row", 30, id="old", queue="line")
    await engine.work(until_idle=True)
    dies_at(0)
    fork = await engine.fork("old", 25)
    assert (await engine.queue("line")).waiting == 1
    await engine.work(until_idle=True)
    assert await fork.result(10) == list(range(30))


@pytest.mark.parametrize("rests", [True, False])
async def test_a_run_that_goes_on_while_it_is_read_is_forked_as_it_was_at_one_time(
    quick: Engine, monkeypatch: pytest.MonkeyPatch, rests: bool
) -> None:
    """A page is read before a step, and the next one after it: what was taken in between is missing."""
    await quick.publish("steps", "async def main():\n    return [await wait_for_event('go') for _ in range(20)]\n")
    old = await quick.submit("steps", id="old")
    query = type(quick.adapter).query_stack_runs
    steps = 0

    async def torn(self: Any, filter: Any = None, **options: Any) -> Any:
        nonlocal steps
        early = await query(self, filter, **options)
        if filter != {"task_run_id": "old"} or (rests and steps > 4):
            return early
        steps += 1
        await old.send("go", steps)
        await quick.work(until_idle=True)
        known = {row.id for row in early}
        late = await query(self, filter, **options)
        return [*early, *(row for row in late if row.id not in known)]  # the wait that was open still seems to be

    monkeypatch.setattr(type(quick.adapter), "query_stack_runs", torn)
    fork = await old.fork(at=3, changes={"result": "forked"})
    monkeypatch.undo()
    for number in range(20):
        await fork.send("go", number)
    await quick.carry(fork)
    assert await fork.result(10) == [1, 2, "forked", *range(17)]


@pytest.mark.parametrize("at", range(1, 5))
async def test_turns_are_told_apart_also_by_a_clock_that_stands_still(
    quick: Engine, monkeypatch: pytest.MonkeyPatch, at: int
) -> None:
    """As it does in tests that skip time: what was made in a later turn had not been made at the call."""
    monkeypatch.setattr("sequential_adaptor.engine.holding.clock.StoreClock.now", lambda clock: clock._read)
    await quick.publish("row", ROW)
    assert await quick.run("row", 4, id="old") == [0, 1, 2, 3]
    fork = await quick.handle("old").fork(at=at)
    await quick.carry(fork)
    assert await fork.result(10) == [0, 1, 2, 3]
