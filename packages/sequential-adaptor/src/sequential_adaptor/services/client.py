"""``ServiceClient``: calls by alias, over HTTP or in Python. It never retries: the engine does, by its own policy."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from functools import cached_property
from types import TracebackType
from typing import TYPE_CHECKING, Self
from urllib.parse import urlsplit

from sequential_adaptor import values
from sequential_adaptor.errors import CallFailed, ConfigurationError, InvalidValue, ServiceError
from sequential_adaptor.runners.fetch.wire import fill_value
from sequential_adaptor.services.answers import answer_of
from sequential_adaptor.services.directory import Directory, Service, check_timeout
from sequential_adaptor.services.endpoints import call_python, check_service_name
from sequential_adaptor.services.failures import is_retryable_error, message_of, type_of
from sequential_adaptor.services.pool import DEFAULT_LIMIT, DEFAULT_TIMEOUT, ConnectionPool, read_body
from sequential_adaptor.services.redaction import HIDDEN, Secret, redact
from sequential_adaptor.services.resolving import Resolve, resolved
from sequential_adaptor.values import JSON

if TYPE_CHECKING:
    import httpx

_THREADS = 32


class ServiceClient:
    """Calls services by alias.

    ``base_url`` and ``auth_token`` default to ``SERVICE_BASE_URL`` and ``SERVICE_AUTH_TOKEN``; neither is needed for
    services in Python. ``timeout`` is in seconds and bounds a call as a whole; ``max_answer_bytes`` bounds its answer.
    An alias that nobody registered is the endpoint of that name. The token shows in no error, log or ``repr``.
    """

    def __init__(
        self,
        base_url: str | None = None,
        auth_token: str | None = None,
        *,
        timeout: float = DEFAULT_TIMEOUT,
        max_answer_bytes: int = DEFAULT_LIMIT,
        pool: ConnectionPool | None = None,
    ) -> None:
        address = base_url if base_url is not None else os.environ.get("SERVICE_BASE_URL")
        token = auth_token if auth_token is not None else os.environ.get("SERVICE_AUTH_TOKEN")
        self.base_url = _checked_base_url(address) if address else None
        self.timeout = check_timeout(timeout)
        self.max_answer_bytes = max_answer_bytes
        self._token = _checked_token(token) if token else None
        self._directory = Directory()
        self._pool = pool or ConnectionPool()

    def register_service(
        self,
        alias: str,
        endpoint: object,
        *,
        attempts: int | None = None,
        timeout: float | None = None,
        idempotency: bool = True,
    ) -> None:
        """Let ``alias`` stand for an endpoint (its name), a callable ``fn(method, params)``, or an object with methods.

        - Functions that are not async run in a thread. :func:`sequential_adaptor.services.endpoints.call_python` says
          how parameters are handed over.
        - ``attempts``: answered failures until a call is given up, in place of the engine's own number.
        - ``idempotency=False`` leaves the ``Idempotency-Key`` away.
        """
        self._directory.add(Service(alias, endpoint, attempts, timeout, idempotency))

    def attempts(self, service: str) -> int | None:
        """How often calls of a service may fail before they are given up, where it was registered with a number."""
        found = self._directory.known(service)
        return found.attempts if found is not None else None

    async def call(
        self,
        service: str,
        method: str,
        params: JSON = None,
        *,
        idempotency_key: str | None = None,
        timeout: float | None = None,
        secrets: Mapping[str, str] | None = None,
        resolve: Resolve | None = None,
    ) -> JSON:
        """Call a method, once, and give its answer.

        - Over HTTP the answer is the value of ``result`` where the body is an object with that key, else the whole
          body; whether a call failed is said by its status alone.
        - ``secrets`` maps placeholders in ``params`` to names, for which ``resolve(name)`` gives the values.
        - Raises :class:`ServiceError`; ``retryable`` is true for a network error, a time-out, 408, 429 and 5xx.
        - An alias that cannot be one is :class:`InvalidId`, ``params`` that are not JSON are :class:`InvalidValue`.
        """
        check_service_name("service", service)
        values.check(params, "params")
        if timeout is not None:
            check_timeout(timeout)
        hidden: dict[str, str] = {}
        try:
            hidden.update(await resolved(secrets, resolve))
            found = await self._directory.find(service)
            limit = next(each for each in (timeout, found.timeout, self.timeout) if each is not None)
            async with _bound(limit):
                return await self._perform(found, method, fill_value(params, hidden), idempotency_key)
        except Exception as error:
            failure = self._failure(error, f"{service}.{method}", hidden.values())
            # An error that would show a secret is not kept as the cause either: tracebacks end up in logs.
            raise failure from (None if HIDDEN in failure.message else error)

    async def aclose(self) -> None:
        """Close the connections. Twice is harmless."""
        await self._pool.aclose()
        await self._directory.aclose()
        if "_executor" in self.__dict__:
            self._executor.shutdown(wait=False)
            del self.__dict__["_executor"]

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()

    def __repr__(self) -> str:
        return f"ServiceClient({self.base_url!r}, services={self._directory.aliases()})"

    async def _perform(self, service: Service, method: str, params: JSON, key: str | None) -> JSON:
        key = key if service.idempotency else None
        if isinstance(service.endpoint, str):
            return await self._post(service.endpoint, method, params, key)
        return await call_python(service.endpoint, method, params, key, self._executor)

    async def _post(self, endpoint: str, method: str, params: JSON, key: str | None) -> JSON:
        async with self._pool.exchange(self._request(endpoint, method, params, key)) as response:
            return answer_of(response, await read_body(response, self.max_answer_bytes))

    def _request(self, endpoint: str, method: str, params: JSON, key: str | None) -> httpx.Request:
        import httpx

        if self.base_url is None:
            raise ServiceError(
                "there is no address to call; set SERVICE_BASE_URL, or register_service() a function under that alias",
                type="ConfigurationError",
            )
        headers = {"accept": "application/json", "accept-encoding": "gzip, deflate", "content-type": "application/json"}
        if key is not None:
            headers["idempotency-key"] = key
        if self._token is not None:
            headers["authorization"] = f"Bearer {self._token.reveal()}"
        body = values.encode({"chain": [{"property": method, "args": params}]}).encode("utf-8")
        # The call as a whole has its own limit of time; httpx's are for each read and write.
        timeout = {"timeout": httpx.Timeout(None).as_dict()}
        url = f"{self.base_url}/functions/v1/{endpoint}"
        return httpx.Request("POST", url, headers=headers, content=body, extensions=timeout)

    def _failure(self, error: Exception, operation: str, hidden: Iterable[str]) -> ServiceError:
        known = error if isinstance(error, ServiceError) else None
        token = [self._token.reveal()] if self._token is not None else []
        return ServiceError(
            redact(f"{operation}: {_said(error)}", [*token, *hidden]),
            type=error.type if isinstance(error, CallFailed) else type_of(error),
            operation=operation,
            retryable=is_retryable_error(error),
            status_code=known.status_code if known is not None else None,
            retry_after=known.retry_after if known is not None else None,
        )

    @cached_property
    def _executor(self) -> ThreadPoolExecutor:
        return ThreadPoolExecutor(_THREADS, thread_name_prefix="sequential-service")


@asynccontextmanager
async def _bound(seconds: float) -> AsyncIterator[None]:
    limit = asyncio.timeout(seconds)
    try:
        async with limit:
            yield
    except TimeoutError as error:
        if not limit.expired():
            raise
        raise TimeoutError(f"no answer within {seconds:g} s") from error


def _checked_base_url(address: str) -> str:
    parts = urlsplit(address)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ConfigurationError(f"service address {parts.geturl()!r} is not of the form https://host[:port][/path]")
    if parts.username or parts.password or parts.query or parts.fragment:
        raise ConfigurationError(
            f"the service address on {parts.hostname} has a user, query or fragment; a token goes into auth_token"
        )
    return address.rstrip("/")


def _checked_token(token: str) -> Secret:
    if not token.isascii() or not token.isprintable() or " " in token:
        raise ConfigurationError(
            "the service token has characters that no HTTP header takes (a line break at its end?)"
        )
    return Secret(token)


def _said(error: Exception) -> str:
    if isinstance(error, CallFailed):
        return error.message
    if isinstance(error, InvalidValue):
        return f"the answer cannot be stored: {error}"
    return message_of(error)
