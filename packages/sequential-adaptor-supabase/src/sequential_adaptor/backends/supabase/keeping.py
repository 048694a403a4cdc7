"""Task functions, and lists of names."""

from __future__ import annotations

import re
from typing import Final

from sequential_adaptor.backends.supabase.door import MOST_ROWS, Door
from sequential_adaptor.backends.supabase.rows import TASK_FUNCTIONS
from sequential_adaptor.records import TaskFunction

_SHA256: Final = re.compile(r"[0-9a-f]{64}")


async def get_function(door: Door, identifier: str, version: str | None) -> TaskFunction | None:
    """A version of a function, or the current one."""
    if version is not None and _SHA256.fullmatch(version) is None:
        return None
    rows = await door.call("sequential_get_task_function", {"identifier": identifier, "version": version})
    return TASK_FUNCTIONS.read(rows[0]) if rows else None


async def list_names(door: Door, function: str) -> list[str]:
    """All the names that a function lists, page by page."""
    found: list[str] = []
    while True:
        after = found[-1] if found else ""
        page = [row["name"] for row in await door.call(function, {"max_rows": MOST_ROWS, "after": after})]
        found += page
        if len(page) < MOST_ROWS:
            return found
