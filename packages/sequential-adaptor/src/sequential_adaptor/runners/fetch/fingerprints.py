"""What a task's replay depends on besides its own code: the Python version, and the modules that it imports."""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Iterable, Mapping
from functools import lru_cache

_OURS = __name__.partition(".")[0]


def python_version() -> str:
    """Of this interpreter."""
    return ".".join(map(str, sys.version_info[:3]))


def of(names: Iterable[str]) -> dict[str, str]:
    """A short text for each imported module: a version, or a hash of its source. Python's and ours are left out."""
    found = {name: _of_module(name) for name in sorted(names) if _counts(name)}
    return {name: text for name, text in found.items() if text is not None}


def changes(python: str, modules: Mapping[str, str]) -> str:
    """A sentence about what is not as it was."""
    now = of(modules)
    changed = [name for name, text in modules.items() if now.get(name, text) != text]
    if python != python_version():
        changed.insert(0, f"Python ({python} then, {python_version()} now)")
    if changed:
        return f"Changed since then: {', '.join(changed)}."
    return (
        "Neither Python nor a module that the task imports has changed since then: the task itself takes another way "
        "each time, as by the order of a set of texts, a file, or the environment. Put what differs into step(...)."
    )


def _counts(name: str) -> bool:
    top = name.partition(".")[0]
    return top not in sys.stdlib_module_names and top != _OURS


def _of_module(name: str) -> str | None:
    module = sys.modules.get(name)
    # Not by attribute: modules may compute it, and warn when they are asked.
    version = vars(sys.modules.get(name.partition(".")[0], sys)).get("__version__")
    if isinstance(version, str):
        return version
    path = getattr(module, "__file__", None)
    return _hash(path, _changed_at(path)) if isinstance(path, str) else None


def _changed_at(path: str) -> int:
    try:
        return os.stat(path).st_mtime_ns
    except OSError:
        return 0


@lru_cache(maxsize=1024)
def _hash(path: str, changed_at: int) -> str | None:
    try:
        with open(path, "rb") as file:
            return hashlib.sha256(file.read()).hexdigest()[:16]
    except OSError:
        return None
