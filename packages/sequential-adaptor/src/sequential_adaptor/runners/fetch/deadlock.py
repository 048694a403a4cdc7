"""A task that waits for what can never happen."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable
from typing import Any

from sequential_adaptor.errors import TaskError
from sequential_adaptor.runners.fetch.lines import awaited_line


def deadlock(tasks: Iterable[asyncio.Task[Any]], files: Collection[str]) -> TaskError:
    """The error for it, with the lines at which the task's own files wait."""
    lines = {awaited_line(task, files) for task in tasks if not task.done()} - {None}
    return TaskError(
        f"the task waits for what can never happen, at {'; '.join(sorted(map(str, lines))) or 'a line of a library'}: "
        "it has made no call that is still open, and no timer. "
        "A library that works in threads of its own belongs into step(...)"
    )
