"""Word of work: whoever waits hears of what may be due, from whichever process, and of nothing else."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from sequential_adaptor import FolderAdapter
from sequential_adaptor.records import StackRun
from sequential_adaptor.storage import Change, Create, Update, Wake

LATER = datetime.now(UTC) + timedelta(days=1)
CALL = StackRun(id="run.1", task_run_id="run", parent_stack_run_id="run", operation="s.a", status="in_progress")
HELD = StackRun(id="held", task_run_id="held", worker="w", token=1, due_at=datetime.now(UTC), lease_expires_at=LATER)


async def waited(adapter: FolderAdapter, seconds: float) -> float:
    began = time.monotonic()
    await adapter.wait_for_work(seconds)
    return time.monotonic() - began


async def quiet(*adapters: FolderAdapter) -> None:
    for adapter in adapters:
        while await waited(adapter, 0.1) < 0.09:
            pass


@pytest.mark.parametrize(
    "changes",
    [
        [Wake("run")],
        [Update(StackRun, "run", {"due_at": datetime.now(UTC), "lease_expires_at": None, "worker": None})],
        [Update(StackRun, "run", {"worker": None, "lease_expires_at": None})],
        [Create(StackRun(id="new", task_run_id="new"))],
        [Create(CALL.replace(status="pending", due_at=LATER))],
    ],
    ids=["a wake-up", "put off", "given back", "a new frame", "a call to be made later"],
)
async def test_what_may_be_due_is_heard_of(tmp_path: Path, changes: list[Change]) -> None:
    async with FolderAdapter(tmp_path) as one, FolderAdapter(tmp_path) as other:
        await one.create_stack_run({"task_run_id": "run"})
        claims = await one.claim_stack_runs("w", lease=60)
        await quiet(one, other)
        waits = [asyncio.create_task(waited(adapter, 20)) for adapter in (one, other)]
        await asyncio.sleep(0.05)
        await one.commit(changes, claims=claims, id="c")
        assert max(await asyncio.gather(*waits)) < 10


@pytest.mark.parametrize(
    "changes",
    [
        [Create(CALL)],
        [Update(StackRun, "run", {"state": {"at": 1}, "status": "in_progress"})],
        [Update(StackRun, "run", {"due_at": None, "worker": None, "lease_expires_at": None})],
        [Create(HELD)],
    ],
    ids=["a call its holder performs", "a step of a task", "a frame that waits", "a frame that is held from the first"],
)
async def test_what_brings_no_work_wakes_nobody(tmp_path: Path, changes: list[Change]) -> None:
    async with FolderAdapter(tmp_path) as one, FolderAdapter(tmp_path) as other:
        await one.create_stack_run({"task_run_id": "run"})
        claims = await one.claim_stack_runs("w", lease=60)
        await quiet(one, other)
        waits = [asyncio.create_task(waited(adapter, 0.4)) for adapter in (one, other)]
        await asyncio.sleep(0.05)
        await one.commit(changes, claims=claims, id="c")
        assert min(await asyncio.gather(*waits)) >= 0.35
