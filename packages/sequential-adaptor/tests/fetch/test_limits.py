"""What a task must not do, and the error that it gets; what taking a task down must not do."""

from __future__ import annotations

import asyncio
import builtins
import gc
import logging
import sys
import threading
import warnings
from typing import Any

import pytest

from sequential_adaptor.records import StackRun
from sequential_adaptor.runners.fetch import FetchRunner

# ---- non-determinism


async def changed(task: Any, before: str, after: str, steps: int = 1, **options: Any) -> Any:
    """Run ``steps`` calls of one version of the code, and replay them with another."""
    one = task(before, **options)
    await one.start()
    for sequence in range(1, steps + 1):
        await one.finish(sequence)
    again = task(after, **options)
    again.stored, again.state = one.stored, one.state
    await again.start()
    return again


ONE_CALL = "async def main():\n    await call_host_tool('s', 'm', {0})\n    await call_host_tool('s', 'last')"


@pytest.mark.parametrize(
    ("after", "message"),
    [
        (ONE_CALL.format("2"), ["call 1 is now `s.m 2`", "was `s.m 1` when it was recorded", "line 2"]),
        (ONE_CALL.format("1").replace("'last'", "'other'"), ["call 2 is now `s.other`", "was `s.last`", "line 3"]),
        ("async def main():\n    await fetch('http://h/')", ["`fetch GET http://h/`", "was `s.m 1`"]),
        (ONE_CALL.format("1").rpartition("\n")[0], ["call 2, `s.last`, was recorded, and is not made now"]),
        (
            "import asyncio\nasync def main():\n    await asyncio.sleep(5)",
            ["call 1, `s.m 1`, was recorded", "not made now"],
        ),
    ],
)
async def test_a_call_that_differs_from_the_recorded_one_is_named_with_both_and_the_line(
    task: Any, after: str, message: list[str]
) -> None:
    again = await changed(task, ONE_CALL.format("1"), after)
    assert again.error["type"] == "NonDeterminismError"
    for part in message:
        assert part in again.error["message"]
    assert "Neither Python nor a module" in again.error["message"]


async def test_what_has_changed_besides_is_named(task: Any, tmp_path: Any, monkeypatch: Any) -> None:
    (tmp_path / "its_rules.py").write_text("which = 1\n")
    monkeypatch.syspath_prepend(tmp_path)
    code = "import its_rules\nasync def main():\n    await call_host_tool('s', 'm', its_rules.which)"
    one = task(code)
    await one.start()
    await one.close()
    (tmp_path / "its_rules.py").write_text("which = 22\n")
    del sys.modules["its_rules"]
    one.state["python"] = "3.1.4"
    await one.start()
    assert "Changed since then: Python (3.1.4 then" in one.error["message"]
    assert "its_rules" in one.error["message"]
    del sys.modules["its_rules"]


async def test_no_except_exception_swallows_it(task: Any) -> None:
    again = await changed(
        task,
        ONE_CALL.format("1"),
        "async def main():\n    try:\n        await call_host_tool('s', 'other')\n"
        "    except Exception:\n        return 'swallowed'",
    )
    assert again.error["type"] == "NonDeterminismError"


async def test_headers_durations_and_boundaries_are_no_part_of_a_call(task: Any) -> None:
    before = """
        import httpx
        async def main():
            async with httpx.AsyncClient() as c:
                await c.post("http://h/", files={"f": b"data"}, headers={"x": "1"}, timeout=1)
            await sleep(5)
            await wait_for_event("go", timeout=5)
            await call_host_tool("s", "m", timeout=1)
    """
    one = task(before)
    await one.start()
    await one.finish(1, {"status": 200, "headers": [], "body": None, "url": "http://h/"})
    after = before.replace('"x": "1"', '"x": "2"').replace("timeout=1", "timeout=2").replace("sleep(5)", "sleep(6)")
    again = task(after)
    again.stored, again.state = one.stored, one.state
    await again.start()
    assert again.ending is None
    assert list(again.open_calls) == [2]
    again = task(before.replace('b"data"', 'b"other"'))
    again.stored, again.state = one.stored, one.state
    await again.start()
    assert again.error["type"] == "NonDeterminismError"


# ---- limits


async def test_a_history_is_warned_about_and_then_refused(task: Any, caplog: Any) -> None:
    short = FetchRunner(warn_calls=2, max_calls=4)
    one = task(
        """
        async def main():
            while True:
                try:
                    await call_host_tool("s", "m")
                except Exception:
                    pass
    """,
        of=short,
    )
    await one.start()
    for sequence in range(1, 5):
        await one.finish(sequence)
    assert one.error["type"] == "TaskError"
    assert "has made 4 calls" in one.error["message"]
    assert "line 5" in one.error["message"]
    assert [record.message for record in caplog.records if "has made 2 calls" in record.message]
    await short.dispose()


async def test_a_task_that_blocks_its_thread_is_named_with_its_line_and_others_go_on(task: Any, caplog: Any) -> None:
    one = task("""
        from importlib import import_module
        async def main():
            import_module("time").sleep(3)
    """)
    two = task("async def main():\n    return 1")
    slow = asyncio.create_task(one.start())
    await asyncio.sleep(0.01)
    await two.start()
    assert two.result == 1
    assert not slow.done()
    await slow
    lines = [record.message for record in caplog.records if "blocks its thread" in record.message]
    assert len(lines) == 1
    assert "line 4" in lines[0]


async def test_more_tasks_than_threads_take_turns(task: Any) -> None:
    few = FetchRunner(threads=2)
    ones = [
        task(
            "from importlib import import_module\nasync def main():\n"
            f"    import_module('time').sleep(0.01)\n    return {n}",
            of=few,
        )
        for n in range(12)
    ]
    await asyncio.gather(*(one.start() for one in ones))
    assert [one.result for one in ones] == list(range(12))
    assert sum(thread.name == "sequential-task" and thread.is_alive() for thread in threading.enumerate()) >= 2
    await few.dispose()


async def test_threads_of_libraries_cannot_move_the_loop(task: Any) -> None:
    one = task("""
        import asyncio, threading
        from importlib import import_module
        errors = []
        def call_back(loop, event):
            try:
                loop.call_soon_threadsafe(event.set)
            except Exception as error:
                errors.append(type(error).__name__)
        async def main():
            event = asyncio.Event()
            thread = threading.Thread(target=call_back, args=(asyncio.get_running_loop(), event))
            thread.start()
            thread.join()
            if errors:
                return errors
            await event.wait()
    """)
    await one.start()
    assert one.result == ["NotDurable"]


@pytest.mark.parametrize("waits", [True, False])
async def test_waiting_in_a_thread_for_what_the_loop_does_is_refused_and_not_waited_for(task: Any, waits: bool) -> None:
    one = task(
        """
        import asyncio
        async def work():
            return await call_host_tool("s", "m")
        async def main(waits):
            loop = asyncio.get_running_loop()
            def begin():
                future = asyncio.run_coroutine_threadsafe(work(), loop)
                return future.result() if waits else future
            begun = await asyncio.to_thread(begin)
            while not begun.done():
                await asyncio.sleep(1)
            return begun.result()
    """,
        waits,
    )
    await one.start()
    if waits:
        assert one.error["type"] == "NotDurable"
        assert "line 9: the loop of a task stands still" in one.error["message"]
    else:
        await one.finish(1, "answer")
        await one.timer()
        assert one.result == "answer"


async def test_what_a_loop_in_a_thread_of_its_own_does_can_be_waited_for(task: Any) -> None:
    one = task("""
        import asyncio, threading
        async def work():
            await asyncio.sleep(0.05)
            return 5
        async def main():
            other = asyncio.new_event_loop()
            thread = threading.Thread(target=other.run_forever)
            thread.start()
            def wait():
                return asyncio.run_coroutine_threadsafe(work(), other).result()
            try:
                return [wait(), await asyncio.to_thread(wait)]
            finally:
                other.call_soon_threadsafe(other.stop)
                thread.join()
                other.close()
    """)
    await one.start()
    assert one.result == [5, 5]


async def test_a_call_on_another_loop_is_refused(task: Any) -> None:
    one = task("""
        import asyncio
        def elsewhere():
            asyncio.run(call_host_tool("s", "m"))
        async def main():
            await asyncio.to_thread(elsewhere)
    """)
    await one.start()
    assert one.error["type"] == "NotDurable"
    assert "another loop" in one.error["message"]


async def test_an_error_that_nobody_awaits_is_in_the_log(task: Any) -> None:
    one = task("""
        import asyncio, gc
        async def fails():
            raise ValueError("lost")
        async def main():
            asyncio.create_task(fails())
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            gc.collect()
            await call_host_tool("s", "m")
    """)
    await one.start()
    assert any("never retrieved: ValueError: lost" in line for line in one.log)


# ---- taking down


async def test_taking_a_task_down_has_no_effects_and_makes_no_noise(task: Any, caplog: Any, capsys: Any) -> None:
    code = """
        import asyncio
        from contextlib import asynccontextmanager
        async def numbers():
            try:
                yield 1
                await call_host_tool("s", "m")
            finally:
                print("closing")
                await call_host_tool("s", "close")
        @asynccontextmanager
        async def held():
            try:
                yield
            finally:
                await asyncio.sleep(1)
                await step(print, "never")
        async def worker():
            try:
                await asyncio.Event().wait()
            except BaseException:
                await asyncio.sleep(5)
                raise
        async def swallows():
            while True:
                try:
                    await asyncio.sleep(100)
                except GeneratorExit:
                    await asyncio.sleep(1)
                except Exception:
                    pass
        async def main():
            tasks = [asyncio.ensure_future(x) for x in (worker(), asyncio.shield(worker()), swallows())]
            never_awaited = asyncio.ensure_future(asyncio.gather(*tasks))
            async with held():
                async for n in numbers():
                    print("open")
                    try:
                        await call_host_tool("s", "m")
                    finally:
                        log("finally")
                        await fetch("http://h/")
    """
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        one = task(code)
        await one.start()
        before = dict(one.stored)
        await one.close()
        del one.session
        one.session = None
        gc.collect()
    assert one.log == ["open"]
    assert one.stored == before
    assert [str(w.message) for w in caught] == []
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(
    "code",
    [
        "for each in [call_host_tool('s', 'm', n) for n in range(5)]:\n    await each",
        "kept = {'later': {n: [call_host_tool('s', 'm')] for n in range(3)}}\nawait sleep(1)",
        "async def main():\n    a = [sleep(1)]\n    async def b():\n        a, await sleep(1)\n    await b()",
        "import asyncio\nasync def main():\n    await asyncio.gather(sleep(1), *(sleep(n) for n in range(3)))",
    ],
)
async def test_calls_that_were_made_ready_and_not_awaited_cause_no_warning(task: Any, code: str) -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        one = task(code)
        await one.start()
        assert one.ending is None
        await one.close()
        gc.collect()
    assert [str(warning.message) for warning in caught] == []


async def test_a_failed_task_is_taken_down_just_as_quietly(task: Any, caplog: Any) -> None:
    one = task("""
        import asyncio
        async def main():
            asyncio.create_task(asyncio.Event().wait())
            await call_host_tool("s", "m")
    """)
    one.stored["run.1"] = StackRun(id="run.1", sequence=1, operation="other.call", status="in_progress")
    await one.start()
    assert one.error["type"] == "NonDeterminismError"
    await one.close()
    gc.collect()
    assert caplog.records == []


async def test_a_handler_of_lost_errors_hears_nothing_of_a_task_that_is_taken_down(task: Any) -> None:
    one = task("""
        import asyncio, builtins
        async def main():
            builtins.heard = []
            asyncio.get_running_loop().set_exception_handler(lambda loop, context: builtins.heard.append(context))
            await asyncio.gather(*(call_host_tool("s", "m") for _ in range(3)))
    """)
    await one.start()
    await one.close()
    del one
    gc.collect()
    assert builtins.heard == []  # type: ignore[attr-defined]
    del builtins.heard  # type: ignore[attr-defined]


async def test_closing_twice_and_using_a_closed_session(task: Any) -> None:
    one = task("async def main():\n    await call_host_tool('s', 'm')")
    await one.start()
    session = one.session
    await session.close()
    await session.close()
    with pytest.raises(RuntimeError, match="not open"):
        await session.take(one._outcome(1, 1, status="completed"))


async def test_a_turn_whose_awaiting_is_cancelled_ends_before_the_next(task: Any) -> None:
    one = task(
        "from importlib import import_module\nasync def main():\n    import_module('time').sleep(0.2)\n    return 5"
    )
    starting = asyncio.create_task(one.start())
    await asyncio.sleep(0.05)
    starting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await starting
    await one.close()


async def test_import_of_the_host_names_is_light() -> None:
    code = (
        "import sys; before = set(sys.modules); import sequential_adaptor.task; new = set(sys.modules) - before;"
        "assert not {'asyncio', 'httpx', 'json', 'urllib.parse', 'http', 'dataclasses'} & new, sorted(new)"
    )
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", code)
    assert await process.wait() == 0
    code = (
        "import sys; from sequential_adaptor.runners.fetch.runner import FetchRunner; assert 'httpx' not in sys.modules"
    )
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", code)
    assert await process.wait() == 0
