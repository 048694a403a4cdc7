"""A recording HTTP service that misbehaves: it delays, fails, does not answer, and answers twice, as its seed says."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from sequential_adaptor.testing.torture.workload import FALSY, KINDS

PATIENCE: Final = 3
"""How often one call may be failed or dropped: fewer times than the engine tries by default."""

_LAST_MOMENT = 0.2


@dataclass(slots=True)
class Request:
    """One request that came in.

    - ``performer``: the worker that sent it, where it says so; ``key``: its idempotency key; ``asked``: its body.
    - ``manner``: what the service did: ``answered``, ``delayed``, ``failed``, ``refused`` (as it would be again),
      ``dropped`` (done, and not answered) or ``twice`` (answered two times over, before it hung up). ``answer`` is its
      result, where it had one.
    - ``arrived`` and ``ended`` are seconds since the epoch; ``ended`` is ``None`` where nobody waited for the answer.
    """

    key: str | None
    performer: str | None
    asked: dict[str, Any]
    arrived: float
    manner: str = "answered"
    answer: Any = None
    ended: float | None = None

    @property
    def was_done(self) -> bool:
        """Whether the service did what it was asked, whatever it said."""
        return self.manner not in ("failed", "refused")


@dataclass(frozen=True, slots=True)
class Manners:
    """How often the service does what; the rest is answered at once. ``longest`` is of a delay, in seconds."""

    seed: int
    drop: float
    fail: float
    delay: float
    twice: float
    longest: float

    def of(self, run: int, n: int, attempt: int) -> tuple[str, float]:
        """What to do with an attempt at a call, and the delay."""
        chance = random.Random(f"{self.seed}:{run}:{n}:{attempt}")
        drawn, delay = chance.random(), chance.uniform(0, self.longest)
        for manner in ("drop", "fail", "delay", "twice"):
            if drawn < getattr(self, manner):
                return manner, delay
            drawn -= getattr(self, manner)
        return "answer", 0.0


@dataclass
class Service:
    """The service, on a port of its own, in a thread of its own.

    ``on_request`` is called with each request when it has come in, and again when it was answered, in the thread; it
    says whether the performer is about to be killed, and then the answer waits for that. ``refused`` are the calls, by
    run and number, that are refused whenever they come.
    """

    manners: Manners
    on_request: Callable[[Request], bool] = lambda request: False
    requests: list[Request] = field(default_factory=list)
    refused: set[tuple[str, int]] = field(default_factory=set)
    port: int = 0

    def __post_init__(self) -> None:
        self._attempts: Counter[tuple[str, int]] = Counter()
        self._spoilt: Counter[tuple[str, int]] = Counter()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="torture service", daemon=True)

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Listen."""
        self._thread.start()
        self._server = self._call(asyncio.start_server(self._serve, "127.0.0.1", 0, backlog=1000))
        self.port = self._server.sockets[0].getsockname()[1]

    def stop(self) -> None:
        """Hang up on everybody."""
        self._call(self._hang_up())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _call(self, what: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(what, self._loop).result()

    async def _hang_up(self) -> None:
        self._server.close()
        others = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while await self._one(reader, writer):
                pass
        except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass  # the worker was killed, or the torture is over
        finally:
            writer.transport.abort()

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Serve one request of a connection; say whether there may be another."""
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower().split("\r\n")
        headers = dict(line.split(": ", 1) for line in head[1:] if ": " in line)
        body = json.loads(await reader.readexactly(int(headers["content-length"])))
        asked = body["chain"][0]["args"] if "chain" in body else body
        performer = headers.get("authorization", "").removeprefix("bearer ") or None
        request = Request(headers.get("idempotency-key"), performer, asked, time.time())
        self.requests.append(request)
        manner, delay = self._manner(request)
        doomed = self.on_request(request)
        await asyncio.sleep(max(delay, _LAST_MOMENT) if doomed else delay)
        return await self._answer(request, manner, writer)

    def _manner(self, request: Request) -> tuple[str, float]:
        run, n = request.asked["run"], request.asked["n"]
        self._attempts[run, n] += 1
        manner, delay = self.manners.of(int(run.rpartition("-")[2]), n, self._attempts[run, n])
        if manner in ("drop", "fail"):
            self._spoilt[run, n] += 1
            if self._spoilt[run, n] > PATIENCE:
                return "answer", 0.0
            request.manner = "dropped" if manner == "drop" else "failed"
        elif (run, n) in self.refused:
            request.manner = "refused"
            return "refuse", 0.0
        elif manner != "answer":
            request.manner = "delayed" if manner == "delay" else "twice"
        return manner, delay if manner == "delay" else 0.0

    async def _answer(self, request: Request, manner: str, writer: asyncio.StreamWriter) -> bool:
        if manner == "fail":
            await self._send(request, writer, b"503 Service Unavailable", {"error": "come back later"})
            return True
        if manner == "refuse":
            await self._send(request, writer, b"422 Unprocessable Content", {"error": "not as long as it is so"})
            return True
        request.answer = self._result(request)
        if manner == "drop":
            request.ended = time.time()
            return False
        if manner == "twice":
            await self._send(request, writer, b"200 OK\r\nconnection: close", {"result": request.answer}, times=2)
            return False
        await self._send(request, writer, b"200 OK", {"result": request.answer})
        return True

    def _result(self, request: Request) -> Any:
        number, n = int(request.asked["run"].rpartition("-")[2]), request.asked["n"]
        if KINDS[number % len(KINDS)] == "falsy":
            return FALSY[(number + n) % len(FALSY)]
        return {"serial": len(self.requests), "n": n}

    async def _send(
        self, request: Request, writer: asyncio.StreamWriter, status: bytes, body: Any, times: int = 1
    ) -> None:
        text = json.dumps(body).encode()
        head = b"HTTP/1.1 %s\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % (status, len(text))
        writer.write((head + text) * times)
        with contextlib.suppress(OSError):
            await writer.drain()
            request.ended = time.time()
        self.on_request(request)
