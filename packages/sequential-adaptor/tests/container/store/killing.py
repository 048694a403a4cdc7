"""A process that starts others on a store, kills each (SIGKILL) at a random instant, and looks at what is left.

    python killing.py FOLDER ROUNDS SEED

What is in a layer follows from the number in its fields, so that whatever is found can be checked against it.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import stat
import sys
import time
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

from sequential_adaptor.runners.container.store import LayerRecord, LayerStore, WorkDirectory

Files = dict[str, tuple[str, int]]
LONGEST = 0.06


def content(number: int) -> Files:
    """The files of a layer: text and bits by path. A few are in every layer, as they are."""
    chance = random.Random(number)
    files = {f"same/{n}": (f"same {n}" * 50, 0o644) for n in range(10)}
    for n in range(chance.randrange(20)):
        path = chance.choice([f"f{n}", f"d{n % 3}/f{n}", f"f{n}/inside"])
        files[path] = (chance.choice(["", f"{number}", f"{n}" * 5000]), chance.choice([0o644, 0o600, 0o755]))
    return files


def write(folder: Path, files: Files) -> None:
    for path, (text, mode) in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text)
        (folder / path).chmod(mode)


def found(folder: Path) -> Files:
    files = {}
    for path in folder.rglob("*"):
        if path.is_file():
            files[str(path.relative_to(folder))] = (path.read_text(), stat.S_IMODE(path.stat().st_mode))
    return files


# ---- the process that is killed


class Worker:
    """Does one thing after the other, and says before each what may be the head, and after it what is."""

    def __init__(self, state: Path, seed: int, say: Callable[[str], None]) -> None:
        self.chance = random.Random(seed)
        self.say = say
        self.store = LayerStore.open(state)
        self.work = self.store.work_directory()
        self.upper = state.parent / "upper"

    def run(self) -> None:
        self.say("ready")
        while True:
            things = [
                self.command,
                self.overlay,
                self.check_out,
                self.check_out,
                self.check_out,
                self.fail,
                self.collect,
            ]
            self.chance.choice(things)()

    def command(self) -> None:
        number = self.begin()
        for path in self.work.path.iterdir():
            if path.name != "same":
                shutil.rmtree(path) if path.is_dir() else path.unlink()
        write(self.work.path, content(number))
        self.done(self.work.publish(*self.layer(number, overlay=False)))

    def overlay(self) -> None:
        """The upper folder takes away what was there, and has all that is to be there."""
        if os.geteuid() != 0:
            return  # only root makes the device that stands for a deletion
        number = self.begin()
        shutil.rmtree(self.upper, ignore_errors=True)
        files = content(number)
        write(self.upper, files)
        self.white_out(Path(), {Path(path) for path in files})
        self.done(self.work.publish(*self.layer(number, overlay=True)))

    def white_out(self, folder: Path, files: set[Path]) -> None:
        for path in (self.work.path / folder).iterdir():
            below = folder / path.name
            if any(below == file or below in file.parents for file in files):
                if path.is_dir() and (self.upper / below).is_dir():
                    self.white_out(below, files)
            else:
                os.mknod(self.upper / below, stat.S_IFCHR, 0)

    def check_out(self) -> None:
        layer = self.chance.choice(self.store.layers() or [None])
        if layer is not None:
            self.say(f"to {layer.fields['number']}")
            self.done(self.work.checkout(layer.hash))

    def fail(self) -> None:
        self.begin()
        (self.work.path / "same" / "3").unlink(missing_ok=True)
        write(self.work.path, {"junk/a": ("junk", 0o644), "same/5": ("not the same", 0o600)})
        self.work.restore()

    def collect(self) -> None:
        layers = [layer.hash for layer in self.store.layers()]
        self.store.gc(keep=None if self.chance.random() < 0.5 else self.chance.sample(layers, len(layers) // 2))

    def begin(self) -> int:
        number = self.chance.getrandbits(40)
        self.say(f"to {number}")
        self.work.begin()
        return number

    def layer(self, number: int, *, overlay: bool) -> tuple[str, object, dict[str, object]]:
        capture = self.work.capture_overlay(self.upper) if overlay else self.work.capture()
        return sha256(b"%d" % number).hexdigest(), capture, {"number": number}

    def done(self, layer: LayerRecord) -> None:
        self.say(f"at {layer.fields['number']}")


# ---- the process that kills


def start(state: Path, seed: int) -> tuple[int, int]:
    """A process that has begun; its number, and where to read what it says."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        try:
            Worker(state, seed, lambda line: os.write(writing, f"{line}\n".encode()) and None).run()
        finally:
            os._exit(1)
    os.close(writing)
    assert os.read(reading, 6) == b"ready\n"
    return child, reading


def kill(child: int, reading: int) -> list[str]:
    """Kill it; the lines that it has said."""
    os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status), "the process ended by itself"
    with os.fdopen(reading) as said:
        return said.read().splitlines()


def possible_heads(lines: list[str], before: int | None) -> set[int | None]:
    """The last that was reached, and where the process was going."""
    possible = {before}
    for line in lines:
        what, number = line.split()
        possible = {int(number)} if what == "at" else possible | {int(number)}
    return possible


def check(state: Path, possible: set[int | None]) -> int | None:
    """The head is one of these, the directory is that head, and the store is whole."""
    with LayerStore.open(state) as store:
        report = store.verify()
        assert report.whole, report.damage
        work: WorkDirectory = store.work_directory()
        number = work.head.fields["number"] if work.head is not None else None
        assert number in possible, (number, possible)
        assert work.status().clean, work.status()
        assert found(work.path) == (content(number) if number is not None else {})
        for layer in store.layers()[-3:]:
            for path, (text, _) in content(layer.fields["number"]).items():
                assert store.read(layer.hash, path) == text.encode()
        return number


def main(folder: Path, rounds: int, seed: int) -> None:
    chance, state = random.Random(seed), folder / "state"
    head: int | None = None
    for round in range(rounds):
        child, reading = start(state, seed * 1000 + round)
        time.sleep(chance.random() * LONGEST)
        head = check(state, possible_heads(kill(child, reading), head))
    print("good")


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
