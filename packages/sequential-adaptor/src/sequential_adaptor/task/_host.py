"""The way from the functions that a task calls to the frame that runs it."""

from __future__ import annotations

import threading
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from datetime import datetime

    from sequential_adaptor.task._response import Response


class Host(Protocol):
    """What a running task is given; see the functions of the same names in :mod:`sequential_adaptor.task`."""

    def fetch(
        self,
        url: str,
        *,
        method: str,
        headers: Mapping[str, str] | Sequence[tuple[str, str]] | None,
        params: Mapping[str, Any] | Sequence[tuple[str, Any]] | None,
        json: Any,
        data: str | bytes | Mapping[str, Any] | Sequence[tuple[str, Any]] | None,
        timeout: float | None,
        attempts: int | None,
        follow_redirects: bool,
        idempotency_key: bool,
    ) -> Awaitable[Response]: ...

    def call_host_tool(
        self, service: str, method: str, args: Any, *, attempts: int | None, timeout: float | None
    ) -> Awaitable[Any]: ...

    def step(self, function: Callable[..., Any], args: tuple[Any, ...]) -> Awaitable[Any]: ...

    def sleep(self, seconds: float) -> Awaitable[None]: ...

    def wait_for_event(self, name: str, *, timeout: float | None) -> Awaitable[Any]: ...

    def run_task(
        self,
        identifier: str,
        input: Any,
        *,
        id: str | None,
        detached: bool,
        at: datetime | None,
        queue: str | None,
        priority: int | None,
        key: str | None,
    ) -> Awaitable[Any]: ...

    def secret(self, name: str) -> str: ...

    def log(self, text: str) -> None: ...


class _Current(threading.local):
    host: Any = None


current = _Current()
"""``current.host`` is the frame whose code this thread runs, a ``Host``; ``None`` outside of tasks."""


def host(name: str) -> Host:
    """The frame that runs the calling code; :class:`~sequential_adaptor.errors.TaskError` outside of tasks."""
    found: Host | None = current.host
    if found is None:
        from sequential_adaptor.errors import TaskError

        raise TaskError(f"{name}() works inside a running task only; run the code with `sequential run` or Engine.run")
    return found
