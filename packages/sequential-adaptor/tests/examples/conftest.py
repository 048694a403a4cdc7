"""The examples of this repository, their services in threads, and workers that are killed."""

from __future__ import annotations

import importlib.util
import json
import os
import random
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

LEASE = "1"
EXAMPLES = Path(__file__).resolve().parents[4] / "examples"


@pytest.fixture
def examples() -> Path:
    """The folder of examples; a package that is tested without its repository has none."""
    if not EXAMPLES.is_dir():
        pytest.skip("the examples are in the repository, not in the package")
    return EXAMPLES


@pytest.fixture
def load(examples: Path) -> Callable[[str], ModuleType]:
    """A module of the examples by its path, without leaving bytecode beside it."""

    def call(path: str) -> ModuleType:
        spec = importlib.util.spec_from_file_location(Path(path).stem, examples / path)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[spec.name] = module  # dataclasses look their module up
        before, sys.dont_write_bytecode = sys.dont_write_bytecode, True
        try:
            spec.loader.exec_module(module)
        finally:
            sys.dont_write_bytecode = before
        return module

    return call


@pytest.fixture
def serve() -> Iterator[Callable[[Any], str]]:
    """``serve(server)``: serve in a thread until the test ends; the address."""
    begun: list[Any] = []

    def call(server: Any) -> str:
        begun.append(server)
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        return f"http://127.0.0.1:{server.server_address[1]}"

    yield call
    for server in begun:
        server.shutdown()
        server.server_close()


class Commands:
    """``sequential`` as real processes on one store."""

    def __init__(self, folder: Path, chance: random.Random) -> None:
        self.folder, self.chance = folder, chance
        self.environment = {
            **{name: text for name, text in os.environ.items() if not name.startswith(("SERVICE_", "DATABASE_"))},
            "SEQUENTIAL_STORAGE": f"folder:{folder / 'tasks'}",
            "NO_PROXY": "127.0.0.1",
            "PYTHONDONTWRITEBYTECODE": "1",
        }

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """Begin a command."""
        return subprocess.Popen(
            [sys.executable, "-m", "sequential_adaptor.cli", *arguments],
            cwd=self.folder,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *arguments: str) -> str:
        """Run a command that must succeed; what it printed."""
        process = self.start(*arguments)
        out, err = process.communicate(timeout=100)
        assert process.returncode == 0, err
        return out

    def kill_workers(self, times: int, happened: Callable[[], int], steps: tuple[int, int]) -> None:
        """Start workers one after the other, and kill each at some instant after it has got ahead by some steps."""
        for _ in range(times):
            worker = self.start("work", "--lease", LEASE)
            goal = happened() + self.chance.randint(*steps)
            deadline = time.monotonic() + 30
            while happened() < goal and worker.poll() is None and time.monotonic() < deadline:
                time.sleep(0.001)
            time.sleep(self.chance.random() * 0.02)
            worker.kill()
            worker.communicate()

    def finish(self, run_id: str) -> Any:
        """Let a last worker end everything; the run as ``show`` has it."""
        self.run("work", "--lease", LEASE, "--until-idle")
        return json.loads(self.run("show", run_id, "--json"))


@pytest.fixture
def commands(tmp_path: Path, request: pytest.FixtureRequest) -> Commands:
    """Reproducible: the moments of killing come from the test's name."""
    return Commands(tmp_path, random.Random(request.node.name))
