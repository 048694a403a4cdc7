"""Requests of a client with a transport of its own (certificates, proxy, socket), which only this process knows."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import TYPE_CHECKING, Any

from sequential_adaptor.errors import CallFailed, TaskError
from sequential_adaptor.runners.fetch.wire import request_from_json, response_to_json
from sequential_adaptor.values import JSON

if TYPE_CHECKING:
    from sequential_adaptor.runners.fetch.hosting import TaskFrame


class OwnTransport:
    """Sends one request on the worker's loop, over a transport with the same settings as the client's."""

    def __init__(
        self,
        library: Any,
        own: Mapping[str, Any],
        request: dict[str, JSON],
        options: Mapping[str, JSON],
        frame: TaskFrame,
    ) -> None:
        self._library, self._own, self._options = library, own, options
        self._request = request_from_json(request)
        self._key = f"{frame.assignment.frame_id}.{frame.calls.count + 1}"
        self._limit = frame.rules.max_body
        if frame.has_secrets(request):
            raise TaskError("secret(...) is put in by the worker's own client; leave verify, cert and proxy to it")

    async def send(self) -> dict[str, JSON]:
        """The answer as it is stored; raises what the library raises."""
        async with self._library.AsyncHTTPTransport(**self._own) as transport:
            request = self._made()
            response = await transport.handle_async_request(request)
            response.request = request
            try:
                body = b"".join([part async for part in self._within_limit(response)])
            finally:
                await response.aclose()
            return response_to_json(response.status_code, response.headers.multi_items(), body, str(request.url))

    def _made(self) -> Any:
        headers = list(self._request.headers)
        if self._request.method in ("POST", "PATCH") and self._request.header("idempotency-key") is None:
            headers.append(("idempotency-key", self._key))
        return self._library.Request(
            self._request.method,
            self._request.url,
            headers=[(name.encode("ascii"), text.encode("utf-8")) for name, text in headers],
            content=self._request.body,
            extensions={"timeout": self._options.get("timeout") or {}},
        )

    async def _within_limit(self, response: Any) -> AsyncIterator[bytes]:
        size = 0
        async for part in response.aiter_bytes():
            size += len(part)
            if size > self._limit:
                raise CallFailed(f"the answer is longer than {self._limit} bytes")
            yield part
