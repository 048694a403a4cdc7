"""What a task calls, and what comes back."""

from __future__ import annotations

import re
from typing import Any

import pytest

import sequential_adaptor.task
from sequential_adaptor.errors import TaskError

FALSY = [0, False, "", [], {}, None, 0.0, -0.0]
VALUES = [*FALSY, 2**200, "ünï💥", [1, [2, {"a": None}]], {"b": 1, "a": 2}]


def value(call: Any) -> Any:
    return call.input


@pytest.mark.parametrize("given", VALUES, ids=repr)
async def test_any_json_value_survives_as_input_argument_result_and_event(task: Any, given: Any) -> None:
    one = task(
        """
        async def main(input):
            a = await call_host_tool("s", "m", input)
            b = await step(lambda x: x, input)
            c = await wait_for_event("e")
            d = await run_task("other", input)
            return [input, a, b, c, d]
    """,
        given,
    )
    await one.start()
    for again in (False, True):
        if again:
            await one.start()
    await one.perform(1, value)
    await one.perform(2)
    await one.event("e", given)
    await one.perform(4, value)
    assert repr(one.result) == repr([given] * 5)


async def test_what_a_task_does_to_a_value_is_seen_by_nobody_else(task: Any) -> None:
    one = task(
        """
        async def main(input):
            args = {"list": [1]}
            answer = await call_host_tool("s", "m", args)
            args["list"].append(2)
            answer.append("changed")
            input.append("changed")
            again = await step(change, args)
            event = await wait_for_event("e")
            event.append("changed")
            return [args, answer, again]
        def change(args):
            args["list"].append(3)
            return args
    """,
        ["input"],
    )
    await one.start()
    assert one.stored["run.1"].input == {"list": [1]}
    await one.finish(1, ["answer"])
    await one.perform(2)
    await one.event("e", ["event"])
    assert one.input == ["input"]
    assert one.stored["run.1"].result == ["answer"]
    assert one.stored["run.2"].input == [{"list": [1, 2]}]
    assert one.stored["run.3"].result == ["event"]
    assert one.result[0] == {"list": [1, 2]}
    assert one.result[2] == {"list": [1, 2, 3]}


async def test_a_task_gets_copies_of_what_the_engine_keeps(task: Any) -> None:
    one = task(
        """
        async def main(input):
            input.append("changed")
            (await call_host_tool("s", "m")).append("changed")
            (await wait_for_event("e")).append("changed")
    """,
        [],
    )
    await one.start()
    outcome = one._outcome(1, 1, status="completed", result=[])
    await one.session.take(outcome)
    event = outcome.replace(id="e", sequence=None, operation="event:e", result=[])
    turn = await one.session.take(event)
    assert turn.ending is not None
    assert (outcome.result, event.result, turn.settled[2].result, one.input) == ([], [], [], [])


async def test_fetch_sends_a_request_and_gives_a_response(task: Any) -> None:
    one = task("""
        async def main():
            r = await fetch("https://api.test/users?x=1", params={"tag": ["a", "b"], "on": True, "no": None},
                            json={"name": "Ä"}, method="post", headers={"X-One": "1"}, timeout=5, attempts=2)
            return [r.status_code, r.ok, r.headers["CONTENT-TYPE"], r.text, r.json(), r.url, r.raise_for_status() is r]
    """)
    turn = await one.start()
    assert turn.calls[0].operation == "fetch"
    assert turn.calls[0].options == {"timeout": 5, "attempts": 2}
    assert turn.calls[0].input == {
        "method": "POST",
        "url": "https://api.test/users?x=1&tag=a&tag=b&on=true",
        "headers": [["x-one", "1"], ["content-type", "application/json"]],
        "body": '{"name":"Ä"}',
    }
    answer = {
        "status": 201,
        "headers": [["content-type", "application/json"]],
        "body": '{"id": 0}',
        "url": "https://api.test/u",
    }
    await one.finish(1, answer)
    assert one.result == [201, True, "application/json", '{"id": 0}', {"id": 0}, "https://api.test/u", True]


@pytest.mark.parametrize(
    ("arguments", "body", "kind"),
    [
        ("data={'a': 'x y', 'b': [1, 2]}", "a=x+y&b=1&b=2", "application/x-www-form-urlencoded"),
        ("data='text'", "text", "text/plain; charset=utf-8"),
        ("data=b'\\xff'", {"base64": "/w=="}, None),
        ("json=0", "0", "application/json"),
        ("json=False, headers={'content-type': 'application/vnd.x+json'}", "false", "application/vnd.x+json"),
        ("", None, None),
    ],
)
async def test_bodies_of_fetch(task: Any, arguments: str, body: Any, kind: str | None) -> None:
    one = task(f"async def main():\n    await fetch('http://h/', {arguments})")
    turn = await one.start()
    assert turn.calls[0].input["body"] == body
    assert dict(turn.calls[0].input["headers"]).get("content-type") == kind


@pytest.mark.parametrize(
    "call",
    ["fetch('ftp://h/')", "fetch('nonsense')", "fetch('http://h', json=1, data='x')", "fetch('http://h', json={1})"],
)
async def test_what_can_be_no_request_fails_at_the_line(task: Any, call: str) -> None:
    one = task(f"async def main():\n    await {call}")
    await one.start()
    assert one.error["type"] in ("ValueError", "TypeError", "InvalidValue")
    assert "line 2, in main" in one.error["traceback"]


async def test_a_failed_fetch_raises_and_an_answer_of_500_does_not(task: Any) -> None:
    one = task("""
        from sequential_adaptor import ServiceError
        async def main():
            try:
                await fetch("http://h/")
            except ServiceError as error:
                first = [error.type, str(error), error.retryable, error.status_code]
            r = await fetch("http://h/")
            try:
                r.raise_for_status()
            except ServiceError as error:
                return [first, r.ok, error.status_code, str(error)]
    """)
    await one.start()
    await one.fail(1, {"type": "httpx.ConnectTimeout", "message": "too slow", "retryable": True})
    await one.finish(2, {"status": 503, "headers": [], "body": None, "url": "http://h/"})
    assert one.result == [
        ["httpx.ConnectTimeout", "too slow", True, None],
        False,
        503,
        "503 Service Unavailable from http://h/",
    ]


async def test_a_service_error_is_raised_at_the_line_of_the_call(task: Any) -> None:
    one = task("""
        async def main():
            return await __callHostTool__("users", "get", {"id": 1}, attempts=3)
    """)
    turn = await one.start()
    assert turn.calls[0].options == {"attempts": 3}
    await one.fail(1, {"type": "NotFound", "message": "no user 1", "status_code": 404})
    assert one.error["type"] == "NotFound"
    assert one.error["message"] == "no user 1"
    assert (
        'line 3, in main\n    return await __callHostTool__("users", "get", {"id": 1}, attempts=3)'
        in one.error["traceback"]
    )
    assert "sequential_adaptor/" not in one.error["traceback"]


@pytest.mark.parametrize("name", ["a.b", "a:b", ""])
async def test_names_of_services_are_plain(task: Any, name: str) -> None:
    one = task(f"async def main():\n    await call_host_tool({name!r}, 'm')")
    await one.start()
    assert one.error["type"] == "ValueError"


@pytest.mark.parametrize(
    ("error", "caught"),
    [
        ("ValueError('bad', 1)", "ValueError"),
        ("KeyError('name')", "KeyError"),
        ("FileNotFoundError(2, 'gone')", "FileNotFoundError"),
        ("Own('mine')", "Own"),
        ("json.JSONDecodeError('x', 'doc', 0)", "CallFailed"),
        ("decimal.InvalidOperation('x')", "InvalidOperation"),
        ("Picky(1, 2)", "CallFailed"),
        ("Missing('ada')", "Missing"),
        ("Stubborn('ada')", "Stubborn"),
        ("urllib.error.URLError('timed out')", "URLError"),
    ],
)
async def test_what_a_step_raises_comes_back_as_its_type_where_that_can_be(task: Any, error: str, caught: str) -> None:
    one = task(f"""
        import decimal, json, urllib.error
        class Own(Exception): pass
        class Picky(Exception):
            def __init__(self, a, b): super().__init__(a)
        class Missing(Exception):
            def __init__(self, name):
                super().__init__(f"nobody is called {{name}}")
                self.name = name
        class Stubborn(Exception):
            def __str__(self): return f"nobody is called {{self.args[0]}}"
        def work():
            raise {error}
        async def main():
            try:
                await step(work)
            except Exception as error:
                assert type(error).__name__ == "CallFailed" or isinstance(error, type({error}))
                assert hasattr(error, "name") == isinstance(error, Missing)
                return [type(error).__name__, isinstance(error, Own), str(error)]
    """)
    await one.start()
    assert one.made == ["step:work"]
    await one.perform(1)
    assert one.result[:2] == [caught, caught == "Own"]
    if caught == "KeyError":
        assert one.result[2] == "'name'"
    if caught == "URLError":
        assert one.result[2] == "<urlopen error timed out>"
    if "ada" in error:
        assert one.result[2] == "nobody is called ada"


async def test_steps_are_async_or_not_named_by_their_function_and_run_on_the_workers_loop(task: Any) -> None:
    one = task("""
        import asyncio
        from functools import partial
        async def main():
            async def inner(x):
                await asyncio.sleep(0)
                return [x, "TaskLoop" in type(asyncio.get_running_loop()).__name__]
            class Tool:
                def method(self, x): return [x]
                def __call__(self): return "called"
            first = [await step(inner, 1), await step(Tool().method, 2)]
            return [*first, await step(partial(inner, 3)), await step(Tool())]
    """)
    assert await one.finish_all() == [[1, False], [2], [3, False], "called"]
    assert one.made == ["step:inner", "step:Tool.method", "step:inner", "step:Tool"]


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("{'a': [1, {2}]}", r"\$\[0\]\.a\[1\]: a set"),
        ("(n for n in [1])", "use list"),
        ("again", r"\$(\[0\]){10}\.\.\.(\[0\]){10}: nested deeper than 200 levels, or within itself"),
    ],
)
async def test_arguments_of_a_step_are_json(task: Any, value: str, said: str) -> None:
    one = task(f"async def main():\n    again = []\n    again.append(again)\n    await step(print, {value})")
    await one.start()
    assert one.error["type"] == "InvalidValue"
    assert re.search(said, one.error["message"])
    assert "step print must be JSON" in one.error["message"]


async def test_a_task_that_yields_is_told_to_return(task: Any) -> None:
    one = task("async def main():\n    yield 1")
    await one.start()
    assert "an async generator is not JSON; make a list of it, or use `return`" in one.error["message"]


async def test_a_pause_is_a_call_that_its_timer_ends(task: Any) -> None:
    one = task("""
        from datetime import timedelta, datetime
        async def main():
            before = datetime.now()
            await sleep(timedelta(days=30))
            await sleep(0)
            return (datetime.now() - before).days
    """)
    turn = await one.start()
    assert turn.calls[0].operation == "sleep"
    assert turn.deadline is not None
    await one.start()
    turn = await one.timer()
    assert one.result == 30
    assert [turn.settled[n].status for n in (1, 2)] == ["completed", "completed"]


async def test_a_pause_that_is_cancelled_leaves_no_timer(task: Any) -> None:
    one = task("""
        import asyncio
        async def main():
            nap = asyncio.create_task(sleep(100))
            await call_host_tool("s", "m")
            nap.cancel()
            await call_host_tool("s", "m")
    """)
    await one.start()
    turn = await one.finish(1)
    assert turn.deadline is None
    assert turn.settled[2].status == "cancelled"


async def test_events_go_first_in_first_out_and_early_ones_are_kept(task: Any) -> None:
    one = task("""
        import asyncio
        async def main():
            await call_host_tool("s", "m")
            first = await wait_for_event("a")
            both = await asyncio.gather(wait_for_event("a"), wait_for_event("a"), wait_for_event("b"))
            return [first, *both]
    """)
    await one.start()
    await one.event("a", 0)
    await one.event("other")
    turn = await one.finish(1)
    assert turn.settled[2].result == 0
    await one.event("a", False)
    await one.event("b", None)
    await one.start()
    turn = await one.event("a", "")
    assert one.result == [0, False, "", None]


async def test_waiting_for_an_event_may_take_too_long(task: Any) -> None:
    one = task("""
        from datetime import timedelta
        async def main():
            try:
                await wait_for_event("go", timeout=timedelta(minutes=1))
            except TimeoutError as error:
                return [str(error), await wait_for_event("go")]
    """)
    await one.start()
    turn = await one.timer()
    assert turn.settled[1].status == "failed"
    assert turn.settled[1].error["type"] == "TimeoutError"
    await one.event("go", 1)
    assert one.result == ["no event 'go' within 60 s", 1]


async def test_a_wait_that_is_given_up_takes_no_event(task: Any) -> None:
    one = task("""
        import asyncio
        async def main():
            try:
                await asyncio.wait_for(wait_for_event("go"), 5)
            except TimeoutError:
                return await wait_for_event("go")
    """)
    await one.start()
    await one.timer()
    await one.event("go", "later")
    assert one.result == "later"


async def test_child_tasks_give_results_and_raise_how_they_ended(task: Any) -> None:
    one = task("""
        from sequential_adaptor import TaskFailed, TaskCancelled
        async def main():
            found = [await run_task("child", {"a": 1}, id="mine"), await run_task("child", detached=True)]
            for _ in range(2):
                try:
                    await run_task("child")
                except (TaskFailed, TaskCancelled) as error:
                    found += [type(error).__name__, error.run_id, getattr(error, "error", None)]
            return found
    """)
    turn = await one.start()
    assert turn.calls[0].operation == "task:child"
    assert (turn.calls[0].input, turn.calls[0].options) == ({"a": 1}, {"id": "mine"})
    await one.finish(1, "result")
    await one.finish(2, "the id")
    cause = {"type": "ValueError", "message": "bad"}
    await one.fail(3, {"type": "TaskFailed", "run": "x", "message": "bad", "cause": cause})
    await one.fail(4, {"type": "TaskCancelled", "run": "y", "message": "", "cause": None})
    assert one.result == ["result", "the id", "TaskFailed", "x", cause, "TaskCancelled", "y", None]


async def test_cancel_reaches_the_task_once_and_it_may_clean_up(task: Any) -> None:
    one = task("""
        async def main():
            try:
                await call_host_tool("s", "work")
            finally:
                await call_host_tool("s", "clean")
    """)
    await one.start()
    turn = await one.cancel()
    assert turn.settled[1].status == "cancelled"
    assert turn.ending is None
    await one.start()
    await one.finish(2)
    assert one.ending.status == "cancelled"


async def test_a_second_cancel_does_nothing(task: Any) -> None:
    one = task("""
        async def main():
            try:
                await call_host_tool("s", "work")
            finally:
                await call_host_tool("s", "clean")
    """)
    await one.start()
    await one.cancel()
    turn = await one.cancel()
    assert turn.ending is None
    await one.finish(2)
    assert one.ending.status == "cancelled"


async def test_a_task_may_refuse_to_be_cancelled(task: Any) -> None:
    one = task("""
        import asyncio
        async def main():
            try:
                await asyncio.sleep(1000)
            except asyncio.CancelledError:
                return "done anyway"
    """)
    await one.start()
    await one.cancel()
    assert one.result == "done anyway"


async def test_a_call_cancelled_from_outside_is_an_error_one_can_catch(task: Any) -> None:
    one = task("""
        from sequential_adaptor import CallFailed
        async def main():
            try:
                await call_host_tool("s", "m")
            except CallFailed as error:
                return [error.type, str(error)]
    """)
    await one.start()
    await one.take(one._outcome(1, 1, status="cancelled"))
    assert one.result == ["CancelledError", "s.m was cancelled"]


async def test_the_log_has_each_line_once(task: Any) -> None:
    one = task("""
        import sys
        async def main():
            print("one", 2, sep="-", end="")
            log("|", {"a": 1})
            print("to stderr", file=sys.stderr)
            await call_host_tool("s", "m")
            print("two\\nthree \\ud800")
            await step(lambda: print("in the step"))
            print("unfinished", end="")
    """)
    await one.start()
    await one.start()
    await one.finish(1)
    await one.start()
    await one.perform(2)
    assert one.log == ["one-2| {'a': 1}", "to stderr", "two", "three \\ud800", "in the step", "unfinished"]


async def test_print_of_libraries_and_into_other_files_is_left_alone(task: Any, capsys: Any) -> None:
    one = task(
        """
        import io, this_is_own, pprint
        async def main():
            buffer = io.StringIO()
            print("x", file=buffer)
            return [buffer.getvalue(), this_is_own.say()]
    """,
        modules={"this_is_own": "def say():\n    print('module')\n    return 1\n"},
    )
    await one.start()
    assert one.result == ["x\n", 1]
    assert one.log == ["module"]


@pytest.mark.parametrize("name", [n for n in sequential_adaptor.task.__all__ if n not in ("Response", "Headers")])
async def test_outside_of_a_task_they_say_so(name: str) -> None:
    function = getattr(sequential_adaptor.task, name)
    arguments = {
        "fetch": ("http://h",),
        "call_host_tool": ("s", "m"),
        "step": (print,),
        "sleep": (1,),
        "run_task": ("t",),
    }
    given = arguments.get(function.__name__, ("x",))
    with pytest.raises(TaskError, match="inside a running task only"):
        await function(*given)
