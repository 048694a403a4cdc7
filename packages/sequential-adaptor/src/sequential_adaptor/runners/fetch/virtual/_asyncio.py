"""``asyncio``: what goes through a set of coroutines, whose order differs by process, keeps the order given."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any

from sequential_adaptor.runners.fetch.virtual._frames import frame


def replacements() -> dict[str, Any]:
    """``as_completed`` and ``all_tasks``."""
    return {"as_completed": _as_completed, "all_tasks": _all_tasks}


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
