"""Runners in every isolation that there is, and what a work directory holds, in all detail."""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from sequential_adaptor.runners.container import ContainerRunner, Layer

Tree = dict[bytes, tuple[Any, ...]]

collect_ignore_glob = [] if sys.platform == "linux" else ["*"]

ISOLATIONS = ("none", "overlay", "bwrap")


@pytest.fixture(scope="session")
def missing_isolations() -> dict[str, str]:
    """Why an isolation cannot be tested, by its name."""
    import tempfile

    from sequential_adaptor.runners.container import IsolationUnavailable
    from sequential_adaptor.runners.container.isolation import make_isolation

    found = {}
    for name in ISOLATIONS:
        with tempfile.TemporaryDirectory() as folder:
            try:
                make_isolation(name).check(Path(folder))
            except IsolationUnavailable as error:
                found[name] = str(error)
    return found


@pytest.fixture(params=ISOLATIONS)
def isolation(request: pytest.FixtureRequest, missing_isolations: dict[str, str]) -> str:
    """Each isolation. One that is missing fails, unless SEQUENTIAL_TEST_WITHOUT names it: nothing goes untested
    because nobody noticed."""
    name = str(request.param)
    if name in missing_isolations:
        if name in os.environ.get("SEQUENTIAL_TEST_WITHOUT", "").split(","):
            pytest.skip(missing_isolations[name])
        pytest.fail(f"{missing_isolations[name]}. To do without it here: SEQUENTIAL_TEST_WITHOUT={name}")
    return name


@pytest.fixture
async def new_runner(tmp_path: Path) -> AsyncIterator[Callable[..., Any]]:
    """Makes runners, by default on one state folder; what they hold is given back at the end."""
    from sequential_adaptor.runners.container import ContainerRunner

    made: list[ContainerRunner] = []

    async def new(state_dir: Path = tmp_path / "state", **options: Any) -> ContainerRunner:
        runner = ContainerRunner(state_dir, **options)
        made.append(runner)
        await runner.init()
        return runner

    yield new
    for runner in made:
        await runner.dispose()


@dataclass
class Bench:
    """A runner, and what a sequence of commands needs beside it."""

    runner: ContainerRunner
    new: Callable[..., Awaitable[ContainerRunner]]
    tmp: Path
    isolation: str
    lines: list[Any] = field(default_factory=list)

    async def run(self, command: str, **options: Any) -> Layer:
        """The layer of one command."""
        from sequential_adaptor.runners.container import Layer

        found = await self.runner.run(command.replace("4711", _nap()), **options)
        assert isinstance(found, Layer)
        return found

    @property
    def work(self) -> Path:
        """The work directory."""
        return self.runner.workdir

    @property
    def tree(self) -> Tree:
        """What is in it."""
        return _tree(self.work)

    def tree_of(self, folder: Path) -> Tree:
        """What is in a folder."""
        return _tree(folder)

    def sleepers(self) -> list[int]:
        """What is left of commands that would ``sleep 4711``."""
        return _processes(f"sleep\0{_nap()}")

    async def hash(self) -> str | None:
        """The head."""
        head = await self.runner.head()
        return head and head.hash

    async def reopen(self, **options: Any) -> None:
        """The runner anew."""
        await self.runner.dispose()
        self.runner = await self.new(isolation=self.isolation, **options)

    async def there_and_back(self, command: str) -> Layer:
        """The layer of a command; a checkout away and back gives the very same files."""
        start = await self.run("echo start > start")
        before = self.tree
        layer = await self.run(command)
        after = self.tree
        await self.runner.checkout(start.hash)
        assert self.tree == before
        await self.runner.checkout(layer.hash)
        assert self.tree == after
        assert (await self.runner.status()).clean
        return layer


@pytest.fixture
async def bench(isolation: str, new_runner: Callable[..., Awaitable[ContainerRunner]], tmp_path: Path) -> Bench:
    """A runner in each isolation, at its beginning."""
    return Bench(await new_runner(isolation=isolation), new_runner, tmp_path, isolation)


@pytest.fixture
def tree() -> Callable[[Path], Tree]:
    """What a folder holds: kind, permission bits and content of each path."""
    return _tree


def _tree(folder: Path) -> Tree:
    found: Tree = {}
    root = os.fsencode(folder)
    for parent, folders, files in os.walk(root):
        for name in [*folders, *files]:
            path = os.path.join(parent, name)
            found[os.path.relpath(path, root)] = _entry(path)
    return found


def _entry(path: bytes) -> tuple[Any, ...]:
    status = os.lstat(path)
    kind, mode = stat.S_IFMT(status.st_mode), status.st_mode & 0o1777
    if stat.S_ISLNK(kind):
        return (kind, os.readlink(path))
    if stat.S_ISREG(kind):
        with open(path, "rb") as file:
            return (kind, mode, file.read())
    return (kind, mode)


def _nap() -> str:
    """A time that only this process's commands sleep for."""
    return f"4711.{os.getpid()}"


@pytest.fixture
def processes() -> Callable[[str], list[int]]:
    """The living processes whose command line has a text."""
    return _processes


def _processes(text: str) -> list[int]:
    found = []
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            words = Path(f"/proc/{name}/cmdline").read_bytes()
            state = Path(f"/proc/{name}/stat").read_text().rpartition(")")[2].split()[0]
        except (FileNotFoundError, ProcessLookupError):
            continue
        if text.encode() in words and state != "Z" and int(name) != os.getpid():
            found.append(int(name))
    return found
