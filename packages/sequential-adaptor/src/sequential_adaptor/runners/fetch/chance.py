"""A task's chance: bytes that nobody can foresee, and that are the same whenever the task is replayed."""

from __future__ import annotations

import hashlib
import hmac
import os
import random
from collections.abc import Callable
from typing import Any

_BLOCK = 1024
SECRET_MARK = "seqsecret_"


def new_seed() -> str:
    """256 random bits, as hex text."""
    return os.urandom(32).hex()


class Chance:
    """Random bytes from a seed, SHAKE-256 over seed and counter: whoever sees some of them can tell no others."""

    __slots__ = ("_buffer", "_counter", "_seed")

    def __init__(self, seed: str) -> None:
        self._seed = bytes.fromhex(seed)
        self._counter = 0
        self._buffer = b""

    def take(self, count: int) -> bytes:
        """The next ``count`` bytes."""
        while len(self._buffer) < count:
            block = self._seed + b"chance" + self._counter.to_bytes(16, "big")
            self._buffer += hashlib.shake_256(block).digest(_BLOCK)
            self._counter += 1
        taken, self._buffer = self._buffer[:count], self._buffer[count:]
        return taken

    def placeholder(self, name: str) -> str:
        """The text that stands for a secret; data from outside cannot hold it, as it derives from the seed."""
        return SECRET_MARK + hmac.new(self._seed, b"secret:" + name.encode(), "sha256").hexdigest()[:32]


class ChanceRandom(random.Random):
    """``random.Random`` over a source of random bytes; it has no state of its own, and seeding it does nothing."""

    def __init__(self, take: Callable[[int], bytes]) -> None:
        self._take = take
        super().__init__(0)

    def random(self) -> float:
        """A float from [0, 1), with 53 random bits."""
        return (int.from_bytes(self._take(7), "big") >> 3) * 2.0**-53

    def getrandbits(self, k: int, /) -> int:
        """An int with ``k`` random bits."""
        if k < 0:
            raise ValueError("number of bits must be non-negative")
        count = (k + 7) // 8
        return int.from_bytes(self._take(count), "big") >> (count * 8 - k)

    def randbytes(self, n: int) -> bytes:
        """``n`` random bytes."""
        return self._take(n)

    def seed(self, *args: Any, **kwargs: Any) -> None:
        """Nothing: the source is what it is. Any cached half of a pair of Gaussian numbers is forgotten."""
        self.gauss_next = None

    def getstate(self) -> Any:
        """Not possible, as with ``random.SystemRandom``."""
        raise NotImplementedError("the chance of a task has no state to save; use random.Random(seed)")

    def setstate(self, state: Any) -> None:
        """Not possible, as with ``random.SystemRandom``."""
        raise NotImplementedError("the chance of a task has no state to restore; use random.Random(seed)")
