"""``HttpSender``: performs the stored HTTP requests of tasks, the operations ``fetch`` and ``httpx``."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from functools import cache
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from sequential_adaptor.errors import CallFailed
from sequential_adaptor.runners.fetch.wire import HttpRequest, fill_request, request_from_json, response_to_json
from sequential_adaptor.services.failures import is_retryable_error, message_of, retry_after_seconds, type_of
from sequential_adaptor.services.pool import DEFAULT_LIMIT, DEFAULT_TIMEOUT, ConnectionPool, read_body
from sequential_adaptor.services.redaction import mask, redact
from sequential_adaptor.services.redirects import MOST, STATUSES, redirected
from sequential_adaptor.services.resolving import Resolve, resolved
from sequential_adaptor.values import JSON

if TYPE_CHECKING:
    import httpx

__all__ = ["HttpSender", "Resolve", "retry_after_seconds"]


class HttpSender:
    """Sends requests in the form of :mod:`sequential_adaptor.runners.fetch.wire`, once each, over shared connections.

    ``limit`` bounds an answer, in bytes.
    """

    def __init__(self, *, pool: ConnectionPool | None = None, limit: int = DEFAULT_LIMIT) -> None:
        self.limit = limit
        self._pool = pool or ConnectionPool()

    async def send(
        self,
        request: Mapping[str, JSON],
        *,
        operation: str = "fetch",
        options: Mapping[str, JSON] | None = None,
        idempotency_key: str | None = None,
        resolve: Resolve | None = None,
        timeout: JSON = None,
        limit: int | None = None,
    ) -> dict[str, JSON]:
        """Perform a request and give its answer, whatever the status, as JSON.

        - ``fetch`` follows redirects unless its options say ``follow_redirects: false``, and ``timeout`` bounds the
          whole of it; ``httpx`` does what httpx's transport would.
        - POST and PATCH carry ``Idempotency-Key`` if the request has none.
        - ``resolve(name)`` gives the value of a secret, ``None`` where there is none. Values are put in just before
          sending, and go to no other origin. They come back in no message and no address.
        - Raises :class:`CallFailed`: ``type`` is the class of the error, as ``httpx.ConnectTimeout``.
        """
        options = options or {}
        secrets = await resolved(options.get("secrets"), resolve)
        exchange = _Exchange(
            request=_with_idempotency_key(request_from_json(request), options, idempotency_key),
            secrets=secrets,
            follows=operation == "fetch" and options.get("follow_redirects") is not False,
            timeout=_timeout(operation, timeout if timeout is not None else options.get("timeout")),
            limit=self.limit if limit is None else limit,
        )
        async with _failures(operation, exchange.request, secrets):
            return await exchange.run(self._pool)

    async def aclose(self) -> None:
        """Close the connections. Twice is harmless."""
        await self._pool.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()


@dataclass(frozen=True, slots=True)
class _Exchange:
    request: HttpRequest
    secrets: Mapping[str, str]
    follows: bool
    timeout: float | Mapping[str, float | None] | None
    limit: int

    async def run(self, pool: ConnectionPool) -> dict[str, JSON]:
        import httpx

        if isinstance(self.timeout, Mapping):
            return await self._run(pool, httpx.Timeout(**self.timeout))
        try:
            async with asyncio.timeout(self.timeout):
                return await self._run(pool, httpx.Timeout(self.timeout))
        except TimeoutError as error:
            raise httpx.ReadTimeout(f"no whole answer within {self.timeout:g} s") from error

    async def _run(self, pool: ConnectionPool, timeout: httpx.Timeout) -> dict[str, JSON]:
        import httpx

        request = fill_request(self.request, self.secrets) if self.secrets else self.request
        secret_headers, secret_body = self._secret_parts()
        for _ in range(MOST + 1):
            async with pool.exchange(_made(request, timeout)) as response:
                location = response.headers.get("location")
                if not self.follows or response.status_code not in STATUSES or location is None:
                    return self._answer(response, await read_body(response, self.limit), request.url)
            request = redirected(request, response.status_code, location, secret_headers, secret_body=secret_body)
        raise httpx.TooManyRedirects(f"more than {MOST} redirects")

    def _secret_parts(self) -> tuple[frozenset[str], bool]:
        if not self.secrets:
            return frozenset(), False
        filled = fill_request(self.request, self.secrets)
        pairs = zip(self.request.headers, filled.headers, strict=True)
        return frozenset(name for (name, text), (_, real) in pairs if text != real), filled.body != self.request.body

    def _answer(self, response: httpx.Response, body: bytes, url: str) -> dict[str, JSON]:
        shown = {real: placeholder for placeholder, real in self.secrets.items()}
        # A server may send the address back that it was called with, and the address may hold a secret.
        headers = [
            (name, mask(text, shown) if name == "location" else text) for name, text in response.headers.multi_items()
        ]
        return response_to_json(response.status_code, headers, body, mask(url, shown))


def _with_idempotency_key(request: HttpRequest, options: Mapping[str, JSON], key: str | None) -> HttpRequest:
    wanted = request.method in ("POST", "PATCH") and options.get("idempotency_key") is not False
    if key is None or not wanted or request.header("idempotency-key") is not None:
        return request
    return replace(request, headers=(*request.headers, ("idempotency-key", key)))


def _timeout(operation: str, timeout: JSON) -> Any:
    if timeout is None:
        return DEFAULT_TIMEOUT
    # httpx's own time-outs are for each step; only `fetch` promises an end to the whole.
    steps = ("connect", "read", "write", "pool")
    return timeout if operation == "fetch" or isinstance(timeout, Mapping) else dict.fromkeys(steps, timeout)


def _made(request: HttpRequest, timeout: httpx.Timeout) -> httpx.Request:
    import httpx

    given = {name for name, _ in request.headers}
    ours = (("accept", "*/*"), ("user-agent", _user_agent()), ("accept-encoding", "gzip, deflate"))
    headers = [*request.headers, *((name, text) for name, text in ours if name not in given)]
    return httpx.Request(
        request.method,
        request.url,
        headers=[(name.encode("ascii"), text.encode("utf-8")) for name, text in headers],
        content=request.body,
        extensions={"timeout": timeout.as_dict()},
    )


@cache
def _user_agent() -> str:
    from importlib.metadata import version

    return f"sequential-adaptor/{version('sequential-adaptor')}"


@asynccontextmanager
async def _failures(operation: str, request: HttpRequest, secrets: Mapping[str, str]) -> AsyncIterator[None]:
    """Turn whatever goes wrong into :class:`CallFailed`, without the secrets."""
    try:
        yield
    except Exception as error:
        message = error.message if isinstance(error, CallFailed) else message_of(error)
        if operation == "fetch":
            message = f"{request.method} {_origin(request.url)}: {message}"
        shown = redact(message, secrets.values())
        kind = error.type if isinstance(error, CallFailed) else type_of(error)
        failure = CallFailed(shown, type=kind, operation=operation, retryable=is_retryable_error(error))
        raise failure from (error if shown == message else None)


def _origin(url: str) -> str:
    scheme, separator, rest = url.partition("://")
    return scheme + separator + rest.partition("/")[0].partition("?")[0].rpartition("@")[2]
