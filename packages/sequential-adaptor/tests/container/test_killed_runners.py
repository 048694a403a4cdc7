"""SIGKILL of the process of a runner, at random instants: the head is the old layer or the whole new one."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

SCRIPT = Path(__file__).with_name("killable.py")
NAP = f"8642.{os.getpid()}"


def _killed(folder: Path, isolation: str, seconds: float) -> list[str]:
    """What a process said before it was killed, so many seconds after it was open."""
    words = [sys.executable, str(SCRIPT), str(folder), isolation, NAP]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    with process, process.stdout:
        assert process.stdout.readline() == "open\n"
        time.sleep(seconds)
        process.kill()
        return process.stdout.read().splitlines()


async def _look(folder: Path, isolation: str, said: list[str], tree: Callable[[Path], Any], new: Any) -> None:
    """The store is whole, the head is one that may be, the work directory is as the head has it, and goes on."""
    runner = await new(folder / "state", workdir=folder / "work", isolation=isolation)
    status = await runner.status()  # takes the lock: so whatever the command left is dead by now
    assert status.clean, status
    assert (await runner.verify()).whole
    head = await runner.head()
    known = {layer.hash for layer in await runner.history(all=True)}
    whole_lines = [line for line in said if len(line) == 64]
    assert set(whole_lines) <= known
    if whole_lines:
        last = await runner.inspect(whole_lines[-1])
        nearby = {
            last.hash,
            last.parent,
            *(layer.hash for layer in await runner.history(all=True) if layer.parent == last.hash),
        }
        assert head is not None
        assert head.hash in nearby
    if head is not None:
        before = tree(runner.workdir)
        await runner.rebuild()
        assert tree(runner.workdir) == before
    layer = await runner.run("true", cache=False)
    assert layer.parent == (head and head.hash)
    await runner.dispose()


async def _kill_often(
    times: int, folder: Path, isolation: str, tree: Any, processes: Callable[[str], list[int]], new: Any, seed: int
) -> None:
    chance = random.Random(seed)
    for _ in range(times):
        said = _killed(folder, isolation, chance.uniform(0, 0.6))
        await _look(folder, isolation, said, tree, new)
        assert not processes(f"sleep\0{NAP}")


async def test_a_killed_runner_leaves_a_whole_store_and_no_process(
    isolation: str, tmp_path: Path, tree: Any, processes: Any, new_runner: Any
) -> None:
    """In each isolation, a few times."""
    await _kill_often(3, tmp_path, isolation, tree, processes, new_runner, seed=1)


@pytest.mark.slow
@pytest.mark.timeout(600)
async def test_a_runner_that_is_killed_often_leaves_a_whole_store_and_no_process(
    isolation: str, tmp_path: Path, tree: Any, processes: Any, new_runner: Any
) -> None:
    """In each isolation, often, at random instants of run, checkout and gc."""
    await _kill_often(40, tmp_path, isolation, tree, processes, new_runner, seed=2)


def _parent(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


async def test_nobody_gets_the_work_directory_while_anything_of_a_killed_command_is_alive(
    tmp_path: Path, processes: Callable[[str], list[int]], new_runner: Any
) -> None:
    """The supervisor is stopped here, so that it takes its time to end the command."""
    words = [sys.executable, "-m", "sequential_adaptor.cli", "container", "run", f"echo 1 > a; sleep {NAP}; true"]
    process = subprocess.Popen([*words[:-1], "--state-dir", str(tmp_path / "state"), words[-1]])
    while not processes(f"sleep\0{NAP}"):
        assert process.poll() is None
        await asyncio.sleep(0.02)
    (sleeper,) = processes(f"sleep\0{NAP}")
    keeper = _parent(_parent(sleeper))
    guard = _parent(keeper)
    assert _parent(guard) == process.pid
    for supervisor in (guard, keeper):
        os.kill(supervisor, signal.SIGSTOP)
    process.kill()
    process.wait()
    runner = await new_runner(tmp_path / "state")
    looking = asyncio.create_task(runner.status())
    await asyncio.wait({looking}, timeout=1)
    assert not looking.done()
    for supervisor in (keeper, guard):
        os.kill(supervisor, signal.SIGCONT)
    assert (await looking).clean
    assert not processes(f"sleep\0{NAP}")
    assert not list(runner.workdir.iterdir())
