"""Taking down a frame whose task has not ended: its ``finally`` blocks run, and reach nothing."""

from __future__ import annotations

import asyncio
from typing import Any

from sequential_adaptor.runners.fetch.frame import Frame
from sequential_adaptor.task._host import current

_MOST_TRIES = 100
_stubborn: list[Any] = []


def take_down(frame: Frame) -> None:
    """Close every coroutine of the frame and its loop. Nothing is called, logged or warned about any more."""
    frame.closed = True
    current.host = frame
    try:
        for task in list(frame.loop.tasks.values()):
            _end(task)
        for future in [pending.future for pending in frame.calls.outstanding.values()]:
            future.cancel()
        frame.loop.discard()
    finally:
        current.host = None


def _end(task: asyncio.Task[Any]) -> None:
    task._log_destroy_pending = False  # type: ignore[attr-defined]  # asyncio's own switch for tasks that end unfinished
    if task.done():
        task.cancelled() or task.exception()  # nobody else will ask for it
        return
    coroutine: Any = task.get_coro()
    for _ in range(_MOST_TRIES):
        try:
            coroutine.close()
        except BaseException:  # noqa: BLE001, S112 - whatever a `finally` block raises, or its wish to go on awaiting
            continue
        return
    _stubborn.append(coroutine)  # it swallows GeneratorExit for ever; forgetting it would print a complaint
