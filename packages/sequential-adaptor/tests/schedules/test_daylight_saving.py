"""Both changes of the clock, by three real workers of which one is killed where it hurts."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from sequential_adaptor import Engine

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform == "win32", reason="it kills with SIGKILL"),
    pytest.mark.backends("folder", "sqlite", "supabase"),  # those that several processes share
]

WORKER = Path(__file__).with_name("shifted_worker.py")
NIGHTLY = ["20260328T013000Z", "20260329T010000Z", "20260330T003000Z", "20261024T003000Z", "20261025T003000Z",
           "20261026T013000Z"]  # fmt: skip
HOURLY = ["20260329T000000Z", "20260329T010000Z", "20260329T020000Z", "20261024T230000Z", "20261025T000000Z",
          "20261025T010000Z", "20261025T020000Z"]  # fmt: skip


@asynccontextmanager
async def workers(storage: str, offset_file: Path, when: str) -> AsyncIterator[list[asyncio.subprocess.Process]]:
    trap = offset_file.with_name("trap")
    command = (sys.executable, str(WORKER), storage, str(offset_file), str(trap), when)
    started = [await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE) for _ in range(3)]
    try:
        for one in started:
            assert one.stdout is not None
            assert await one.stdout.readline() == b"ready\n"
        yield started
    finally:
        for one in started:
            if one.returncode is None:
                one.kill()
            await one.wait()


@pytest.mark.parametrize("when", ["before", "after"])
async def test_each_time_fires_exactly_one_run_on_both_days(
    engine: Engine,
    storage: str,
    offset_file: Path,
    set_clock: Callable[[datetime], None],
    runs_of: Callable[[Engine, str], Any],
    when: str,
) -> None:
    """2:30 in Berlin, which does not exist in spring and comes twice in autumn, and each full hour there."""
    set_clock(datetime(2026, 3, 28, 1, 10, tzinfo=UTC))
    await engine.schedule("nightly", "note", cron="30 2 * * *", zone="Europe/Berlin", missed="skip")
    await engine.schedule("hourly", "note", cron="0 * * * *", zone="Europe/Berlin", missed="skip")
    expected = sorted([(time, "nightly") for time in NIGHTLY] + [(time, "hourly") for time in HOURLY])
    async with asyncio.timeout(120), workers(storage, offset_file, when) as crew:
        for time, name in expected:
            set_clock(datetime.strptime(time, "%Y%m%dT%H%M%S%z") + timedelta(milliseconds=200))
            while await engine.adapter.get_task_run(f"{name}-{time}") is None:
                await asyncio.sleep(0.05)
            await engine.handle(f"{name}-{time}").result()
    assert [one.returncode for one in crew].count(-signal.SIGKILL) == 3
    assert offset_file.with_name("trap").exists()
    assert await runs_of(engine, "nightly") == NIGHTLY
    assert await runs_of(engine, "hourly") == HOURLY
