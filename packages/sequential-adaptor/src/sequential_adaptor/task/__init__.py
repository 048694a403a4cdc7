"""What a task calls. Task code has these names anyway; importing them is for editors and type checkers.

Every awaited one is a durable call: it happens at least once, always under the same key, and its outcome is recorded
exactly once. A task that goes on in another process gets the recorded outcome, at the same line. They work inside a
running task only.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, ParamSpec, TypeVar, overload

from sequential_adaptor.task._host import host as _host
from sequential_adaptor.task._response import Headers, Response

__all__ = [
    "Headers",
    "Response",
    "__callHostTool__",
    "call_host_tool",
    "fetch",
    "log",
    "run_task",
    "secret",
    "sleep",
    "step",
    "wait_for_event",
]

P = ParamSpec("P")
T = TypeVar("T")


async def fetch(
    url: str,
    *,
    method: str = "GET",
    headers: Mapping[str, str] | Sequence[tuple[str, str]] | None = None,
    params: Mapping[str, Any] | Sequence[tuple[str, Any]] | None = None,
    json: Any = None,
    data: str | bytes | Mapping[str, Any] | Sequence[tuple[str, Any]] | None = None,
    timeout: float | None = None,
    attempts: int | None = None,
    follow_redirects: bool = True,
    idempotency_key: bool = True,
) -> Response:
    """Send an HTTP request and give its answer, whatever the status.

    - ``params`` are added to the URL's query: a list gives a field several times, ``None`` leaves it out.
    - The body is ``json``, or ``data``: text, bytes, or the fields of a form.
    - ``timeout`` in seconds. A network error, 408, 429 and 5xx are tried again, up to ``attempts`` times in all (5
      unless the worker says otherwise); then the last answer is given, or
      :class:`~sequential_adaptor.errors.ServiceError` raised.
    - POST and PATCH carry an ``Idempotency-Key``, the same at every attempt, unless they have one or
      ``idempotency_key=False``.
    """
    return await _host("fetch").fetch(
        url,
        method=method,
        headers=headers,
        params=params,
        json=json,
        data=data,
        timeout=timeout,
        attempts=attempts,
        follow_redirects=follow_redirects,
        idempotency_key=idempotency_key,
    )


async def call_host_tool(
    service: str, method: str, args: Any = None, *, attempts: int | None = None, timeout: float | None = None
) -> Any:
    """Call a method of a service and give its result; or raise :class:`~sequential_adaptor.errors.ServiceError`."""
    return await _host("call_host_tool").call_host_tool(service, method, args, attempts=attempts, timeout=timeout)


__callHostTool__ = call_host_tool


@overload
async def step(function: Callable[P, Awaitable[T]], /, *args: P.args, **kwargs: P.kwargs) -> T: ...
@overload
async def step(function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T: ...
async def step(function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
    """Run a function on the worker, outside of the task's loop, as one durable call; async or not, it may do anything.

    Arguments (positional ones only) and result are JSON. What it raises is raised here, as the type it was where that
    type can be found again, else as :class:`~sequential_adaptor.errors.CallFailed`.
    """
    if kwargs:
        raise TypeError(
            f"step() takes positional arguments only, not {', '.join(kwargs)}=; use a lambda for the others"
        )
    return await _host("step").step(function, args)


async def sleep(duration: float | timedelta) -> None:
    """Wait for so many seconds, or a ``timedelta``: a call that shows in the run. No process has to stay for it."""
    await _host("sleep").sleep(duration.total_seconds() if isinstance(duration, timedelta) else duration)


async def wait_for_event(name: str, timeout: float | timedelta | None = None) -> Any:
    """Wait for an event sent to the run, and give its data. First in, first out; one that was sent early is kept.

    Raises ``TimeoutError`` after ``timeout`` (seconds, or a ``timedelta``).
    """
    seconds = timeout.total_seconds() if isinstance(timeout, timedelta) else timeout
    return await _host("wait_for_event").wait_for_event(name, timeout=seconds)


async def run_task(
    identifier: str,
    input: Any = None,
    *,
    id: str | None = None,
    detached: bool = False,
    at: datetime | None = None,
    queue: str | None = None,
    priority: int | None = None,
    key: str | None = None,
) -> Any:
    """Run another task as a child, and give its result; :class:`~sequential_adaptor.errors.TaskFailed` where it fails.

    ``id`` names its run. ``detached`` waits for nothing: the call gives back the id of the run, which lives on by
    itself. ``at`` is when it may start; ``queue``, ``priority`` and ``key`` are its place in a queue, as in
    ``Engine.submit``. A parent and its children do not go through one queue with a limit: they would wait for each
    other's slots.
    """
    return await _host("run_task").run_task(
        identifier, input, id=id, detached=detached, at=at, queue=queue, priority=priority, key=key
    )


def secret(name: str) -> str:
    """A placeholder for the keystore's value of that name, to be put into requests and into arguments of services.

    The value itself is put in when the call goes out. It is never in the task's memory, and never stored.
    """
    return _host("secret").secret(name)


def log(*values: object, sep: str = " ") -> None:
    """Write a line into the run's log: once, and not again when the task is replayed. ``print`` does the same."""
    _host("log").log(sep.join(map(str, values)) + "\n")
