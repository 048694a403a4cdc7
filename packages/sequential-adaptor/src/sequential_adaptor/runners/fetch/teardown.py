"""Taking down a frame whose task has not ended: its ``finally`` blocks run, and reach nothing."""

from __future__ import annotations

import asyncio
import gc
from collections import deque
from inspect import CORO_CREATED, getcoroutinestate
from types import AsyncGeneratorType, CellType, CoroutineType, FrameType, GeneratorType
from typing import Any

from sequential_adaptor.runners.fetch.frame import Frame
from sequential_adaptor.task._host import current

_MOST_TRIES = 100
_MOST_LOOKED_AT = 100_000
_EMPTY: tuple[Any, ...] = ((), [], {}, set(), {}.values(), {}.items(), deque())
_HOLDERS: tuple[type, ...] = (
    *(list, tuple, dict, set, frozenset, deque, zip, map, filter, enumerate, reversed),
    *(type(iter(holder)) for holder in _EMPTY),
    *(AsyncGeneratorType, CellType, CoroutineType, FrameType, GeneratorType),
)
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
    if task.done():
        if not task.cancelled():
            task.exception()  # nobody else will ask for it
        return
    coroutine: Any = task.get_coro()
    _close_unstarted(coroutine)
    for _ in range(_MOST_TRIES):
        try:
            coroutine.close()
        except BaseException:  # whatever a `finally` block raises, or its wish to go on awaiting
            continue
        return
    _stubborn.append(coroutine)  # it swallows GeneratorExit for ever; forgetting it would print a complaint


def _close_unstarted(coroutine: Any) -> None:
    """Close the coroutines that it holds and has not awaited yet: Python would warn of each."""
    found, seen = [coroutine], {id(coroutine)}
    while found and len(seen) < _MOST_LOOKED_AT:
        for item in gc.get_referents(found.pop()):
            if id(item) in seen or not isinstance(item, _HOLDERS):
                continue
            seen.add(id(item))
            if type(item) is CoroutineType and getcoroutinestate(item) == CORO_CREATED:
                item.close()
            else:
                found.append(item)
