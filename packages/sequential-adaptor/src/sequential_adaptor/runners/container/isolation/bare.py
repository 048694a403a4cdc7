"""No isolation at all."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar

from sequential_adaptor.runners.container.isolation.base import Isolation, Place
from sequential_adaptor.runners.container.supervising import Order


class NoIsolation(Isolation):
    """``isolation="none"``, the default."""

    name: ClassVar[str] = "none"
    promise: ClassVar[str] = (
        "It protects against nothing: a command may read and change whatever you may. What it does in the work"
        " directory is kept or undone; what it does elsewhere stays."
    )

    def check(self, scratch: Path) -> None:
        """It is everywhere."""

    def order(self, argv: Sequence[str], environment: Mapping[str, str], place: Place, stdin: bytes | None) -> Order:
        """The command as it is."""
        return Order(tuple(map(os.fsencode, argv)), environment, place.work, stdin)
