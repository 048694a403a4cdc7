"""Storage whose schema is applied beforehand, by whoever may: what such a backend offers to ``sequential migrate``.

A backend that makes its schema when it is opened needs none of this. One whose users must not, or may not, change a
schema by merely opening it, gives its factory an async function ``migrate``, which takes the same options.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Migrated:
    """What was done: the names of the migrations that were applied now, and how many there are altogether."""

    applied: tuple[str, ...]
    total: int

    def to_json(self) -> dict[str, Any]:
        """The same as JSON."""
        return {**asdict(self), "applied": list(self.applied)}

    def __str__(self) -> str:
        if not self.applied:
            return f"nothing to do: {_counted(self.total)} applied already"
        return f"applied {len(self.applied)} of {_counted(self.total)}: {', '.join(self.applied)}"


def _counted(number: int) -> str:
    return f"{number} migration{'' if number == 1 else 's'}"
