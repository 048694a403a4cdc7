"""The container runner: shell commands whose file changes are layers.

    async with create_runner("container", state_dir=".statekit") as runner:
        layer = await runner.run("make")
        layer.hash, layer.cached, layer.changed.added

What it is made of needs modules that only Linux has: it is imported when it is asked for, and elsewhere an error says
so.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from sequential_adaptor.runners.container.platforms import check_platform

if TYPE_CHECKING:
    from sequential_adaptor.runners.container.errors import (
        CommandFailed,
        CommandNotEnded,
        CommandNotStarted,
        CommandStopped,
        CommandTimedOut,
        IsolationUnavailable,
        WorkDirectoryDirty,
    )
    from sequential_adaptor.runners.container.layer import Executed, Layer, Status
    from sequential_adaptor.runners.container.runner import ContainerRunner
    from sequential_adaptor.runners.container.supervising import Line

__all__ = [
    "CommandFailed",
    "CommandNotEnded",
    "CommandNotStarted",
    "CommandStopped",
    "CommandTimedOut",
    "ContainerRunner",
    "Executed",
    "IsolationUnavailable",
    "Layer",
    "Line",
    "Status",
    "WorkDirectoryDirty",
]

_ELSEWHERE = {
    "ContainerRunner": "runner",
    "Executed": "layer",
    "Layer": "layer",
    "Line": "supervising",
    "Status": "layer",
}


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    check_platform()
    return getattr(importlib.import_module(f"{__name__}.{_ELSEWHERE.get(name, 'errors')}"), name)
