"""``httpx.AsyncClient`` and ``httpx2.AsyncClient`` inside tasks: their requests are durable calls, operation ``httpx``.

What is changed is the transport that opens connections; mock and ASGI transports are as they were, and so is everything
outside of tasks. A response comes back whole, decoded, as the same library's own.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Mapping
from contextvars import copy_context
from functools import lru_cache, partial
from inspect import signature
from types import ModuleType
from typing import Any

from sequential_adaptor.errors import NotDurable
from sequential_adaptor.runners.fetch import failures
from sequential_adaptor.runners.fetch.hosting import TaskFrame
from sequential_adaptor.runners.fetch.import_hook import when_imported
from sequential_adaptor.runners.fetch.loop import TaskLoop
from sequential_adaptor.runners.fetch.own_transport import OwnTransport
from sequential_adaptor.runners.fetch.wire import request_to_json, response_from_json
from sequential_adaptor.task._host import current
from sequential_adaptor.values import JSON

_LIBRARIES = ("httpx", "httpx2")
# What decides where a connection leads; limits, socket options and the like only say how it is kept.
_OWN = ("verify", "cert", "proxy", "uds", "local_address")


def install() -> None:
    """Change the libraries' transports, now or when they are imported."""
    for library in _LIBRARIES:
        when_imported(f"{library}._transports.default", _change)
    when_imported("anyio._backends._asyncio", _change_anyio)


def _change(module: ModuleType) -> None:
    library = module.__name__.partition(".")[0]
    _change_async(library, module.AsyncHTTPTransport)
    _change_sync(module.HTTPTransport)


def _change_async(library: str, transport: Any) -> None:
    initialise, handle = transport.__init__, transport.handle_async_request
    parameters = signature(initialise)

    def initialise_with_ours(self: Any, *args: Any, **kwargs: Any) -> None:
        given = parameters.bind(self, *args, **kwargs).arguments
        own = {name: given[name] for name in _OWN if given.get(name) not in (None, True)}
        if not own and _frame() is not None:
            # Reading all root certificates takes 20 ms, and a task opens its clients again at each replay.
            kwargs = {name: value for name, value in given.items() if name != "self"}
            kwargs["verify"] = _default_context(library, bool(given.get("trust_env", True)))
            args = ()
        initialise(self, *args, **kwargs)
        self._sequential_own = own

    async def handle_async_request(self: Any, request: Any) -> Any:
        frame = _frame()
        if frame is None:
            return await handle(self, request)
        return await _perform(frame, sys.modules[library], request, getattr(self, "_sequential_own", {}))

    transport.__init__ = initialise_with_ours
    transport.handle_async_request = handle_async_request


def _change_sync(transport: Any) -> None:
    handle = transport.handle_request

    def handle_request(self: Any, request: Any) -> Any:
        frame = current.host
        if isinstance(frame, TaskFrame):
            raise NotDurable(not_durable(frame, f"the synchronous client's {request.method} {request.url.host}"))
        return handle(self, request)

    transport.handle_request = handle_request


def _change_anyio(module: ModuleType) -> None:
    """anyio has threads of its own, which call back into the loop when they like; inside tasks it uses the loop's."""
    backend = module.AsyncIOBackend
    original = backend.run_sync_in_worker_thread

    async def run_sync_in_worker_thread(cls: Any, func: Any, args: Any, *rest: Any, **options: Any) -> Any:
        loop = asyncio.get_running_loop()
        if not isinstance(loop, TaskLoop):
            return await original(func, args, *rest, **options)
        await cls.checkpoint()
        return await loop.run_in_executor(None, partial(copy_context().run, func, *args))

    backend.run_sync_in_worker_thread = classmethod(run_sync_in_worker_thread)


def not_durable(frame: TaskFrame, what: str) -> str:
    """The message for what opens a connection by itself."""
    return (
        f"{frame.own_line()}: {what} would be sent again at every replay, unseen by the task. Two ways out: await it "
        "with httpx.AsyncClient (or fetch), or run the function that does it as step(function, ...)"
    )


async def _perform(frame: TaskFrame, library: Any, request: Any, own: Mapping[str, Any]) -> Any:
    if request.headers.get("upgrade", "").lower() == "websocket":
        raise NotDurable(f"{frame.own_line()}: a WebSocket cannot be durable; let step(...) talk over it")
    body = await _whole_body(frame, request)
    made = request_to_json(request.method, str(request.url), request.headers.multi_items(), body)
    timeout = request.extensions.get("timeout")
    options: dict[str, JSON] = {} if not timeout else {"timeout": dict(timeout)}
    function = OwnTransport(library, own, made, options, frame).send if own else None
    answer = response_from_json(await frame.http("httpx", made, options, _reviving(library, request), function))
    return library.Response(
        status_code=answer.status,
        headers=[(name.encode("ascii"), text.encode("utf-8")) for name, text in answer.headers],
        stream=library.ByteStream(answer.body),
        extensions={"http_version": b"HTTP/1.1"},
    )


async def _whole_body(frame: TaskFrame, request: Any) -> bytes:
    parts, size, limit = [], 0, frame.rules.max_body
    async for part in request.stream:
        parts.append(part)
        size += len(part)
        if size > limit:
            raise NotDurable(f"{frame.own_line()}: a request body beyond {limit} bytes; send it in step(...)")
    return b"".join(parts)


def _reviving(library: Any, request: Any) -> failures.Revive:
    """The same class of exception that the library itself would raise."""

    def revive(operation: str, error: Mapping[str, JSON]) -> BaseException:
        module, _, name = str(error.get("type", "")).rpartition(".")
        kind: Any = getattr(library, name, None) if module in _LIBRARIES else None
        message = error.get("message", "")
        if isinstance(kind, type) and issubclass(kind, library.RequestError):
            return kind(message, request=request)  # type: ignore[no-any-return]  # an exception, as just asked
        if isinstance(kind, type) and issubclass(kind, Exception):
            return kind(message)
        return failures.call_error(operation, error)

    return revive


def _frame() -> TaskFrame | None:
    loop = asyncio._get_running_loop()
    return loop.frame if isinstance(loop, TaskLoop) and isinstance(loop.frame, TaskFrame) else None


@lru_cache(maxsize=8)
def _default_context(library: str, trust_env: bool) -> Any:
    return sys.modules[library].create_ssl_context(verify=True, trust_env=trust_env)
