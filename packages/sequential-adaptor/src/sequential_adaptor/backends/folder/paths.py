"""Where things are in a store's folder, by names that are safe on every file system.

    functions/<identifier>.py             the current version, as source
    functions/<identifier>.json           its versions
    functions/<identifier>.versions/      their source
    runs/<run id>.json                    a run and its root frame
    runs/<run id>.calls.json              its calls, 200 a file: .calls-2.json, ...
    keystore/<key>.json
    .store/                               lock, journal, index: nothing for people or git

The name of an id with capitals has a hash of it behind, so that two ids never share a file.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path

from sequential_adaptor import ids
from sequential_adaptor.errors import InvalidId


class Paths:
    """The layout of one store."""

    def __init__(self, base: Path) -> None:
        self.base = base
        self.functions = base / "functions"
        self.runs = base / "runs"
        self.keystore = base / "keystore"
        self.store = base / ".store"
        self.commit_lock = self.store / "lock"
        self.files_lock = self.store / "files.lock"
        self.index = self.store / "index"

    @property
    def folders(self) -> tuple[Path, ...]:
        """Every folder that a store has."""
        return self.base, self.functions, self.runs, self.keystore, self.store

    def segment(self, generation: int) -> Path:
        """One generation of the journal."""
        return self.store / f"journal-{generation:08}"

    def segments(self) -> list[int]:
        """The generations of the journal that are there."""
        names = (path.name.removeprefix("journal-") for path in self.store.glob("journal-*"))
        return sorted(int(name) for name in names if name.isdigit())

    def part(self, run_id: str, part: int) -> Path:
        """A file of a run: part 0 is the run and its frame, part n the nth file of its calls."""
        name = _safe(ids.check_run_id(run_id))
        if part == 0:
            return self.runs / f"{name}.json"
        return self.runs / (f"{name}.calls.json" if part == 1 else f"{name}.calls-{part}.json")

    def key(self, key: str) -> Path:
        """The file of a keystore key."""
        return self.keystore / f"{_safe(ids.check_key(key))}.json"

    def keys(self) -> list[str]:
        """The keys that have a file, sorted."""
        return sorted(_names(self.keystore.glob("*.json"), self.key))

    def identifiers(self) -> list[str]:
        """The task functions that have a source, or a list of versions, sorted."""
        sources = _names(self.functions.glob("*.py"), self.source)
        return sorted({*sources, *_names(self.functions.glob("*.json"), self.versions)})

    def source(self, identifier: str) -> Path:
        """The current source of a task function."""
        return self.functions / f"{_safe(ids.check_identifier(identifier))}.py"

    def versions(self, identifier: str) -> Path:
        """What is known about a task function's versions."""
        return self.functions / f"{_safe(ids.check_identifier(identifier))}.json"

    def version_source(self, identifier: str, version: str) -> Path:
        """The source of one version."""
        return self.functions / f"{_safe(ids.check_identifier(identifier))}.versions" / f"{version[:16]}.py"


def _names(files: Iterable[Path], path_of: Callable[[str], Path]) -> Iterator[str]:
    """The ids that files are named after; a file with another name is somebody else's."""
    for file in files:
        name = file.stem.partition("~")[0]
        with suppress(InvalidId):
            if path_of(name) == file:
                yield name


def _safe(name: str) -> str:
    """The name itself, unless a file system that ignores case could take it for another: then with a hash of it."""
    if name == name.lower():
        return name
    return f"{name}~{hashlib.sha256(name.encode('ascii')).hexdigest()[:8]}"
