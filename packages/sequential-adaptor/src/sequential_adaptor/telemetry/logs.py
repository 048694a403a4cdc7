"""Which run and which call a log line is about."""

from __future__ import annotations

import logging
from collections.abc import MutableMapping
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from sequential_adaptor.task._host import current

if TYPE_CHECKING:
    from sequential_adaptor.records import StackRun

_about: ContextVar[tuple[str, str]] = ContextVar("sequential_adaptor_about", default=("", ""))


def about(run_id: str, call_id: str = "") -> None:
    """What this task, and those that it starts, logs from now on is about that run, and that call if one is named."""
    _about.set((run_id, call_id))


class AboutCall:
    """What is logged meanwhile is about the call, also by what performs it."""

    def __init__(self, call: StackRun) -> None:
        self._call = call

    def __enter__(self) -> None:
        self._token = _about.set((self._call.task_run_id, self._call.id))

    def __exit__(self, *_: object) -> None:
        _about.reset(self._token)


class RunLogger(logging.LoggerAdapter[logging.Logger]):
    """A logger whose records have ``run_id`` and ``call_id``; empty text where there is none."""

    def __init__(self, name: str) -> None:
        super().__init__(logging.getLogger(name))

    def process(self, msg: Any, kwargs: MutableMapping[str, Any]) -> tuple[Any, MutableMapping[str, Any]]:
        run_id, call_id = _about.get()
        kwargs["extra"] = {"run_id": run_id, "call_id": call_id, **(kwargs.get("extra") or {})}
        return msg, kwargs


class RunIds(logging.Filter):
    """A filter for handlers: every record gets ``run_id`` and ``call_id``, whoever logged it, if it came from a task,
    from what performs one of its calls, or from the engine at work on it; empty text elsewhere.

    What a task's own code logs while it is replayed was logged before, and is left out.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        host = current.host  # the task's own code runs in a thread that knows its frame
        run_id, call_id = _about.get() if host is None else (host.assignment.run_id, "")
        if not hasattr(record, "run_id"):
            record.run_id, record.call_id = run_id, call_id
        return host is None or not host.log_lines.muted
