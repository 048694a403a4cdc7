"""``subprocess``: a task's own code starts none, because every replay would start it again."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from typing import Any

from sequential_adaptor.errors import NotDurable
from sequential_adaptor.runners.fetch.virtual._frames import frame

_STARTING = ("call", "check_call", "check_output", "getoutput", "getstatusoutput", "run")


def replacements() -> dict[str, Any]:
    """Whatever starts a process."""
    return {"Popen": _Popen} | {
        name: refused_in_tasks(f"subprocess.{name}", getattr(subprocess, name)) for name in _STARTING
    }


def refused_in_tasks(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    """The function, for code that no task runs."""

    def refuse(*args: Any, **kwargs: Any) -> Any:
        _refuse(name)
        return function(*args, **kwargs)

    refuse.__name__ = refuse.__qualname__ = name.rpartition(".")[2]
    return refuse


class _Popen(subprocess.Popen[Any]):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        _refuse("subprocess.Popen")
        super().__init__(*args, **kwargs)

    def __del__(self, *args: Any) -> None:
        if hasattr(self, "pid"):  # else it was refused
            super().__del__(*args)


def _refuse(name: str) -> None:
    found = frame()
    if found is not None:
        raise NotDurable(
            f"{found.own_line()}: {name}() would start the process again at every replay. Run it as step(function, ...)"
        )
