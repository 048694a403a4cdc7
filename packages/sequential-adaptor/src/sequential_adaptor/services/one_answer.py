"""One answer a request: what a server sends behind it is given to nobody.

A server (or a proxy, or whoever sits between) that answers twice on a kept-alive connection leaves the second answer in
what was read with the first. httpcore would take it for the answer to the next request, another call's. So such a
connection is closed before it goes back to the pool.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from operator import attrgetter
from typing import Any

import httpx

# httpcore says in public whether the socket has more to read, and checks that itself; for what has been read already
# there is only this. Where it is not so (HTTP/2, another version) nothing is known, and nothing is done.
_read_too_much = attrgetter("_httpcore_stream._stream._connection._h11_state.trailing_data")


class OneAnswer(httpx.AsyncByteStream):
    """The body of a response; closing it closes a connection that holds more than this body."""

    def __init__(self, body: Any, connection: Any) -> None:
        self._body = body
        self._connection = connection

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for part in self._body:
            yield part

    async def aclose(self) -> None:
        try:
            left, _ = _read_too_much(self._body)
        except AttributeError:
            left = b""
        if left and self._connection is not None:
            await self._connection.aclose()
        await self._body.aclose()
