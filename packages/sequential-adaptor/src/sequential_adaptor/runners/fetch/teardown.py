"""Taking down a frame whose task has not ended: its ``finally`` blocks run, and reach nothing."""

from __future__ import annotations

import asyncio
import functools
import gc
from collections import OrderedDict, defaultdict, deque
from collections.abc import Iterable
from inspect import CORO_CREATED, getcoroutinestate
from types import AsyncGeneratorType, CellType, CoroutineType, FrameType, GeneratorType
from typing import Any

from sequential_adaptor.runners.fetch.frame import Frame
from sequential_adaptor.task._host import current

_MOST_TRIES = 100
_MOST_LOOKED_AT = 100_000
_EMPTY: tuple[Any, ...] = ((), [], {}, set(), {}.values(), {}.items(), deque())
_HOLDERS: frozenset[type] = frozenset(
    (
        *(list, tuple, dict, set, frozenset, deque, defaultdict, OrderedDict),
        *(zip, map, filter, enumerate, reversed, functools.partial),
        *(type(iter(holder)) for holder in _EMPTY),
        *(AsyncGeneratorType, CellType, CoroutineType, FrameType, GeneratorType),
    )
)
_stubborn: list[Any] = []


def take_down(frame: Frame) -> None:
    """Close every coroutine of the frame and its loop. Nothing is called, logged or warned about any more."""
    frame.closed = True
    current.host = frame
    try:
        tasks = list(frame.loop.tasks.values())
        coroutines = [task.get_coro() for task in tasks if not task.done()]
        _close_unstarted(coroutines, frame)
        for coroutine in coroutines:
            _end(coroutine)
        _ask_for_errors(tasks)
        for pending in frame.calls.outstanding.values():
            pending.future.cancel()
        frame.loop.discard()
    finally:
        current.host = None


def _ask_for_errors(tasks: Iterable[asyncio.Task[Any]]) -> None:
    """Nobody else will, and asyncio would complain."""
    for task in tasks:
        if task.done() and not task.cancelled():
            task.exception()


def _end(coroutine: Any) -> None:
    for _ in range(_MOST_TRIES):
        try:
            coroutine.close()
        except BaseException:  # whatever a `finally` block raises, or its wish to go on awaiting
            continue
        return
    _stubborn.append(coroutine)  # it swallows GeneratorExit for ever; forgetting it would print a complaint


def _close_unstarted(coroutines: Iterable[Any], frame: Frame) -> None:
    """Close the coroutines that these hold and have not awaited yet: Python would warn of each."""
    found = list(coroutines)
    seen = {id(frame.modules.builtins), *map(id, found)}
    while found and len(seen) < _MOST_LOOKED_AT:
        for item in gc.get_referents(found.pop()):
            if type(item) not in _HOLDERS or id(item) in seen:
                continue
            seen.add(id(item))
            if type(item) is CoroutineType and getcoroutinestate(item) == CORO_CREATED:
                item.close()
            else:
                found.append(item)
