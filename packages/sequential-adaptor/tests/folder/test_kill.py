"""Killed processes (SIGKILL, at any moment): what they were told is there, whole, and the others go on."""

from __future__ import annotations

import asyncio
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from sequential_adaptor.backends.folder import FolderAdapter
from sequential_adaptor.records import StackRun

pytestmark = pytest.mark.slow

CHILD = Path(__file__).with_name("committing.py")


def start(base: Path, name: str, durability: str) -> subprocess.Popen[bytes]:
    """A child that has begun to commit."""
    command = [sys.executable, "-W", "error", str(CHILD), str(base), name, durability]
    child = subprocess.Popen(command, stdout=subprocess.PIPE)
    assert child.stdout is not None
    assert child.stdout.readline() == b"ready\n"
    return child


def kill(child: subprocess.Popen[bytes]) -> list[int]:
    """Kill it; the last number of each lane that it said in full."""
    child.send_signal(signal.SIGKILL)
    output, _ = child.communicate()
    acknowledged = [0] * 4
    for line in output.splitlines(keepends=True):
        if line.endswith(b"\n"):
            lane, number = map(int, line.split())
            assert number == acknowledged[lane] + 1
            acknowledged[lane] = number
    return acknowledged


async def check(adapter: FolderAdapter, name: str, acknowledged: list[int]) -> None:
    """Everything acknowledged is there; at most one commit more in each lane; each of them whole."""
    for lane, last in enumerate(acknowledged):
        found: dict[int, StackRun] = {}
        for one in await adapter.query_stack_runs({"task_run_id": name}):
            if one.id.startswith(f"{name}.{lane}."):
                found[int(one.id.rpartition(".")[2])] = one
        assert sorted(found) in (list(range(1, last + 1)), list(range(1, last + 2)))
        for number, one in found.items():
            assert one.result == "x" * number
            assert one.position == (number + 1 if number < len(found) else None)


@pytest.mark.parametrize("durability", ["power", "process"])
async def test_killed_at_random(base: Path, durability: str) -> None:
    """Two processes on one store, each killed again and again, while journal and files are cut and rewritten."""
    chance = random.Random(7)
    for round in range(4):
        names = [f"a{round}", f"b{round}"]
        children = [start(base, name, durability) for name in names]
        time.sleep(chance.random())
        first = chance.randrange(2)
        acknowledged = {names[first]: kill(children[first])}
        time.sleep(chance.random() / 4)
        acknowledged[names[1 - first]] = kill(children[1 - first])
        async with FolderAdapter(base) as adapter:
            for name in names:
                await check(adapter, name, acknowledged[name])


async def test_a_killed_holder_of_the_lock_holds_up_nobody(base: Path) -> None:
    """The kernel frees the lock of a dead process: the next commit goes through at once."""
    async with FolderAdapter(base) as adapter:
        for round in range(3):
            kill(start(base, f"c{round}", "power"))
            await asyncio.wait_for(adapter.create_stack_run(StackRun(task_run_id="mine", operation="a")), 5)
