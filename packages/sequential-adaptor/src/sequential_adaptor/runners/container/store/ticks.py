"""When a file may have been written once more without a trace.

The kernel stamps files with a clock of a few milliseconds. A write in the same tick as the read before it leaves size
and times as they were (git calls such entries racy). So what was written in this very tick is read after it has ended.
"""

from __future__ import annotations

import time

COARSE = 5
"""CLOCK_REALTIMECOARSE of Linux, by which the kernel stamps files."""
_PATIENCE = 0.02
_SECOND = 1_000_000_000


def settle(mtime: int, ctime: int) -> bool:
    """Wait for the end of the tick in which a file was written, if it is this one; whether its stat can be trusted.

    A write sets the mtime, so a file whose mtime is not of now would show it.
    """
    if not is_racy(mtime, ctime):
        return True
    end = time.monotonic() + _PATIENCE
    while time.monotonic() < end:
        time.sleep(0.001)
        if not is_racy(mtime, ctime):
            return True
    return False


def is_racy(mtime: int, ctime: int) -> bool:
    """Whether a write at this moment could leave both times as they are."""
    now = time.clock_gettime_ns(COARSE)
    if mtime % _SECOND == 0 and ctime % _SECOND == 0:  # a file system that counts in seconds, or in two of them
        return now - 2 * _SECOND < min(mtime, ctime)
    return mtime >= now and ctime >= now
