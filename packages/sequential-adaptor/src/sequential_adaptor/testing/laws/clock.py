"""Waiting by the store's clock, which may be another than this machine's."""

from __future__ import annotations

import asyncio
from datetime import datetime

from sequential_adaptor.storage import StorageAdapter


async def past(adapter: StorageAdapter, time: datetime) -> None:
    """Return when the store's clock is past ``time``."""
    while (now := await adapter.now()) <= time:  # noqa: ASYNC110 - no event tells that another machine's clock moved
        await asyncio.sleep((time - now).total_seconds() + 0.001)
