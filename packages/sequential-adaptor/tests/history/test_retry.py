"""A failed run goes on at the call that it failed by, under the same id and the same keys."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from sequential_adaptor import CallNotFound, CannotGoBack, Engine, RecordNotFound, TaskFailed

ROW = """
async def main(n):
    return [await call_host_tool("desk", "give", [i]) for i in range(n)]
"""


async def failed(engine: Engine, name: str, code: str, input: Any = None, id: str = "run") -> dict[str, Any]:
    """Run code that fails; its error."""
    await engine.publish(name, code)
    with pytest.raises(TaskFailed) as raised:
        await engine.run(name, input, id=id, timeout=30)
    return raised.value.error


async def test_it_goes_on_at_the_failed_call_with_no_attempt_counted_and_the_same_key(
    engine: Engine, desk: Any
) -> None:
    desk.broken.add("2")
    await failed(engine, "row", ROW, 4)
    run = engine.handle("run")
    assert desk.times(0, 1, 2, 3) == [1, 1, 1, 0]
    desk.broken.clear()
    assert await run.retry() == ["run.3"]
    record = await run.record()
    assert (record.status, record.error, record.ended_at) == ("pending", None, None)
    await engine.carry(run)
    assert await run.result(10) == [0, 1, 2, 3]
    assert desk.times(0, 1, 2, 3) == [1, 1, 2, 1]
    calls = [call for call in await run.calls() if call.sequence is not None]
    assert [(call.id, call.attempts) for call in calls] == [(f"run.{n}", 0) for n in range(1, 5)]


async def test_it_may_fail_again_and_go_on_again(engine: Engine, desk: Any) -> None:
    desk.broken.add("1")
    await failed(engine, "row", ROW, 3)
    run = engine.handle("run")
    for _ in range(3):
        assert await run.retry() == ["run.2"]
        await engine.work(until_idle=True)
        assert (await run.record()).status == "failed"
    desk.broken.clear()
    await run.retry()
    await engine.work(until_idle=True)
    assert await run.result(10) == [0, 1, 2]
    assert desk.times(0, 1, 2) == [1, 5, 1]
    assert [call.operation for call in await run.calls() if call.operation == "retried"] == ["retried"] * 4


async def test_what_the_task_did_because_of_the_failure_is_undone_and_done_anew_under_other_keys(
    engine: Engine, desk: Any
) -> None:
    code = """
async def main():
    try:
        first = await call_host_tool("desk", "give", ["first"])
        return [first, await call_host_tool("desk", "give", ["second"]), await call_host_tool("desk", "give", ["last"])]
    finally:
        await sleep(0.01)
        await call_host_tool("desk", "give", ["cleaned"])
"""
    desk.broken.add("'second'")
    await failed(engine, "clean", code)
    desk.broken.clear()
    run = engine.handle("run")
    assert await run.retry() == ["run.2"]
    await engine.work(until_idle=True)
    assert await run.result(10) == ["first", "second", "last"]
    assert desk.times("first", "second", "last", "cleaned") == [1, 2, 1, 2]
    calls = [call.id for call in await run.calls() if call.sequence is not None]
    assert calls == ["run.1", "run.2", "run.3r1", "run.4r1", "run.5"]


async def test_calls_beside_the_failed_one_keep_their_outcomes_or_go_on(engine: Engine, desk: Any) -> None:
    code = """
import asyncio
async def main():
    return await asyncio.gather(*(call_host_tool("desk", "give", [i]) for i in range(5)), sleep(0.3))
"""
    desk.broken.add("2")
    await failed(engine, "together", code)
    desk.broken.clear()
    run = engine.handle("run")
    await run.retry()
    await engine.work(until_idle=True)
    assert await run.result(10) == [0, 1, 2, 3, 4, None]
    counts = desk.times(0, 1, 2, 3, 4)
    assert counts[:3] == [1, 1, 2]
    assert all(count <= 2 for count in counts)
    assert {call.id for call in await run.calls() if call.sequence} == {f"run.{n}" for n in range(1, 7)}


async def test_all_that_failed_side_by_side_is_made_again_and_nothing_else(quick: Engine, desk: Any) -> None:
    code = """
import asyncio
async def main():
    found = await asyncio.gather(*(call_host_tool("desk", "give", [i]) for i in range(6)), return_exceptions=True)
    errors = [one for one in found if isinstance(one, Exception)]
    if errors:
        raise ExceptionGroup("some failed", errors)
    return found
"""
    desk.broken |= {"1", "4"}
    await failed(quick, "all", code)
    desk.broken.clear()
    run = quick.handle("run")
    assert sorted(await run.retry()) == ["run.2", "run.5"]
    await quick.work(until_idle=True)
    assert await run.result(10) == list(range(6))
    assert desk.times(*range(6)) == [1, 2, 1, 1, 2, 1]


async def test_a_failure_that_the_task_has_dealt_with_stays_as_it_was(quick: Engine, desk: Any) -> None:
    code = """
async def main():
    try:
        await call_host_tool("desk", "give", ["dealt with"])
    except Exception:
        pass
    one = await call_host_tool("desk", "give", [1])
    return [one, await call_host_tool("desk", "give", ["bad"])]
"""
    desk.broken |= {"'dealt with'", "'bad'"}
    await failed(quick, "deals", code)
    desk.broken.clear()
    run = quick.handle("run")
    assert await run.retry() == ["run.3"]
    await quick.work(until_idle=True)
    assert await run.result(10) == [1, "bad"]
    assert desk.times("dealt with", 1, "bad") == [1, 1, 2]


async def test_an_http_answer_that_the_task_took_for_a_failure_is_asked_for_again(quick: Engine) -> None:
    statuses = [200, 418, 200]

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        status = statuses.pop(0)
        body = str(status).encode()
        writer.write(b"HTTP/1.1 %d X\r\ncontent-length: 3\r\nconnection: close\r\n\r\n%b" % (status, body))
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    code = f"""
async def main():
    first = (await fetch("http://127.0.0.1:{port}/a")).raise_for_status().text
    return [first, (await fetch("http://127.0.0.1:{port}/b")).raise_for_status().text]
"""
    async with server:
        await failed(quick, "asks", code)
        run = quick.handle("run")
        assert await run.retry() == ["run.2"]
        await quick.work(until_idle=True)
        assert await run.result(10) == ["200", "200"]
    assert statuses == []


async def test_events_that_the_failed_part_had_taken_are_there_for_the_retry(engine: Engine, desk: Any) -> None:
    code = """
async def main():
    try:
        first = await call_host_tool("desk", "give", ["first"])
    except Exception:
        await wait_for_event("why")
        raise
    return [first, await wait_for_event("why")]
"""
    desk.broken.add("'first'")
    await engine.publish("asks", code)
    run = await engine.submit("asks", id="run")
    await engine.work(until_idle=True)
    await run.send("why", {"said": "because"})
    await engine.work(until_idle=True)
    assert (await run.record()).status == "failed"
    desk.broken.clear()
    await run.retry()
    await engine.work(until_idle=True)
    assert await run.result(10) == ["first", {"said": "because"}]


async def test_a_time_limit_around_the_failed_call_begins_where_it_stopped(quick: Engine, desk: Any) -> None:
    code = """
import asyncio
async def main():
    async with asyncio.timeout(2):
        return await call_host_tool("desk", "give", [1])
"""
    desk.broken.add("1")
    await failed(quick, "timed", code)
    desk.broken.clear()
    await asyncio.sleep(2.1)
    run = quick.handle("run")
    await run.retry()
    await quick.work(until_idle=True)
    assert await run.result(10) == 1


# ---- children

PARENT = """
async def main():
    return [await run_task("child", 1), await run_task("child", 2)]
"""
CHILD = """
async def main(n):
    return [await call_host_tool("desk", "give", [f"{n}{part}"]) for part in "ab"]
"""


async def test_a_child_that_failed_goes_on_at_its_own_failed_call(engine: Engine, desk: Any) -> None:
    desk.broken.add("'2b'")
    await engine.publish("child", CHILD)
    error = await failed(engine, "parent", PARENT)
    assert "no '2b' today" in error["message"]
    desk.broken.clear()
    run = engine.handle("run")
    assert await run.retry() == ["run--2.2"]
    await engine.work(until_idle=True)
    assert await run.result(10) == [["1a", "1b"], ["2a", "2b"]]
    assert desk.times("1a", "1b", "2a", "2b") == [1, 1, 1, 2]
    assert len(await engine.adapter.query_task_runs({"task_identifier": "child"})) == 2


SIBLINGS = """
import asyncio
async def main():
    async with asyncio.TaskGroup() as group:
        found = [group.create_task(run_task("child", n)) for n in (1, 2, 3)]
    return [each.result() for each in found]
"""
SIBLING = """
async def main(n):
    try:
        paid = await call_host_tool("desk", "give", [f"paid {n}"])
        if n == 3:
            await wait_for_event("fail")
            return await call_host_tool("desk", "give", [n])
        await wait_for_event("go")
        return paid
    except BaseException:
        await call_host_tool("desk", "give", ["sorry"])
        raise
"""


async def siblings_failed(engine: Engine, desk: Any) -> None:
    """A run whose third child has failed, and with it the run, and with that the other children."""
    desk.broken.add("3")
    await engine.publish("child", SIBLING)
    await engine.publish("parent", SIBLINGS)
    await engine.submit("parent", id="run")
    await engine.work(until_idle=True)
    await engine.handle("run--3").send("fail")
    await engine.work(until_idle=True)
    children = await engine.adapter.query_task_runs({"task_identifier": "child"}, order_by="id")
    assert [child.status for child in children] == ["cancelled", "cancelled", "failed"]
    desk.broken.clear()


async def test_children_that_were_cancelled_because_one_failed_go_on_where_they_were(engine: Engine, desk: Any) -> None:
    await siblings_failed(engine, desk)
    run = engine.handle("run")
    assert await run.retry() == ["run--1.2", "run--2.2", "run--3.3"]
    await engine.work(until_idle=True)
    for child in ("run--1", "run--2"):
        await engine.handle(child).send("go")
    await engine.work(until_idle=True)
    assert await run.result(10) == ["paid 1", "paid 2", 3]
    assert desk.times("paid 1", "paid 2", "paid 3", 3, "sorry") == [1, 1, 1, 2, 3]
    assert len(await engine.adapter.query_task_runs({"task_identifier": "child"})) == 3


async def test_a_child_that_goes_on_after_a_cancel_can_be_cancelled_again(engine: Engine, desk: Any) -> None:
    await siblings_failed(engine, desk)
    run = engine.handle("run")
    await run.retry()
    for _ in range(2):
        await engine.work(until_idle=True)
        assert (await run.record()).status == "suspended"
        for _ in range(3):
            await engine.handle("run--1").cancel()
        await engine.work(until_idle=True)
        assert [(await engine.handle(id).record()).status for id in ("run--1", "run--2")] == ["cancelled"] * 2
        assert (await run.record()).status == "failed"
        assert await run.retry() == ["run--1.2", "run--2.2"]


async def test_a_child_that_cannot_go_on_begins_anew_and_one_that_completed_all_the_same_has_its_result(
    quick: Engine, desk: Any
) -> None:
    child = """
import asyncio
async def main(n):
    try:
        await wait_for_event("go")
    except asyncio.CancelledError:
        if n == 2:
            return "all the same"
        raise
    if n == 3:
        return await call_host_tool("desk", "give", [n])
    return n
"""
    desk.broken.add("3")
    await quick.publish("child", child)
    await quick.publish("parent", SIBLINGS)
    run = await quick.submit("parent", id="run")
    await quick.work(until_idle=True)
    await quick.handle("run--3").send("go")
    await quick.work(until_idle=True)
    desk.broken.clear()
    await quick.adapter.update_task_run("run--1", parent_stack_run_id=None)  # as if it were another's
    await run.retry()
    await quick.work(until_idle=True)
    await quick.handle("run--1r1").send("go")
    await quick.work(until_idle=True)
    assert await run.result(10) == [1, "all the same", 3]


async def test_a_parent_is_not_retried_while_a_child_of_it_is_still_ending(quick: Engine, desk: Any) -> None:
    await siblings_failed(quick, desk)
    await quick.adapter.update_task_run("run--1", status="running")
    with pytest.raises(CannotGoBack, match="run run has a child, run--1, that was asked to end and has not ended yet"):
        await quick.handle("run").retry()


async def test_a_child_is_retried_with_its_parent(quick: Engine, desk: Any) -> None:
    desk.broken.add("'1a'")
    await quick.publish("child", CHILD)
    await failed(quick, "parent", PARENT)
    with pytest.raises(CannotGoBack, match="is a child of run, .* sequential retry run; or .* sequential fork run--1"):
        await quick.handle("run--1").retry()


# ---- which runs, and from where


async def test_only_a_failed_run_goes_on_and_others_are_told_their_remedy(quick: Engine) -> None:
    await quick.publish("same", "async def main(n):\n    return n\n")
    done = await quick.submit("same", 1, id="done")
    with pytest.raises(CannotGoBack, match="run done has not ended; it is pending, and goes on by itself"):
        await done.retry()
    await quick.carry(done)
    with pytest.raises(CannotGoBack, match="has not failed; it is completed. .*: sequential fork done --at CALL"):
        await done.retry()
    gone = await quick.submit("same", 1, id="gone")
    await gone.cancel(force=True)
    with pytest.raises(CannotGoBack, match="it is cancelled. .* sequential fork gone --at CALL"):
        await gone.retry()
    with pytest.raises(RecordNotFound):
        await quick.handle("nobody").retry()


async def test_one_can_say_from_which_call_on(quick: Engine, desk: Any) -> None:
    code = """
async def main():
    found = [await call_host_tool("desk", "give", [i]) for i in range(3)]
    assert desk_is_tidy(found)
"""
    await failed(quick, "row", code)
    run = quick.handle("run")
    assert await run.retry() == []  # its own code is to blame: it fails again, and performs nothing
    await quick.work(until_idle=True)
    assert (await run.record()).error["type"] == "NameError"
    assert desk.times(0, 1, 2) == [1, 1, 1]
    await quick.publish("row", code.replace("assert desk_is_tidy(found)", "return found"))
    assert await run.retry(at=2, latest=True) == ["run.2"]
    await quick.work(until_idle=True)
    assert await run.result(10) == [0, 1, 2]
    assert desk.times(0, 1, 2) == [1, 2, 2]
    await failed(quick, "other", code, id="other")
    with pytest.raises(CallNotFound, match="has no call 7; its calls are: 1"):
        await quick.handle("other").retry(at=7)


async def test_a_retry_in_the_middle_of_another_is_one_of_them(engine: Engine, desk: Any) -> None:
    desk.broken.add("0")
    await failed(engine, "row", ROW, 2)
    desk.broken.clear()
    run = engine.handle("run")
    tried = await asyncio.gather(*(run.retry() for _ in range(5)), return_exceptions=True)
    done = [one for one in tried if one == ["run.1"]]
    refused = [one for one in tried if isinstance(one, CannotGoBack)]
    assert (len(done), len(done) + len(refused)) == (1, 5), tried
    await engine.work(until_idle=True)
    assert await run.result(10) == [0, 1]


async def test_what_was_given_up_with_the_failure_is_made_again_under_its_own_key(quick: Engine) -> None:
    code = """
import asyncio
async def slow():
    await call_host_tool("late", "give", ["before"])
    return await call_host_tool("late", "give", ["slow"])
async def main():
    return await asyncio.gather(slow(), call_host_tool("late", "give", ["fails"]))
"""
    times: dict[str, int] = {}
    begun = asyncio.Event()

    async def late(method: str, params: Any) -> Any:
        value = params[0]
        times[value] = times.get(value, 0) + 1
        if value == "slow" and times[value] == 1:
            begun.set()
            await asyncio.sleep(60)
        if value == "fails" and times[value] == 1:
            await begun.wait()
            raise RuntimeError("it fails")
        return value

    quick.services.register_service("late", late)
    await failed(quick, "chain", code)
    run = quick.handle("run")
    assert sorted(await run.retry()) == ["run.2", "run.3"]
    await quick.work(until_idle=True)
    assert await run.result(10) == ["slow", "fails"]
    assert times == {"before": 1, "slow": 2, "fails": 2}


def test_code_that_is_not_async_goes_back_as_well(tmp_path: Path) -> None:
    code = f"""
from pathlib import Path
def pay():
    if not Path("{tmp_path}/open").exists():
        raise ConnectionError("closed")
    return "paid"
async def main():
    return await step(pay)
"""
    engine = Engine(f"folder:{tmp_path / 'store'}?durability=process")
    engine.publish_sync("pays", code)
    with pytest.raises(TaskFailed):
        engine.run_sync("pays", id="run")
    fork = engine.fork_sync("run", 1, {"result": "free"})
    (tmp_path / "open").touch()
    engine.retry_sync("run")
    engine.work_sync(until_idle=True)
    assert (engine.result_sync("run"), engine.result_sync(fork)) == ("paid", "free")
    assert sorted(engine.prune_sync(timedelta(0)).runs) == sorted(["run", fork])
