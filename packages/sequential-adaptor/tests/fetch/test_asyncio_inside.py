"""Inside a task asyncio works as it does anywhere."""

from __future__ import annotations

import asyncio
import gc
from typing import Any

import pytest


def value(call: Any) -> Any:
    return call.input


async def test_calls_in_a_row_are_numbered_as_the_code_makes_them(task: Any) -> None:
    one = task(
        """
        async def main(input):
            return [await call_host_tool("s", "m", n) for n in range(input)]
    """,
        3,
    )
    assert await one.finish_all(value) == [0, 1, 2]
    assert [record.sequence for record in one.happened()] == [1, 2, 3]


async def test_gather_has_all_calls_open_at_once_and_keeps_their_order(task: Any) -> None:
    one = task("""
        import asyncio
        async def main():
            return await asyncio.gather(*(call_host_tool("s", "m", n) for n in range(3)))
    """)
    turn = await one.start()
    assert [call.sequence for call in turn.calls] == [1, 2, 3]
    for sequence in (3, 1):
        assert (await one.finish(sequence, sequence * 10)).calls == ()
    await one.finish(2, 20)
    assert one.result == [10, 20, 30]


async def test_wait_gives_what_is_done_first(task: Any) -> None:
    one = task("""
        import asyncio
        async def main():
            tasks = [asyncio.create_task(call_host_tool("s", "m", n), name=str(n)) for n in range(3)]
            done, pending = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for rest in pending:
                rest.cancel()
            return [[t.result() for t in done], [t.get_name() for t in tasks if t in pending]]
    """)
    await one.start()
    turn = await one.finish(2, "second")
    assert one.result == [["second"], ["0", "2"]]
    assert {n: ending.status for n, ending in turn.settled.items()} == {1: "cancelled", 3: "cancelled"}


async def test_sets_of_tasks_have_the_same_order_in_every_replay(task: Any) -> None:
    one = task("""
        import asyncio
        async def main():
            tasks = {asyncio.create_task(call_host_tool("s", "m", n)) for n in range(20)}
            done, _ = await asyncio.wait(tasks)
            return [await call_host_tool("s", "again", t.result()) for t in done]
    """)
    await one.start()
    for sequence in range(1, 21):
        await one.finish(sequence, sequence)
    for sequence in range(21, 40):
        await one.finish(sequence, sequence)
        await one.start()
    await one.finish(40)
    assert len(one.result) == 20


async def test_as_completed_takes_coroutines_in_the_order_given(task: Any) -> None:
    one = task("""
        import asyncio
        from asyncio import as_completed
        async def main():
            found = []
            for each in as_completed([call_host_tool("s", "m", n) for n in range(10)]):
                found.append(await each)
            return found
    """)
    turn = await one.start()
    assert [call.input for call in turn.calls] == list(range(10))
    for sequence in (3, 1, 10, 2, 9, 4, 8, 5, 7, 6):
        await one.finish(sequence, sequence)
    assert one.result == [3, 1, 10, 2, 9, 4, 8, 5, 7, 6]


async def test_task_group_cancels_the_others_when_one_fails(task: Any) -> None:
    one = task("""
        import asyncio
        async def main():
            try:
                async with asyncio.TaskGroup() as group:
                    group.create_task(call_host_tool("s", "bad"))
                    group.create_task(call_host_tool("s", "slow"))
            except* Exception as errors:
                found = [type(e).__name__ for e in errors.exceptions]
            return found
    """)
    await one.start()
    turn = await one.fail(1, {"type": "Boom", "message": "no"})
    assert one.result == ["ServiceError"]
    assert turn.settled[2].status == "cancelled"


async def test_timeout_ends_a_call_that_takes_too_long_and_its_late_outcome_is_ignored(task: Any) -> None:
    one = task("""
        import asyncio, time
        async def main():
            try:
                async with asyncio.timeout(2.5):
                    await call_host_tool("s", "slow")
            except TimeoutError:
                return [await call_host_tool("s", "other"), time.monotonic()]
    """)
    await one.start()
    late = one._outcome(1, 9, status="completed", result="late")
    one.now = late.ended_at.replace(second=0)
    turn = await one.timer()
    assert turn.settled[1].status == "cancelled"
    turn = await one.session.take(late)
    assert turn.calls == ()
    assert turn.ending is None
    one.stored["run.1"] = one.stored["run.1"].replace(status="completed", result="late")
    await one.start()
    await one.finish(2, "ok")
    assert one.result == ["ok", 2.501]


async def test_an_outcome_beats_a_timer_that_was_due_before_it(task: Any) -> None:
    one = task("""
        import asyncio
        async def main():
            async with asyncio.timeout(1):
                return await call_host_tool("s", "m")
    """)
    await one.start()
    await one.finish(1, "in time after all", after=5)
    assert one.result == "in time after all"


async def test_queue_event_lock_and_condition(task: Any) -> None:
    one = task(
        """
        import asyncio
        async def main(input):
            queue, ready, lock, found = asyncio.Queue(maxsize=1), asyncio.Event(), asyncio.Lock(), []
            async def producer():
                for n in range(input):
                    await queue.put(await call_host_tool("s", "m", n))
                await queue.put(None)
                ready.set()
            async def consumer():
                while (item := await queue.get()) is not None:
                    async with lock:
                        found.append(item)
            await asyncio.gather(producer(), consumer(), ready.wait())
            return found
    """,
        4,
    )
    assert await one.finish_all(value) == [0, 1, 2, 3]


async def test_shield_lets_a_call_go_on_when_its_awaiting_is_cancelled(task: Any) -> None:
    one = task("""
        import asyncio
        async def main():
            inner = asyncio.ensure_future(call_host_tool("s", "m"))
            try:
                await asyncio.wait_for(asyncio.shield(inner), 1)
            except TimeoutError:
                return ["shielded", await inner]
    """)
    await one.start()
    turn = await one.timer()
    assert turn.settled == {}
    assert turn.ending is None
    await one.finish(1, 5)
    assert one.result == ["shielded", 5]


async def test_timers_go_off_by_time_and_then_in_the_order_in_which_they_were_made(task: Any) -> None:
    one = task("""
        import asyncio
        async def main():
            order = []
            async def nap(seconds, name):
                await asyncio.sleep(seconds)
                order.append(name)
            await asyncio.gather(nap(3, "c"), nap(1, "a"), nap(3, "d"), nap(2, "b"))
            return order
    """)
    await one.start()
    await one.timer()
    await one.timer(late=10)
    assert one.result == ["a", "b", "c", "d"]


async def test_a_timer_beyond_the_calendar_is_waited_for_without_a_deadline(task: Any) -> None:
    one = task("""
        import asyncio
        async def main():
            await asyncio.sleep(1e12)
    """)
    turn = await one.start()
    assert turn.ending is None
    assert turn.deadline is None


@pytest.mark.parametrize(
    "how", ["asyncio.to_thread(work, n)", "asyncio.get_running_loop().run_in_executor(None, work, n)"]
)
async def test_functions_in_threads_end_in_the_order_in_which_they_were_submitted(task: Any, how: str) -> None:
    one = task(f"""
        import asyncio, threading, time as clock
        from importlib import import_module
        real_sleep = import_module("time").sleep
        order = []
        def work(n):
            real_sleep(0.02 * (3 - n))
            order.append(n)
            return threading.current_thread().name
        async def main():
            names = await asyncio.gather(*({how} for n in range(3)))
            return [order, threading.current_thread().name in names]
    """)
    await one.start()
    assert one.result == [[0, 1, 2], False]


@pytest.mark.parametrize("pool", ["None", "ThreadPoolExecutor(1)"])
async def test_functions_in_threads_see_time_and_chance_of_the_task(task: Any, pool: str) -> None:
    one = task(f"""
        import asyncio, random, time
        from concurrent.futures import ThreadPoolExecutor
        def work():
            return [random.random(), time.time()]
        async def main():
            drawn = await asyncio.get_running_loop().run_in_executor({pool}, work)
            await call_host_tool("s", "m", drawn)
            return [drawn, drawn[1] == time.time()]
    """)
    await one.start()
    first = one.open_calls[1].input
    await one.start()
    await one.finish(1)
    assert one.result == [first, False]


async def test_what_a_thread_raises_is_raised_where_it_is_awaited(task: Any) -> None:
    one = task("""
        import asyncio, contextvars
        name = contextvars.ContextVar("name", default="none")
        def work():
            raise LookupError(name.get())
        async def main():
            name.set("set")
            try:
                await asyncio.to_thread(work)
            except LookupError as error:
                return str(error)
    """)
    await one.start()
    assert one.result == "set"


async def test_async_generators_and_context_variables(task: Any) -> None:
    one = task("""
        import asyncio, contextvars
        from contextlib import asynccontextmanager
        who = contextvars.ContextVar("who")
        async def numbers(count):
            try:
                for n in range(count):
                    yield await call_host_tool("s", "m", [n, who.get()])
            finally:
                await call_host_tool("s", "closed", who.get())
        @asynccontextmanager
        async def named(name):
            token = who.set(name)
            yield
            who.reset(token)
        async def main():
            found = []
            async with named("a"):
                async for item in numbers(5):
                    found.append(item)
                    if len(found) == 2:
                        break
            return found
    """)
    assert await one.finish_all(value) == [[0, "a"], [1, "a"]]
    assert one.made == ["s.m", "s.m", "s.closed"]


LETS_GO = {
    "a generator": "generates = cleaning()\n            await anext(generates)",
    "a task": "asyncio.create_task(waiting(asyncio.Queue()))\n            await asyncio.sleep(0)",
}


@pytest.mark.parametrize("lets_go", LETS_GO)
async def test_it_does_not_matter_when_the_garbage_collector_comes(task: Any, lets_go: str) -> None:
    one = task(f"""
        import asyncio
        async def cleaning():
            try:
                yield
            finally:
                await call_host_tool("s", "clean")
        async def waiting(queue):
            try:
                await queue.get()
            finally:
                await call_host_tool("s", "clean")
        async def lets_go():
            try:
                {LETS_GO[lets_go].replace(chr(10), chr(10) + "    ")}
                raise ValueError
            except ValueError as error:
                kept = error
        async def main():
            await lets_go()
            for n in range(3):
                await call_host_tool("s", "m", n)
            return "done"
    """)
    await one.start()
    for collected in (1, 2, None):
        await one.start()
        if collected is None:
            gc.collect()
        await one.finish(len(one.made))
        if collected == 2:
            gc.collect()
    assert one.made == ["s.m", "s.m", "s.m", "s.clean"]
    await one.start()
    await one.finish(4)
    assert one.result == "done"


async def test_generators_that_are_left_behind_are_closed_in_the_order_in_which_they_were_begun(task: Any) -> None:
    one = task("""
        async def cleaning(n):
            try:
                yield
            finally:
                await call_host_tool("s", "clean", n)
        left = [cleaning(n) for n in range(20)]
        async def main():
            for generates in left:
                await anext(generates)
    """)
    await one.start()
    assert [call.input for call in one.open_calls.values()] == [*range(20)]


async def test_what_the_task_leaves_behind_is_cancelled_as_asyncio_run_does_it(task: Any) -> None:
    one = task("""
        import asyncio
        async def forever():
            try:
                await call_host_tool("s", "never")
            finally:
                await call_host_tool("s", "clean")
        async def main():
            asyncio.create_task(forever())
            await asyncio.sleep(0)
            return "done"
    """)
    turn = await one.start()
    assert turn.ending is None
    assert turn.settled[1].status == "cancelled"
    await one.finish(2)
    assert one.result == "done"


@pytest.mark.parametrize("left_behind", ["asyncio.create_task(begun())", "await anext(generates)"])
async def test_a_cancel_comes_too_late_for_a_task_that_cleans_up_what_it_leaves_behind(
    task: Any, left_behind: str
) -> None:
    one = task(f"""
        import asyncio
        async def cleaning():
            try:
                yield
            finally:
                await call_host_tool("s", "clean")
                await call_host_tool("s", "more")
        generates = cleaning()
        async def begun():
            async for _ in generates:
                try:
                    await asyncio.Event().wait()
                finally:
                    await generates.aclose()
        async def main():
            {left_behind}
            await asyncio.sleep(0)
            return "done"
    """)
    await one.start()
    await one.cancel()
    assert list(one.open_calls) == [1]
    await one.finish(1)
    await one.start()
    await one.finish(2)
    assert one.result == "done"


async def test_a_generator_exit_that_a_task_raises_is_but_how_it_ends(task: Any) -> None:
    one = task("async def main():\n    await call_host_tool('s', 'm')\n    raise GeneratorExit('out')")
    await one.start()
    await one.finish(1)
    assert (one.error["type"], one.error["message"]) == ("GeneratorExit", "out")


async def test_a_deadlock_fails_with_the_line_that_waits(task: Any) -> None:
    one = task("""
        import asyncio
        async def main():
            await call_host_tool("s", "m")
            await asyncio.Event().wait()
    """)
    await one.start()
    await one.finish(1)
    assert one.error["type"] == "TaskError"
    assert "can never happen" in one.error["message"]
    assert "line 5" in one.error["message"]


@pytest.mark.skipif(not hasattr(asyncio, "eager_task_factory"), reason="since Python 3.12")
async def test_eager_tasks_run_at_once_and_are_taken_down_like_others(task: Any, caplog: Any) -> None:
    one = task("""
        import asyncio
        async def main():
            asyncio.get_running_loop().set_task_factory(asyncio.eager_task_factory)
            first = asyncio.create_task(call_host_tool("s", "first"))
            await call_host_tool("s", "second")
            await first
    """)
    turn = await one.start()
    assert [call.operation for call in turn.calls] == ["s.first", "s.second"]
    await one.start()
    await one.finish(2)
    await one.close()
    assert caplog.records == []
