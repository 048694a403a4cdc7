"""``os``: its random bytes are the task's chance, and it starts no processes."""

from __future__ import annotations

import os
from typing import Any

from sequential_adaptor.runners.fetch.virtual._random import take
from sequential_adaptor.runners.fetch.virtual._subprocess import refused_in_tasks

_STARTING = ("fork", "popen", "posix_spawn", "posix_spawnp", "system")


def replacements() -> dict[str, Any]:
    """``urandom`` and ``getrandom``, and what starts a process."""
    made: dict[str, Any] = {"urandom": take, "getrandom": _getrandom}
    made |= {name: refused_in_tasks(f"os.{name}", getattr(os, name)) for name in _STARTING if hasattr(os, name)}
    return {name: function for name, function in made.items() if hasattr(os, name)}


def _getrandom(size: int, flags: int = 0) -> bytes:
    return take(size)
