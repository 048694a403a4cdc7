"""What layers cost, beside git, ``find -printf`` and ``os.scandir`` on the same tree in the same run.

    python benchmarks/container_store.py [FILES] [FOLDER]

Makes a tree of FILES files (50,000; 100 to a folder, 1 to 8 KiB of text each), and takes the median of several rounds,
by the clock and of processors. Then a file of 1 GiB: what its first capture costs, and what appending to it stores.
"""

from __future__ import annotations

import os
import random
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

from sequential_adaptor.runners.container.store import LayerRecord, LayerStore, WorkDirectory

ROUNDS = 5
PER_FOLDER = 100
GIB = 1 << 30
_OPEN = """
import sys, time
from sequential_adaptor.runners.container.store import LayerStore
began, before = time.perf_counter(), time.process_time()
LayerStore.open(sys.argv[1])
print((time.perf_counter() - began) * 1000, (time.process_time() - before) * 1000)
"""


class Cost(NamedTuple):
    """Milliseconds of one round: by the clock, and of processors (ours and those of children)."""

    wall: float
    processor: float


def cost(work: Callable[[], object]) -> Cost:
    """What it costs once."""
    before, began = processor(), time.perf_counter()
    work()
    return Cost((time.perf_counter() - began) * 1000, (processor() - before) * 1000)


def processor() -> float:
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


def show(name: str, *rounds: Cost) -> None:
    wall, processor = (statistics.median(figures) for figures in zip(*rounds, strict=True))
    print(f"{name:<58}{wall:>10.1f} ms{processor:>10.0f} ms", flush=True)


def fill(folder: Path, files: int) -> None:
    """The tree: deterministic, so that runs can be compared."""
    chance = random.Random(1)
    words = [f"{chance.getrandbits(40):x}" for _ in range(5_000)]
    for number in range(files):
        path = folder / f"{number // PER_FOLDER // 20:02}" / f"{number // PER_FOLDER:04}" / f"file-{number:06}.txt"
        if number % PER_FOLDER == 0:
            path.parent.mkdir(parents=True)
        path.write_text(" ".join(chance.choices(words, k=chance.randrange(100, 800))))


def change(folder: Path, number: int) -> None:
    """One file, anew."""
    (folder / "00" / "0001" / "file-000100.txt").write_text(f"round {number}")


def scandir(folder: Path) -> int:
    """The least that Python does to see whether a tree has changed."""
    count, waiting = 0, [os.fspath(folder)]
    while waiting:
        with os.scandir(waiting.pop()) as entries:
            for entry in entries:
                entry.stat(follow_symlinks=False)
                count += 1
                if entry.is_dir(follow_symlinks=False):
                    waiting.append(entry.path)
    return count


def set_aside(folder: Path) -> None:
    """Leave nothing to be seen of a tree; not deleted, for ext4 makes files slowly right after it deleted many."""
    aside = folder.with_name(f"{folder.name}-aside")
    aside.mkdir()
    for path in folder.iterdir():
        if path.name != ".git":
            path.rename(aside / path.name)


def git(folder: Path, *arguments: str) -> None:
    settings = ["-c", "gc.auto=0", "-c", "user.name=a", "-c", "user.email=a@b"]
    subprocess.run(["git", *settings, "-C", os.fspath(folder), *arguments], check=True, stdout=subprocess.DEVNULL)


def commit(folder: Path) -> None:
    git(folder, "add", "-A")
    git(folder, "commit", "-q", "-m", "x")


def publish(work: WorkDirectory) -> LayerRecord:
    """What a command's end costs."""
    capture = work.capture()
    return work.publish(sha256(os.urandom(16)).hexdigest(), capture, {})


def publish_overlay(work: WorkDirectory, upper: Path) -> LayerRecord:
    """The same of a command that ran on an overlay: its changes are brought to the directory too."""
    return work.publish(sha256(os.urandom(16)).hexdigest(), work.capture_overlay(upper), {})


def bare(folder: Path) -> None:
    """What others need for looking at it all."""
    find = ["find", os.fspath(folder), "-printf", "%p %s %m %T@\\n"]
    show("find -printf", *[cost(lambda: subprocess.run(find, stdout=subprocess.DEVNULL)) for _ in range(ROUNDS)])
    show("os.scandir and stat", *[cost(lambda: scandir(folder)) for _ in range(ROUNDS)])


def with_git(folder: Path) -> None:
    git(folder, "init", "-q")
    show("git: add and commit all", cost(lambda: commit(folder)))
    changes, checkouts, alone = [], [], []
    for number in range(ROUNDS):
        change(folder, number)
        changes.append(cost(lambda: commit(folder)))
    for _ in range(ROUNDS):
        alone.append(cost(lambda: git(folder, "status", "--porcelain")))
        checkouts.append(cost(lambda: git(folder, "checkout", "-q", "HEAD~1")))
        git(folder, "checkout", "-q", "-")
    show("git: add and commit one change", *changes)
    show("git: status", *alone)
    show("git: checkout of the neighbour", *checkouts)
    set_aside(folder)
    show("git: restore all (reset --hard)", cost(lambda: git(folder, "reset", "-q", "--hard")))


def with_layers(state: Path, folder: Path) -> None:
    with LayerStore.open(state) as store:
        work = store.work_directory(folder)
        show("layers: capture and publish all", cost(lambda: publish(work)))
        _one_change(work)
        _overlay(work, state.parent / "upper")
        _neighbours(work)
        set_aside(folder)
        show("layers: restore all", cost(work.restore))
        assert work.status().clean
    opened = [sys.executable, "-c", _OPEN, os.fspath(state)]
    figures = [subprocess.check_output(opened).split() for _ in range(ROUNDS)]
    show("layers: open", *[Cost(float(wall), float(processor)) for wall, processor in figures])


def _one_change(work: WorkDirectory) -> None:
    work.status()
    scans, figures = [], []
    for number in range(ROUNDS):
        change(work.path, -1 - number)
        figures.append(cost(lambda: publish(work)))
        scans.append(cost(work.status))
    show("layers: capture and publish one change, by scan", *figures)
    show("layers: status", *scans)


def _overlay(work: WorkDirectory, upper: Path) -> None:
    captures, wholes = [], []
    for number in range(ROUNDS):
        shutil.rmtree(upper, ignore_errors=True)
        (upper / "00" / "0001").mkdir(parents=True)
        change(upper, -100 - number)
        captures.append(cost(lambda: work.capture_overlay(upper)))
        change(upper, -200 - number)
        wholes.append(cost(lambda: publish_overlay(work, upper)))
    show("layers: capture of one change, by overlay", *captures)
    show("layers: the same, published and brought to the directory", *wholes)


def _neighbours(work: WorkDirectory) -> None:
    head = work.head
    assert head is not None
    assert head.parent is not None
    pair = [head.parent, head.hash]
    work.status()
    figures, checks = [], []
    for number in range(2 * ROUNDS):
        checks.append(cost(work.status))
        figures.append(cost(lambda ref=pair[number % 2]: work.checkout(ref)))
    show("layers: checkout of the neighbour", *figures)
    show("layers: the check for changes before it", *checks)


def large_file(state: Path) -> None:
    with LayerStore.open(state) as store:
        work = store.work_directory()
        chance = random.Random(2)
        with (work.path / "large").open("wb") as file:
            for _ in range(GIB >> 20):
                file.write(chance.randbytes(1 << 20))
        show("layers: capture and publish a file of 1 GiB", cost(lambda: publish(work)))
        with (work.path / "large").open("ab") as file:
            file.write(b"one line more\n")
        layers: list[LayerRecord] = []
        show("layers: the same with a line more", cost(lambda: layers.append(publish(work))))
        print(f"{'layers: stored for that line':<58}{layers[0].stored / 1e6:>10.1f} MB")


def main(files: int, folder: Path) -> None:
    print(f"{files:,} files, {PER_FOLDER} to a folder; medians of {ROUNDS} rounds, by the clock and of processors")
    ours, theirs = folder / "ours", folder / "theirs"
    fill(theirs, files)
    fill(ours, files)
    bare(ours)
    with_git(theirs)
    with_layers(folder / "state", ours)
    shutil.rmtree(theirs)
    large_file(folder / "large")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory(dir=sys.argv[2] if len(sys.argv) > 2 else None) as folder:
        main(int(sys.argv[1]) if len(sys.argv) > 1 else 50_000, Path(folder))
