"""Requests of httpx and httpx2 inside a task are durable calls, and everything else about them is as it was."""

from __future__ import annotations

import gzip
import json
from importlib.util import find_spec
from typing import Any

import httpx
import pytest

HTTPX2 = pytest.param("httpx2", marks=pytest.mark.skipif(find_spec("httpx2") is None, reason="httpx2 is not installed"))
LIBRARIES = pytest.mark.parametrize("library", ["httpx", HTTPX2])


@LIBRARIES
async def test_a_request_of_an_async_client_is_a_call(task: Any, api: Any, library: str) -> None:
    one = task(
        f"""
        import {library} as http
        async def main(url):
            async with http.AsyncClient(base_url=url, headers={{"x-one": "1"}}) as client:
                r = await client.post("/things", params={{"q": "a b"}}, json={{"n": 0}})
                return [type(r).__module__, r.status_code, r.json(), r.headers["content-type"], str(r.url),
                        r.http_version, r.elapsed.total_seconds() >= 0]
    """,
        api.url,
    )
    api.answer = lambda *_: (201, {"content-type": "application/json"}, b'{"id": 7}')
    turn = await one.start()
    call = turn.calls[0]
    assert call.operation == "httpx"
    assert not call.in_place
    assert call.input["method"] == "POST"
    assert call.input["url"] == f"{api.url}/things?q=a+b"
    assert json.loads(call.input["body"]) == {"n": 0}
    assert ["x-one", "1"] in call.input["headers"]
    assert call.options["timeout"]["connect"] == 5.0
    await one.start()
    await one.perform(1, api.send)
    assert one.result == [library, 201, {"id": 7}, "application/json", f"{api.url}/things?q=a+b", "HTTP/1.1", True]
    assert api.requests[0][2]["idempotency-key"] == "run.1"
    assert len(api.requests) == 1


@LIBRARIES
async def test_compressed_binary_empty_and_streamed_bodies(task: Any, api: Any, library: str) -> None:
    one = task(
        f"""
        import {library} as http
        async def upload():
            yield b"part one, "
            yield b"part two"
        async def main(url):
            async with http.AsyncClient(base_url=url) as client:
                zipped = (await client.get("/zip")).text
                binary = (await client.get("/bin")).content.hex()
                empty = (await client.head("/empty")).content.hex()
                up = (await client.put("/up", content=upload())).text
                lines = []
                async with client.stream("GET", "/lines") as response:
                    async for line in response.aiter_lines():
                        lines.append(line)
                return [zipped, binary, empty, up, lines]
    """,
        api.url,
    )
    answers = {
        "/zip": ({"content-encoding": "gzip"}, gzip.compress("grüße".encode())),
        "/bin": ({}, b"\x00\xff\xfe"),
        "/empty": ({}, b""),
        "/lines": ({}, b"a\nb\nc"),
    }
    api.answer = lambda method, target, headers, body: (200, *answers.get(target, ({}, b"got " + body)))
    assert await one.finish_all(api.send) == ["grüße", "00fffe", "", "got part one, part two", ["a", "b", "c"]]


@LIBRARIES
async def test_redirects_and_cookies_are_the_clients_own_and_each_hop_is_a_call(
    task: Any, api: Any, library: str
) -> None:
    one = task(
        f"""
        import {library} as http
        async def main(url):
            async with http.AsyncClient(base_url=url, follow_redirects=True) as client:
                r = await client.get("/a")
                return [r.text, [h.status_code for h in r.history], dict(client.cookies)]
    """,
        api.url,
    )

    def answer(method: str, target: str, headers: dict[str, str], body: bytes) -> Any:
        if target == "/a":
            return 302, {"location": "/b", "set-cookie": "seen=1"}, b""
        return 200, {}, headers.get("cookie", "no cookie").encode()

    api.answer = answer
    assert await one.finish_all(api.send) == ["seen=1", [302], {"seen": "1"}]
    assert one.made == ["httpx", "httpx"]


@LIBRARIES
@pytest.mark.parametrize(
    "name", ["ConnectTimeout", "ConnectError", "ReadTimeout", "RemoteProtocolError", "TooManyRedirects", "InvalidURL"]
)
async def test_errors_come_back_as_the_class_of_the_library_that_asked(task: Any, library: str, name: str) -> None:
    one = task(f"""
        import {library} as http
        async def main():
            async with http.AsyncClient() as client:
                try:
                    await client.get("http://h/")
                except http.{name} as error:
                    return [str(error), str(error.request.url) if isinstance(error, http.RequestError) else "http://h/"]
    """)
    await one.start()
    await one.fail(1, {"type": f"httpx.{name}", "message": "as it was"})
    assert one.result == ["as it was", "http://h/"]


async def test_an_error_that_is_not_the_librarys_is_a_failed_call(task: Any) -> None:
    one = task(
        "import httpx\nasync def main():\n    async with httpx.AsyncClient() as c:\n        await c.get('http://h/')"
    )
    await one.start()
    await one.fail(1, {"type": "SecretNotFound", "message": "no secret 'x'"})
    assert (one.error["type"], one.error["message"]) == ("SecretNotFound", "no secret 'x'")
    assert "in main" in one.error["traceback"]
    assert "sequential_adaptor/" not in one.error["traceback"]


@LIBRARIES
async def test_mock_and_asgi_transports_are_untouched(task: Any, library: str) -> None:
    one = task(f"""
        import {library} as http
        async def app(scope, receive, send):
            await send({{"type": "http.response.start", "status": 200, "headers": []}})
            await send({{"type": "http.response.body", "body": b"asgi"}})
        async def main():
            mock = http.MockTransport(lambda request: http.Response(200, text="mock"))
            asgi = http.ASGITransport(app=app)
            async with http.AsyncClient(transport=mock) as a, http.AsyncClient(transport=asgi) as b:
                return [(await a.get("http://h/")).text, (await b.get("http://h/")).text]
    """)
    await one.start()
    assert one.result == ["mock", "asgi"]
    assert one.made == []


async def test_outside_of_tasks_httpx_is_untouched(task: Any, api: Any) -> None:
    await task("import httpx\nasync def main(): 0").start()
    async with httpx.AsyncClient() as client:
        assert (await client.get(api.url)).text == "ok"
    one = task(
        """
        import httpx
        async def work(url):
            async with httpx.AsyncClient() as client:
                return (await client.get(url)).text
        def sync(url):
            return httpx.get(url).text
        async def main(url):
            return [await step(work, url), await step(sync, url)]
    """,
        api.url,
    )
    await one.start()
    await one.perform(1)
    import asyncio

    call = one.open_calls[2]
    await one.finish(2, await asyncio.to_thread(call.function))
    assert one.result == ["ok", "ok"]


SYNC = {
    "httpx.Client": "import httpx\nasync def main(url):\n    with httpx.Client() as c:\n        c.get(url)",
    "httpx.get": "import httpx\nasync def main(url):\n    httpx.get(url)",
    "requests": "import requests\nasync def main(url):\n    requests.get(url)",
    "urllib": "import urllib.request\nasync def main(url):\n    urllib.request.urlopen(url)",
    "socket": "import socket\nasync def main(url):\n    socket.create_connection(('127.0.0.1', 9))",
    "thread": "import asyncio, requests\nasync def main(url):\n    await asyncio.to_thread(requests.get, url)",
    "getaddrinfo": "import asyncio\nasync def main(url):\n    await asyncio.get_running_loop().getaddrinfo('h', 80)",
    "connection": "import asyncio\nasync def main(url):\n    await asyncio.open_connection('127.0.0.1', 9)",
    "subprocess": "import asyncio\nasync def main(url):\n    await asyncio.create_subprocess_exec('true')",
    "signal": "import asyncio\nasync def main(url):\n    asyncio.get_running_loop().add_signal_handler(2, print)",
    "run": "import subprocess\nasync def main(url):\n    subprocess.run(['true'])",
    "Popen": "import subprocess\nasync def main(url):\n    subprocess.Popen(['true'])",
    "system": "import os\nasync def main(url):\n    os.system('true')",
    "sleep": "import time\nasync def main(url):\n    time.sleep(1)",
    "stop": "import asyncio\nasync def main(url):\n    asyncio.get_running_loop().stop()",
}


@pytest.mark.parametrize("how", SYNC)
async def test_what_reaches_out_by_itself_is_refused_with_the_line_and_a_way_out(task: Any, api: Any, how: str) -> None:
    if "requests" in SYNC[how]:
        pytest.importorskip("requests")
    one = task(SYNC[how], api.url)
    await one.start()
    assert one.error["type"] == "NotDurable", one.error
    if how != "stop":
        line = SYNC[how].count("\n") + 1
        assert f"line {line}" in one.error["message"]
        assert "step(" in one.error["message"] or "asyncio.sleep" in one.error["message"]
    assert api.requests == []


async def test_a_client_with_certificates_of_its_own_is_used_in_place(task: Any, api: Any) -> None:
    one = task(
        """
        import httpx
        async def main(url):
            async with httpx.AsyncClient(verify=False) as client:
                first = await client.post(url, content=b"x")
                try:
                    await client.get("http://127.0.0.1:1/")
                except httpx.ConnectError as error:
                    return [first.text, type(error).__name__]
    """,
        api.url,
    )
    await one.start()
    assert one.open_calls[1].in_place
    await one.start()
    await one.perform(1)
    await one.perform(2)
    assert one.result == ["ok", "ConnectError"]
    assert api.requests[0][2]["idempotency-key"] == "run.1"


async def test_a_body_beyond_the_limit_is_refused(task: Any) -> None:
    from sequential_adaptor.runners.fetch import FetchRunner

    small = FetchRunner(max_body=10)
    one = task(
        """
        import httpx
        async def main():
            async with httpx.AsyncClient() as client:
                await client.put("http://h/", content=b"x" * 11)
    """,
        of=small,
    )
    await one.start()
    assert one.error["type"] == "NotDurable"
    assert "beyond 10 bytes" in one.error["message"]
    await small.dispose()


async def test_anyio_threads_work_inside_tasks(task: Any) -> None:
    pytest.importorskip("anyio")
    one = task("""
        import anyio, anyio.to_thread
        async def main():
            found = [await anyio.to_thread.run_sync(lambda: 7)]
            async with anyio.create_task_group() as group:
                async def child(n):
                    await anyio.sleep(n)
                    found.append(n)
                for n in (3, 1, 2):
                    group.start_soon(child, n)
            with anyio.move_on_after(5) as scope:
                await anyio.sleep(100)
            return [found, scope.cancelled_caught]
    """)
    assert await one.finish_all() == [[7, 1, 2, 3], True]


# ---- the SDKs as they are

COMPLETION = {
    "id": "c1",
    "object": "chat.completion",
    "created": 1,
    "model": "m",
    "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "hello"}}],
}
MESSAGE = {
    "id": "m1",
    "type": "message",
    "role": "assistant",
    "model": "m",
    "stop_reason": "end_turn",
    "stop_sequence": None,
    "content": [{"type": "text", "text": "hi there"}],
    "usage": {"input_tokens": 1, "output_tokens": 2},
}


def events(*items: Any) -> bytes:
    lines = [f"event: {item.get('type', 'message')}\n" + f"data: {json.dumps(item)}\n\n" for item in items]
    return "".join(lines).encode()


CHUNKS = [
    {
        "id": "c",
        "object": "chat.completion.chunk",
        "created": 1,
        "model": "m",
        "choices": [{"index": 0, "delta": {"content": text}, "finish_reason": None}],
    }
    for text in ("st", "ream")
]
PIECES = [
    {"type": "message_start", "message": {**MESSAGE, "content": [], "stop_reason": None}},
    {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "str"}},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "eam"}},
    {"type": "content_block_stop", "index": 0},
    {
        "type": "message_delta",
        "delta": {"stop_reason": "end_turn", "stop_sequence": None},
        "usage": {"output_tokens": 2},
    },
    {"type": "message_stop"},
]


class ModelApi:
    """Speaks as much of both APIs as the tests need; the first ``busy`` requests are refused with 429."""

    def __init__(self, busy: int = 0) -> None:
        self.busy = busy

    def __call__(self, method: str, target: str, headers: dict[str, str], body: bytes) -> Any:
        if self.busy:
            self.busy -= 1
            return 429, {"content-type": "application/json"}, b'{"error": {"message": "busy"}}'
        asked = json.loads(body)
        if asked.get("stream"):
            kind = {"content-type": "text/event-stream"}
            return 200, kind, events(*CHUNKS) + b"data: [DONE]\n\n" if "chat" in target else events(*PIECES)
        kind = {"content-type": "application/json"}
        return 200, kind, json.dumps(COMPLETION if "chat" in target else MESSAGE).encode()


OPENAI = """
    from openai import AsyncOpenAI
    async def main(url):
        client = AsyncOpenAI(api_key="sk-very-secret", base_url=url)
        ask = dict(model="m", messages=[{"role": "user", "content": "?"}])
        first = await client.chat.completions.create(**ask)
        text = ""
        async for chunk in await client.chat.completions.create(**ask, stream=True):
            text += chunk.choices[0].delta.content or ""
        return [first.choices[0].message.content, text]
"""
ANTHROPIC = """
    from anthropic import AsyncAnthropic
    async def main(url):
        client = AsyncAnthropic(api_key="sk-very-secret", base_url=url)
        ask = dict(model="m", max_tokens=9, messages=[{"role": "user", "content": "?"}])
        first = await client.messages.create(**ask)
        async with client.messages.stream(**ask) as stream:
            text = "".join([part async for part in stream.text_stream])
        return [first.content[0].text, text]
"""
SDKS = pytest.mark.parametrize(
    ("sdk", "code", "expected"),
    [("openai", OPENAI, ["hello", "stream"]), ("anthropic", ANTHROPIC, ["hi there", "stream"])],
)


@SDKS
async def test_an_sdk_killed_between_two_model_calls_does_not_send_the_first_again(
    task: Any, api: Any, sdk: str, code: str, expected: Any
) -> None:
    pytest.importorskip(sdk)
    one = task(code, api.url)
    api.answer = ModelApi()
    await one.start()
    await one.perform(1, api.send)
    assert len(api.requests) == 1
    await one.start()
    assert list(one.open_calls) == [2]
    await one.perform(2, api.send)
    assert one.result == expected
    assert len(api.requests) == 2
    assert all("sk-very-secret" in str(headers) for _, _, headers, _ in api.requests)
    assert "sk-very-secret" not in str([record.input for record in one.stored.values()])


@SDKS
async def test_an_sdks_own_retries_wait_on_the_tasks_clock(
    task: Any, api: Any, sdk: str, code: str, expected: Any
) -> None:
    pytest.importorskip(sdk)
    one = task(code, api.url)
    api.answer = ModelApi(busy=2)
    await one.start()
    while one.ending is None:
        await one.start()  # killed at every standstill
        await (one.perform(min(one.open_calls), api.send) if one.open_calls else one.timer())
    assert one.result == expected
    assert len(api.requests) == 4
    assert len([r for r in one.happened() if r.operation == "timer"]) == 2
