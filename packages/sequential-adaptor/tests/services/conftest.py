"""A local HTTP/1.1 server that records what it gets, and can delay, drop, fail, redirect, and answer too much."""

from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any

import pytest


@dataclass(frozen=True)
class Received:
    method: str
    target: str
    headers: list[tuple[str, str]]
    body: bytes

    def header(self, name: str) -> str | None:
        return next((text for found, text in self.headers if found == name.lower()), None)

    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True)
class Answer:
    """``delay`` before the head, ``pause`` between bytes of the body, ``promised`` a content-length that is not so,
    ``behind`` what nobody asked for, sent with the body on a connection that stays open."""

    status: int = 200
    body: bytes = b""
    headers: tuple[tuple[str, str], ...] = ()
    delay: float = 0.0
    pause: float = 0.0
    drop: bool = False
    promised: int | None = None
    chunks: int | None = None
    behind: bytes = b""


def answer_json(value: Any, status: int = 200, **headers: str) -> Answer:
    pairs = tuple((name.replace("_", "-"), text) for name, text in headers.items())
    return Answer(status, json.dumps(value).encode(), (("content-type", "application/json"), *pairs))


@dataclass
class RecordingServer:
    """Gives the answers in ``script``, one a request, then whatever ``otherwise`` makes of the request."""

    url: str = ""
    received: list[Received] = field(default_factory=list)
    connections: int = 0
    script: deque[Answer] = field(default_factory=deque)
    otherwise: Callable[[Received], Answer] = lambda _: answer_json({"result": "ok"})

    def plan(self, *answers: Answer) -> None:
        self.script.extend(answers)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while await self._one(reader, writer):
                pass
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            writer.close()

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        request = await _read_request(reader)
        self.received.append(request)
        answer = self.script.popleft() if self.script else self.otherwise(request)
        await asyncio.sleep(answer.delay)
        if answer.drop:
            return False
        await _write(writer, answer, request.method)
        return answer.promised is None


async def _read_request(reader: asyncio.StreamReader) -> Received:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    method, target, _ = head[0].split(" ")
    headers = [(name.lower(), text.strip()) for name, _, text in (line.partition(":") for line in head[1:] if line)]
    length = next((int(text) for name, text in headers if name == "content-length"), 0)
    return Received(method, target, headers, await reader.readexactly(length))


async def _write(writer: asyncio.StreamWriter, answer: Answer, method: str) -> None:
    head = [f"HTTP/1.1 {answer.status} Status", *(f"{name}: {text}" for name, text in answer.headers)]
    if answer.chunks is not None:
        head.append("transfer-encoding: chunked")
    elif answer.status not in (204, 304):
        head.append(f"content-length: {len(answer.body) if answer.promised is None else answer.promised}")
    writer.write("\r\n".join([*head, "", ""]).encode("latin-1"))
    if method == "HEAD":
        return
    for _ in range(answer.chunks or 0):
        writer.write(b"%x\r\n%s\r\n" % (len(answer.body), answer.body))
        await writer.drain()
    if answer.chunks is not None:
        writer.write(b"0\r\n\r\n")
    elif answer.pause:
        for index in range(len(answer.body)):
            writer.write(answer.body[index : index + 1])
            await writer.drain()
            await asyncio.sleep(answer.pause)
    else:
        writer.write(answer.body + answer.behind)
    await writer.drain()


async def _running(server: RecordingServer) -> AsyncIterator[RecordingServer]:
    listening = await asyncio.start_server(server.serve, "127.0.0.1", 0)
    server.url = "http://{}:{}".format(*listening.sockets[0].getsockname()[:2])
    yield server
    listening.close()
    tasks = [task for task in asyncio.all_tasks() if getattr(task.get_coro(), "__name__", "") == "serve"]
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


@pytest.fixture(autouse=True)
def no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SERVICE_BASE_URL", "SERVICE_AUTH_TOKEN", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
async def server() -> AsyncIterator[RecordingServer]:
    async for running in _running(RecordingServer()):
        yield running


@pytest.fixture
async def other_server() -> AsyncIterator[RecordingServer]:
    """Another origin."""
    async for running in _running(RecordingServer()):
        yield running


@pytest.fixture
def answer() -> type[Answer]:
    return Answer


@pytest.fixture
def as_json() -> Callable[..., Answer]:
    return answer_json
