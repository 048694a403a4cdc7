"""``random``: the task's chance. What is seeded is what it is anywhere."""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from typing import Any

from sequential_adaptor.runners.fetch.chance import ChanceRandom
from sequential_adaptor.runners.fetch.virtual._frames import frame

_SEED_BYTES = 2500  # what `random.Random()` itself takes from the system


def replacements() -> dict[str, Any]:
    """The functions of the hidden generator, and the two classes."""
    shared = [name for name in random.__all__ if name not in ("Random", "SystemRandom") and not name.isupper()]
    functions = {name: _function(name) for name in shared}
    return functions | {"seed": _seed, "Random": _Random, "SystemRandom": _SystemRandom}


def take(count: int) -> bytes:
    """Random bytes: of the task that runs in this thread, else of the system."""
    found = frame()
    return os.urandom(count) if found is None else found.chance.take(count)


def _function(name: str) -> Callable[..., Any]:
    def draw(*args: Any, **kwargs: Any) -> Any:
        found = frame()
        return getattr(random if found is None else found.random, name)(*args, **kwargs)

    draw.__name__ = draw.__qualname__ = name
    return draw


def _seed(a: Any = None, version: int = 2) -> None:
    found = frame()
    if found is None:
        random.seed(a, version)
    elif a is None:
        found.random = ChanceRandom(found.chance.take)
    else:
        found.random = random.Random()
        found.random.seed(a, version)


class _Random(random.Random):
    """``random.Random``, whose ``Random()`` and ``seed()`` without a seed take one from the task's chance."""

    def seed(self, a: Any = None, version: int = 2) -> None:
        super().seed(int.from_bytes(take(_SEED_BYTES), "big") if a is None else a, version)


class _SystemRandom(ChanceRandom):
    """``random.SystemRandom`` over the task's chance."""

    def __init__(self, x: Any = None) -> None:
        super().__init__(take)
