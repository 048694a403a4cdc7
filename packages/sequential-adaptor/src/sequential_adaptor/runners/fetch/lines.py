"""Which line of its own a task is at."""

from __future__ import annotations

import sys
from asyncio import Task
from collections.abc import Collection
from types import FrameType
from typing import Any


def line_of(frame: FrameType | None, files: Collection[str]) -> str | None:
    """The innermost line of these files on the stack that ends with ``frame``."""
    while frame is not None:
        if frame.f_code.co_filename in files:
            return f"{frame.f_code.co_filename}, line {frame.f_lineno}"
        frame = frame.f_back
    return None


def running_line(files: Collection[str]) -> str | None:
    """The line that this thread is at."""
    return line_of(sys._getframe(1), files)


def awaited_line(task: Task[Any] | None, files: Collection[str]) -> str | None:
    """The innermost line of these files at which a task awaits."""
    found, inner = None, None if task is None else task.get_coro()
    while inner is not None:
        frame = getattr(inner, "cr_frame", None) or getattr(inner, "gi_frame", None) or getattr(inner, "ag_frame", None)
        if frame is not None and frame.f_code.co_filename in files:
            found = f"{frame.f_code.co_filename}, line {frame.f_lineno}"
        inner = (
            getattr(inner, "cr_await", None) or getattr(inner, "gi_yieldfrom", None) or getattr(inner, "ag_await", None)
        )
    return found
