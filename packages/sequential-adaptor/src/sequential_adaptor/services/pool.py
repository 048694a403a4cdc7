"""One pool of connections a process and event loop, for whatever is sent on behalf of tasks.

Requests go straight to httpx's transport: httpx's client would write URLs, with what secrets they hold, to its log.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from sequential_adaptor.errors import CallFailed

if TYPE_CHECKING:
    import httpx

KEPT_ALIVE = 100
DEFAULT_TIMEOUT = 30.0
DEFAULT_LIMIT = 16 * 1024 * 1024


class ConnectionPool:
    """Kept-alive connections, made at the first request; proxies as the environment says."""

    def __init__(self) -> None:
        self._transports: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[str | None, httpx.AsyncHTTPTransport]]
        self._transports = WeakKeyDictionary()
        self._proxies: dict[str, str] | None = None

    @asynccontextmanager
    async def exchange(self, request: httpx.Request) -> AsyncIterator[httpx.Response]:
        """Send a request; the body of the answer is read within the ``async with``. Raises httpx's own errors."""
        from sequential_adaptor.services.one_answer import OneAnswer

        response = await self._transport(request.url).handle_async_request(request)
        response.request = request
        response.stream = OneAnswer(response.stream, response.extensions.get("network_stream"))
        try:
            yield response
        finally:
            await response.aclose()

    async def aclose(self) -> None:
        """Close the connections of the running loop; those of a loop that is gone went with it. Twice is harmless."""
        for transport in self._transports.pop(asyncio.get_running_loop(), {}).values():
            await transport.aclose()

    def _transport(self, url: httpx.URL) -> httpx.AsyncHTTPTransport:
        # A connection lives on the loop that opened it, and a program may use one client from several loops.
        transports = self._transports.setdefault(asyncio.get_running_loop(), {})
        proxy = self._proxy(url)
        if proxy not in transports:
            transports[proxy] = _new_transport(proxy)
        return transports[proxy]

    def _proxy(self, url: httpx.URL) -> str | None:
        from urllib.request import getproxies, proxy_bypass

        if self._proxies is None:
            self._proxies = getproxies()
        proxy = self._proxies.get(url.scheme) or self._proxies.get("all")
        if proxy is None or proxy_bypass(url.host):
            return None
        return proxy if "://" in proxy else f"http://{proxy}"


def _new_transport(proxy: str | None) -> httpx.AsyncHTTPTransport:
    import httpx

    # The engine bounds how many calls are under way; a second bound here would show as time-outs of the pool.
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=KEPT_ALIVE)
    return httpx.AsyncHTTPTransport(limits=limits, proxy=proxy)


async def read_body(response: httpx.Response, limit: int) -> bytes:
    """The whole body, its content encoding undone.

    :class:`CallFailed` of type ``AnswerTooLarge`` as soon as it is longer than ``limit`` bytes.
    """
    declared = response.headers.get("content-length", "")
    if declared.isascii() and declared.isdigit() and int(declared[:20]) > limit and response.request.method != "HEAD":
        raise _too_large(limit)
    parts, size = [], 0
    async for part in response.aiter_bytes():
        size += len(part)
        if size > limit:
            raise _too_large(limit)
        parts.append(part)
    return b"".join(parts)


def _too_large(limit: int) -> CallFailed:
    return CallFailed(f"the answer is longer than the limit of {limit:,} bytes", type="AnswerTooLarge")
