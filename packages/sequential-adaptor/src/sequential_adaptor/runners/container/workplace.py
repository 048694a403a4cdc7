"""A store and the work directory that a runner has in it. Everything here blocks."""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import os
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from sequential_adaptor import values
from sequential_adaptor.errors import ConfigurationError
from sequential_adaptor.records import time_to_text
from sequential_adaptor.runners.container import folders, keys
from sequential_adaptor.runners.container.errors import WorkDirectoryDirty
from sequential_adaptor.runners.container.isolation import Place
from sequential_adaptor.runners.container.settings import Settings
from sequential_adaptor.runners.container.store import (
    Changes,
    LayerRecord,
    LayerStore,
    WorkDirectory,
    WorkDirectoryBusy,
)
from sequential_adaptor.values import JSON

_LOOK = 0.05
_CALLS_ARE_REMEMBERED = 30 * 86_400
"""Seconds; no worker takes longer to make a call once more."""
_AFTER_A_KILL = 10.0
"""Seconds that the supervisor of a killed process has to end its command and let go of the work directory."""


class Workplace:
    """Holds the lock of the work directory from the first need to :meth:`close`, or for one piece of work at a time.

    One thread at a time is in the work directory; what only reads layers needs no lock.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._store: LayerStore | None = None
        self._turn = threading.RLock()
        self._held: WorkDirectory | None = None
        self._kept = False

    def open(self) -> None:
        """Open the store, and see that the isolation is to be had."""
        if self._store is None:
            self._store = LayerStore.open(self.settings.state_dir)
            self.check_isolation()

    @property
    def store(self) -> LayerStore:
        """The open store."""
        if self._store is None:
            raise ConfigurationError("the container runner is not open; make one with create_runner('container')")
        return self._store

    @property
    def path(self) -> Path:
        """The work directory."""
        return self.settings.work or self.settings.state_dir / "work"

    @property
    def head_hash(self) -> str | None:
        """The hash of the head, also while somebody else works."""
        if self._held is not None:
            return hash_of(self._held.head)
        heads = {os.path.realpath(path): head for path, head in self.store.heads().items()}
        return heads.get(os.path.realpath(self.path))

    @contextlib.contextmanager
    def work(self, *, keep: bool = True, waits: Callable[[], bool] = lambda: False) -> Iterator[WorkDirectory]:
        """The work directory, ours alone.

        With ``keep`` it stays ours until :meth:`close`. Where somebody else has it, it is waited for as long as
        ``waits()`` says so.
        """
        with self._turn:
            if self._held is None:
                self._held = self._taken(waits)
            self._kept = self._kept or keep
            try:
                yield self._held
            finally:
                if not self._kept:
                    self._give_back()

    def close(self) -> None:
        """Give back locks and files. Twice is harmless; layers stay."""
        with self._turn:
            self._kept = False
            self._give_back()
            store, self._store = self._store, None
            if store is not None:
                store.close()

    # ---- the work directory between commands

    def make_clean(self, work: WorkDirectory, ignore: Sequence[str] = (), *, force: bool = False) -> None:
        """See to changes by hand as ``on_dirty`` says; with ``force`` they are thrown away."""
        changes = work.status(ignore)
        if changes.clean:
            return
        if force or self.settings.on_dirty == "discard":
            work.restore(ignore)
        elif self.settings.on_dirty == "commit":
            self.commit(work, "changed by hand", ignore)
        else:
            raise WorkDirectoryDirty(work.path, changes)

    def move(self, work: WorkDirectory, hash: str | None) -> None:
        """Bring the clean work directory to a layer; ``None`` is the empty folder."""
        if hash == hash_of(work.head):
            return
        if hash is None:
            work.clear()
        else:
            work.checkout(hash)

    def commit(self, work: WorkDirectory, message: str, ignore: Sequence[str] = ()) -> LayerRecord:
        """Adopt what is in the work directory as a layer."""
        if "\0" in message or not message.strip():
            raise ConfigurationError("a commit has a message that says what was changed")
        capture = work.capture(ignore)
        fields = {"kind": "commit", "message": message, "changed": capture.changes.as_json(), "time": now_as_text()}
        return work.publish(keys.commit_key(message, hash_of(work.head)), capture, fields)

    def place(self) -> Place:
        """Where the next command runs, with an empty home and scratch."""
        name, state = folders.name_of(self.path), self.settings.state_dir
        home, scratch = state / "homes" / name, state / "overlays" / name
        return Place(self.path, folders.emptied(home), folders.emptied(scratch))

    def check_isolation(self) -> None:
        """Raise :class:`IsolationUnavailable` where this machine does not have what was asked for."""
        parent = self.settings.state_dir / "overlays"
        parent.mkdir(parents=True, exist_ok=True)
        scratch = Path(tempfile.mkdtemp(prefix="trial-", dir=parent))
        try:
            self.settings.isolation.check(scratch)
        finally:
            folders.remove(scratch)

    def new_fork(self) -> Path:
        """A new folder for another work directory."""
        forks = self.settings.state_dir / "forks"
        forks.mkdir(parents=True, exist_ok=True)
        for number in itertools.count(1):
            fork = forks / str(number)
            with contextlib.suppress(FileExistsError):
                fork.mkdir()
                return fork
        raise AssertionError("there is always a next number")

    def remembered(self, call: str, head: str | None) -> str | None:
        """The head on which a call was first begun: this one, if it is begun now. It survives us."""
        memory = self.settings.state_dir / "calls" / hashlib.sha256(call.encode("utf-8")).hexdigest()
        with contextlib.suppress(FileNotFoundError):
            found: str | None = values.decode(memory.read_bytes())["head"]
            return found
        memory.parent.mkdir(parents=True, exist_ok=True)
        self._forget_old_calls(memory.parent)
        written = memory.with_suffix(f".{os.getpid()}")
        with written.open("wb") as file:
            file.write(values.encode({"head": head}).encode("utf-8"))
            file.flush()
            os.fsync(file.fileno())
        written.replace(memory)
        return head

    def _forget_old_calls(self, memories: Path) -> None:
        for memory in memories.iterdir():
            with contextlib.suppress(FileNotFoundError):  # somebody else was quicker
                if memory.stat().st_mtime < time.time() - _CALLS_ARE_REMEMBERED:
                    memory.unlink()

    def tidy(self, place: Place) -> None:
        """Take away what a command left outside of the work directory."""
        folders.remove(place.scratch)
        folders.emptied(place.home)

    # ---- the lock

    def _taken(self, waits: Callable[[], bool]) -> WorkDirectory:
        until = time.monotonic() + _AFTER_A_KILL
        while True:
            try:
                return self.store.work_directory(self.settings.work)
            except WorkDirectoryBusy as error:
                if not waits() and (_is_alive(error.holder) or time.monotonic() > until):
                    raise
                time.sleep(_LOOK)

    def _give_back(self) -> None:
        held, self._held = self._held, None
        if held is not None:
            held.close()


def _is_alive(process: int | None) -> bool:
    """Whether a holder is there still; where it is dead, its command is about to be."""
    try:
        os.kill(process or 1, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def hash_of(record: LayerRecord | None) -> str | None:
    """The hash of a layer that may not be."""
    return None if record is None else record.hash


def changes_as_json(changes: Changes) -> dict[str, JSON]:
    """Lists of paths, and whether they are empty."""
    return {**changes.as_json(), "clean": changes.clean}


def now_as_text() -> str:
    """The time, as it is stored."""
    from datetime import UTC, datetime

    return time_to_text(datetime.now(UTC))
