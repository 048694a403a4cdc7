"""What is told of the work must never stop it."""

from __future__ import annotations

import functools
import logging
from collections.abc import Awaitable, Callable
from typing import ParamSpec, TypeVar

logger = logging.getLogger("sequential_adaptor.telemetry")

P = ParamSpec("P")
T = TypeVar("T")


def harmless(tell: Callable[P, T]) -> Callable[P, T | None]:
    """A function that gives ``None`` where it fails, and logs why."""

    @functools.wraps(tell)
    def told(*args: P.args, **named: P.kwargs) -> T | None:
        try:
            return tell(*args, **named)
        except Exception:  # whatever an exporter or a provider does, the run goes on
            logger.exception("%s could not be told; the work goes on", tell.__name__.strip("_"))
            return None

    return told


def harmless_async(tell: Callable[P, Awaitable[T]]) -> Callable[P, Awaitable[T | None]]:
    """The same for a coroutine function."""

    @functools.wraps(tell)
    async def told(*args: P.args, **named: P.kwargs) -> T | None:
        try:
            return await tell(*args, **named)
        except Exception:  # as above
            logger.exception("%s could not be told; the work goes on", tell.__name__.strip("_"))
            return None

    return told
