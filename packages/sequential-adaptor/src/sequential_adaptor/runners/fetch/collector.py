"""Whether Python's garbage collector is at work: what it comes upon, it comes upon at no time of a task's."""

from __future__ import annotations

import gc
import threading
from typing import Any


class _Collector(threading.local):
    is_at_work: bool = False


collector = _Collector()
"""``collector.is_at_work`` says so for this thread."""


def _note(phase: str, info: dict[str, Any]) -> None:
    collector.is_at_work = phase == "start"


gc.callbacks.append(_note)
