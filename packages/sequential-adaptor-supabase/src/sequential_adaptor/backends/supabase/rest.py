"""The door by REST: the official ``supabase`` client calls each function by ``rpc``.

A POST is never repeated by the client or by PostgREST; it is repeated here, because every function may be called again.
The key is an opaque text: it is put into the headers of requests, and nowhere else.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from sequential_adaptor.backends.supabase.door import Door
from sequential_adaptor.backends.supabase.rest_failures import (
    Course,
    Failure,
    read_api_error,
    read_transport_error,
    strange_answer,
)
from sequential_adaptor.errors import ConfigurationError, StorageClosed

if TYPE_CHECKING:
    import httpx

    from supabase import AsyncClient

PATIENCE: Final[Mapping[Course, float]] = {
    Course.FINAL: 0.0,
    Course.PASSING: 30.0,
    Course.SCHEMA: 10.0,
    Course.TOKEN: 3.0,
}
"""For how many seconds a call is repeated, by the course that its failures take."""

_FIRST_PAUSE, _LONGEST_PAUSE = 0.05, 2.0
_SUFFIX: Final = "/rest/v1"


class RestDoor(Door):
    """Calls functions at ``<url>/rest/v1/rpc/``.

    - ``url``: the project's, as the dashboard shows it; ``service_key``: a secret key, or the ``service_role`` one.
    - ``timeout``: seconds after which a request that was not answered is sent again.
    - ``connections``: how many requests are on their way at most.
    """

    def __init__(
        self,
        url: str,
        service_key: str,
        *,
        timeout: float = 20.0,
        connections: int = 16,
        patience: Mapping[Course, float] = PATIENCE,
    ) -> None:
        self._url = _checked_url(url)
        self._key = _checked_key(service_key)
        self._timeout, self._connections, self._patience = timeout, connections, patience
        self._session: httpx.AsyncClient | None = None
        self._client: AsyncClient | None = None

    def __repr__(self) -> str:
        return f"RestDoor({self._url!r})"

    @property
    def address(self) -> str:
        return f"supabase+{self._url}"

    async def open(self) -> None:
        """Make the client. Whether there is a project at that address shows at the first call."""
        import httpx

        from supabase import AsyncClientOptions, acreate_client

        limits = httpx.Limits(max_connections=self._connections, max_keepalive_connections=self._connections)
        # No redirects: the key goes to nobody else. No HTTP/2: its header coder logs what it encodes.
        self._session = httpx.AsyncClient(
            timeout=httpx.Timeout(self._timeout, pool=None), limits=limits, event_hooks={"response": [_refuse_empty]}
        )
        options = AsyncClientOptions(httpx_client=self._session, auto_refresh_token=False, persist_session=False)
        self._client = await acreate_client(self._url, self._key, options)

    async def close(self) -> None:
        session, self._session, self._client = self._session, None, None
        if session is not None:
            await session.aclose()

    async def call(
        self, function: str, arguments: Mapping[str, Any], *, when_repeated: Mapping[str, Any] | None = None
    ) -> Sequence[Mapping[str, Any]]:
        given, ends, pause = dict(arguments), dict[Course, float](), _FIRST_PAUSE
        while True:
            rows, failure, cause = await self._once(function, given)
            if failure is None:
                return rows
            now = time.monotonic()
            if now >= ends.setdefault(failure.course, now + self._patience[failure.course]):
                raise failure.error from cause
            await asyncio.sleep(pause * random.uniform(0.5, 1.0))
            pause = min(pause * 2, _LONGEST_PAUSE)
            given.update(when_repeated or {})

    async def listen(self, heard: Callable[[str | None], None]) -> None:
        """There are no notifications by REST."""

    async def _once(
        self, function: str, arguments: dict[str, Any]
    ) -> tuple[Sequence[Mapping[str, Any]], Failure | None, Exception | None]:
        """Rows, or why there are none."""
        import httpx
        from postgrest.exceptions import APIError

        if self._client is None:
            raise StorageClosed("RestDoor")
        try:
            answer: Any = (await self._client.rpc(function, arguments).execute()).data
        except APIError as error:
            return (), read_api_error(error, self.address), error
        except httpx.RequestError as error:
            return (), read_transport_error(error, self.address), error
        except UnicodeError as error:
            return (), strange_answer(error, self.address), error
        if not isinstance(answer, list):
            return (), strange_answer(answer, self.address), None
        return answer, None, None


async def _refuse_empty(response: httpx.Response) -> None:
    """PostgREST never says nothing where it has done something; the client would take it for an answer without rows."""
    import httpx

    if response.is_success and not await response.aread():
        raise httpx.RemoteProtocolError("an empty answer", request=response.request)


def _checked_url(url: str) -> str:
    """The project's address, also where somebody copied the one of its REST interface."""
    if not isinstance(url, str) or not url.startswith(("https://", "http://")) or len(url.split("://", 1)[1]) == 0:
        raise ConfigurationError(
            f"url is {url!r}, and no project's address: it looks like https://<project>.supabase.co (SUPABASE_URL)"
        )
    return url.rstrip("/").removesuffix(_SUFFIX)


def _checked_key(key: str) -> str:
    """The key, as it is. What is refused is what no header can hold: an error of the HTTP client would show it."""
    if not isinstance(key, str) or not key:
        raise ConfigurationError("service_key is missing: set SUPABASE_SERVICE_KEY, or give service_key=")
    if not key.isascii() or not key.isprintable() or key != key.strip():
        raise ConfigurationError(
            "service_key has a character that no key has, a space or a line break at its end perhaps; copy it anew"
        )
    return key
