"""``asyncio``: what goes through a set of coroutines, whose order differs by process, keeps the order given.

And nobody waits in a thread for what the loop does, which stands still until the thread's function has ended.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterable
from concurrent.futures import Future
from functools import partial
from typing import Any

from sequential_adaptor.errors import NotDurable
from sequential_adaptor.runners.fetch.virtual._frames import frame


def replacements() -> dict[str, Any]:
    """``as_completed``, ``all_tasks`` and ``run_coroutine_threadsafe``."""
    return {
        "as_completed": _as_completed,
        "all_tasks": _all_tasks,
        "run_coroutine_threadsafe": _run_coroutine_threadsafe,
    }


def _as_completed(fs: Iterable[Any], *, timeout: float | None = None) -> Any:
    if frame() is None:
        return asyncio.as_completed(fs, timeout=timeout)
    if asyncio.isfuture(fs) or asyncio.iscoroutine(fs):
        raise TypeError(f"expect an iterable of futures, not {type(fs).__name__}")
    return asyncio.as_completed([asyncio.ensure_future(item) for item in dict.fromkeys(fs)], timeout=timeout)


def _all_tasks(loop: asyncio.AbstractEventLoop | None = None) -> set[asyncio.Task[Any]]:
    found = frame()
    if found is None or (loop is not None and loop is not found.loop):
        return asyncio.all_tasks(loop)
    return {task for task in found.loop.tasks.values() if not task.done()}


def _run_coroutine_threadsafe(coro: Coroutine[Any, Any, Any], loop: asyncio.AbstractEventLoop) -> Future[Any]:
    future = asyncio.run_coroutine_threadsafe(coro, loop)
    found = frame()
    if found is not None and loop is found.loop:  # another one has a thread of its own, and goes on meanwhile
        for name in ("result", "exception"):
            setattr(future, name, partial(_if_done, future, getattr(future, name)))
    return future


def _if_done(future: Future[Any], read: Callable[..., Any], timeout: float | None = None) -> Any:
    found = frame()
    if found is not None and not future.done():
        raise NotDurable(
            f"{found.own_line()}: the loop of a task stands still while a function runs in a thread of it, so what is "
            "waited for here would never end. Return from the function, and await it in the task"
        )
    return read(timeout)
