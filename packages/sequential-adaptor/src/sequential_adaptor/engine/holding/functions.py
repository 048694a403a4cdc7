"""Calls the Python functions of steps."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable
from contextvars import copy_context
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from concurrent.futures import ThreadPoolExecutor

_THREADS: Final = 32
"""As many as a worker performs calls at once by default; asyncio's own few are the program's."""


class Functions:
    """Coroutine functions on the running loop, all others in threads, which are started when there is need for them."""

    async def call(self, function: Callable[[], Any]) -> Any:
        """What the function gives, awaited where it is awaitable."""
        if inspect.iscoroutinefunction(function):
            return await function()
        loop, context = asyncio.get_running_loop(), copy_context()
        result = await loop.run_in_executor(self._threads, lambda: context.run(_called, function))
        return await result if inspect.isawaitable(result) else result

    def close(self) -> None:
        """Start no more; what is running goes on."""
        if "_threads" in self.__dict__:
            self._threads.shutdown(wait=False)
            del self.__dict__["_threads"]

    @cached_property
    def _threads(self) -> ThreadPoolExecutor:
        from concurrent.futures import ThreadPoolExecutor  # not needed to import an engine

        return ThreadPoolExecutor(_THREADS, thread_name_prefix="sequential-step")


def _called(function: Callable[[], Any]) -> Any:
    try:
        return function()
    except (StopIteration, GeneratorExit, KeyboardInterrupt) as error:
        # No future can hold the first: it would be lost, and the call with it. The others would stop us, and not it.
        raise RuntimeError(f"the function raised {error!r}") from error
