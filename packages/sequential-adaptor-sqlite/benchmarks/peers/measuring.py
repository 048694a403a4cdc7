"""What all the workflows are measured by."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Awaitable, Callable

STEPS = 10
ROW, BESIDE, LONG = 30, 32, 1_000

Figures = dict[str, float]
Act = Callable[[], Awaitable[object]]


async def measured(name: str, units: int, act: Act) -> Figures:
    wall, cpu = time.perf_counter(), time.process_time()
    await act()
    return {
        f"{name}: wall ms": (time.perf_counter() - wall) / units * 1e3,
        f"{name}: cpu ms": (time.process_time() - cpu) / units * 1e3,
    }


class Worker:
    """A worker in a process of its own, killed in the end."""

    def __init__(self, script: str, argument: str) -> None:
        self._command = [sys.executable, "-c", script, argument]

    def __enter__(self) -> None:
        self._process = subprocess.Popen(self._command, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        self._process.stdout.readline()

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.communicate()
