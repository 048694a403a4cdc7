"""The engine for code that is not async."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from sequential_adaptor.errors import ConfigurationError
from sequential_adaptor.records import TaskFunction
from sequential_adaptor.values import JSON

if TYPE_CHECKING:
    from sequential_adaptor.engine.engine import Engine
    from sequential_adaptor.engine.retention.pruning import Pruned

T = TypeVar("T")


class Blocking:
    """Methods that open the engine, do one thing, close it, and return. None of them may be called from async code."""

    def publish_sync(self, identifier: str, code: str | Path | Callable[..., Any], **options: Any) -> TaskFunction:
        """:meth:`Engine.publish`, blocking."""
        return self._blocking(lambda engine: engine.publish(identifier, code, **options))

    def submit_sync(self, identifier: str, input: JSON = None, **options: Any) -> str:
        """:meth:`Engine.submit`, blocking; returns the run's id."""

        async def submit(engine: Engine) -> str:
            return (await engine.submit(identifier, input, **options)).id

        return self._blocking(submit)

    def run_sync(
        self, identifier: str, input: JSON = None, *, id: str | None = None, timeout: float | None = None
    ) -> JSON:
        """:meth:`Engine.run`, blocking."""
        return self._blocking(lambda engine: engine.run(identifier, input, id=id, timeout=timeout))

    def result_sync(self, run_id: str, timeout: float | None = None) -> JSON:
        """:meth:`RunHandle.result`, blocking."""
        return self._blocking(lambda engine: engine.handle(run_id).result(timeout))

    def fork_sync(self, run_id: str, at: int | str, changes: Mapping[str, Any] | None = None, **options: Any) -> str:
        """:meth:`Engine.fork`, blocking; returns the new run's id."""

        async def fork(engine: Engine) -> str:
            return (await engine.fork(run_id, at, changes, **options)).id

        return self._blocking(fork)

    def retry_sync(self, run_id: str, at: int | str | None = None, **options: Any) -> None:
        """:meth:`Engine.retry`, blocking."""
        self._blocking(lambda engine: engine.retry(run_id, at, **options))

    def prune_sync(self, older_than: timedelta, **options: Any) -> Pruned:
        """:meth:`Engine.prune`, blocking."""
        return self._blocking(lambda engine: engine.prune(older_than, **options))

    def work_sync(self, concurrency: int = 32, lease: float = 30.0, until_idle: bool = False) -> None:
        """:meth:`Engine.work`, blocking."""
        self._blocking(lambda engine: engine.work(concurrency, lease, until_idle))

    def _blocking(self, act: Callable[[Engine], Awaitable[T]]) -> T:
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            return asyncio.run(self._opened(act))
        raise ConfigurationError("the ..._sync methods are for code that is not async; here, await the method itself")

    async def _opened(self, act: Callable[[Engine], Awaitable[T]]) -> T:
        async with self as engine:  # type: ignore[attr-defined]  # it is mixed into Engine
            return await act(engine)
