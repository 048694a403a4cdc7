"""The gateway of a hosted project, as small as it can be: it knows keys, strips ``/rest/v1``, and loses answers.

A request needs an ``apikey`` that is known. An ``sb_secret_`` or ``sb_publishable_`` key is opaque: what goes on to
PostgREST is a token for its role, signed here; a legacy key is a token itself and goes on as it is.
"""

from __future__ import annotations

import asyncio
import json
import random
import threading
import time
from collections.abc import Callable, Coroutine, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeAlias

import h11
import jwt

PREFIX = b"/rest/v1"
UPSTREAM = {b"host", b"connection", b"apikey", b"authorization"}

Drop: TypeAlias = Callable[[bytes], bool]
Event: TypeAlias = Any


def token(secret: str, role: str, lifetime: float = 3600.0) -> str:
    """A token for a role, signed as Supabase signs its own; ``lifetime`` in seconds may be negative."""
    return jwt.encode({"role": role, "iss": "supabase", "exp": int(time.time() + lifetime)}, secret, "HS256")


class Gateway:
    """An HTTP server on a port of its own, in a thread of its own.

    - ``roles``: which key stands for which role; ``None`` where the key is a token itself.
    - ``drop``: called with the target of each request when the upstream has answered it; whether the answer is lost.
    - ``share``: the share of all answers that are lost besides. ``seen`` and ``dropped`` count.
    """

    def __init__(self, upstream: Path, secret: str, roles: Mapping[str, str | None], seed: int = 0) -> None:
        self.upstream, self.secret, self.roles = upstream, secret, dict(roles)
        self.drop: Drop = lambda target: False
        self.share = 0.0
        self.token_lifetime = 3600.0
        self.seen = self.dropped = 0
        self._chance = random.Random(f"gateway:{seed}")
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="gateway", daemon=True)

    @property
    def url(self) -> str:
        """The address of the project."""
        return f"http://127.0.0.1:{self.port}"

    @classmethod
    @contextmanager
    def running(cls, upstream: Path, secret: str, roles: Mapping[str, str | None], seed: int = 0) -> Iterator[Gateway]:
        """A new one in front of an upstream; gone when the context ends."""
        one = cls(upstream, secret, roles, seed)
        one.start()
        try:
            yield one
        finally:
            one.stop()

    def start(self) -> None:
        """Listen."""
        self._thread.start()
        self._server = self._call(asyncio.start_server(self._serve, "127.0.0.1", 0, backlog=1000))
        self.port: int = self._server.sockets[0].getsockname()[1]

    def stop(self) -> None:
        """Hang up on everybody."""
        self._call(self._hang_up())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _call(self, what: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(what, self._loop).result()

    async def _hang_up(self) -> None:
        self._server.close()
        others = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        await asyncio.sleep(0.01)  # what was aborted is closed by the loop, a round later

    # ---- a connection

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        client = Side(h11.SERVER, reader, writer)
        try:
            while isinstance(request := await client.next_event(), h11.Request):
                body = await client.body()
                refusal = self._refusal(request)
                if refusal is not None:
                    await client.answer(401, refusal)
                else:
                    await self._pass_on(request, body, client)
                if client.is_over:
                    break
                client.next_cycle()
        except (OSError, EOFError, h11.ProtocolError, asyncio.CancelledError, _Lost):
            pass  # the client has gone, or the answer was lost on purpose
        finally:
            client.hang_up()

    def _refusal(self, request: Event) -> bytes | None:
        key = dict(request.headers).get(b"apikey", b"").decode()
        if not key:
            return _said("No API key found in request", "No `apikey` request header or url param was found.")
        if key not in self.roles:
            return _said("Invalid API key", "Double check your Supabase `anon` or `service_role` API key.")
        return None

    async def _pass_on(self, request: Event, body: bytes, client: Side) -> None:
        """Have the upstream answer, and give its answer back, unless it is to be lost."""
        self.seen += 1
        target = request.target.removeprefix(PREFIX) or b"/"
        sent = h11.Request(method=request.method, target=target, headers=self._headers(request))
        try:
            response, answer = await self._asked(client, sent, body)
        except (OSError, EOFError, h11.ProtocolError):
            client.leave_partner()
            await client.answer(502, _said("An invalid response was received from the upstream server", ""))
            return
        if self.drop(request.target) or self._chance.random() < self.share:
            self.dropped += 1
            raise _Lost
        hop = {b"transfer-encoding", b"content-length", b"connection"}
        await client.answer(response.status_code, answer, [each for each in response.headers if each[0] not in hop])

    async def _asked(self, client: Side, request: Event, body: bytes) -> tuple[Event, bytes]:
        if client.partner is None or client.partner.is_over or client.partner.reader.at_eof():
            client.leave_partner()
            client.partner = Side(h11.CLIENT, *await asyncio.open_unix_connection(str(self.upstream)))
        upstream = client.partner
        await upstream.send(request, h11.Data(data=body), h11.EndOfMessage())
        response = await upstream.next_event()
        if not isinstance(response, h11.Response):
            raise EOFError
        answer = await upstream.body()
        if not upstream.is_over:
            upstream.next_cycle()
        return response, answer

    def _headers(self, request: Event) -> list[tuple[bytes, bytes]]:
        given = dict(request.headers)
        key = given[b"apikey"].decode()
        role = self.roles[key]
        bearer = given.get(b"authorization", b"Bearer " + given[b"apikey"]).decode().partition(" ")[2]
        if role is not None and bearer == key:
            bearer = token(self.secret, role, self.token_lifetime)
        kept = [(name, value) for name, value in request.headers if name not in UPSTREAM]
        return [(b"host", b"rest"), (b"authorization", f"Bearer {bearer}".encode()), *kept]


class Side:
    """One side of the gateway: HTTP/1.1 by ``h11``, over a pair of streams."""

    def __init__(self, role: Any, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer
        self.partner: Side | None = None
        self._machine = h11.Connection(role, max_incomplete_event_size=1 << 20)

    @property
    def is_over(self) -> bool:
        """Whether the connection takes no further request."""
        return bool({h11.MUST_CLOSE, h11.CLOSED, h11.ERROR} & set(self._machine.states.values()))

    def next_cycle(self) -> None:
        """Begin with the next request."""
        self._machine.start_next_cycle()

    def hang_up(self) -> None:
        """Close the connection at once, and its partner's."""
        self.leave_partner()
        self.writer.transport.abort()

    def leave_partner(self) -> None:
        """Close the partner's connection."""
        if self.partner is not None:
            self.partner.hang_up()
            self.partner = None

    async def next_event(self) -> Event | None:
        """What comes next; ``None`` where the other end has hung up between requests."""
        while True:
            event = self._machine.next_event()
            if event is h11.NEED_DATA:
                if self._machine.they_are_waiting_for_100_continue:
                    await self.send(h11.InformationalResponse(status_code=100, headers=[]))
                self._machine.receive_data(await self.reader.read(1 << 16))
            elif isinstance(event, h11.ConnectionClosed):
                return None
            else:
                return event

    async def body(self) -> bytes:
        """The rest of a message."""
        parts = bytearray()
        while not isinstance(event := await self.next_event(), h11.EndOfMessage):
            if event is None:
                raise EOFError
            parts += event.data
        return bytes(parts)

    async def answer(self, status: int, body: bytes, headers: list[tuple[bytes, bytes]] | None = None) -> None:
        """Send a whole answer."""
        said = [*(headers or [(b"content-type", b"application/json")]), (b"content-length", str(len(body)).encode())]
        await self.send(h11.Response(status_code=status, headers=said), h11.Data(data=body), h11.EndOfMessage())

    async def send(self, *events: Event) -> None:
        """Send parts of a message."""
        for event in events:
            self.writer.write(self._machine.send(event) or b"")
        await self.writer.drain()


def _said(message: str, hint: str) -> bytes:
    return json.dumps({"message": message, "hint": hint}).encode()


class _Lost(Exception):
    """An answer that is not given."""
