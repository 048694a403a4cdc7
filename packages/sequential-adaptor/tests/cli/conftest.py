"""Running commands: in this process where that is enough, and as real processes where signals and exit matter."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from sequential_adaptor.cli.main import run

SETTINGS = (
    "SEQUENTIAL_STORAGE",
    "DATABASE_URL",
    "SUPABASE_URL",
    "SUPABASE_SERVICE_KEY",
    "SERVICE_BASE_URL",
    "SERVICE_AUTH_TOKEN",
    "COLUMNS",
)

TASKS = {
    "echo": "async def main(input):\n    return input\n",
    "greet": """
from sequential_adaptor.task import step

def greeting(name):
    with open(f"greeted-{name}", "a") as file:
        file.write("x")
    return f"Hello, {name}!"

async def main(input):
    print("going to greet", *input["names"])
    return [await step(greeting, name) for name in input["names"]]
""",
    "slow": """
from sequential_adaptor.task import sleep, step

def note(n):
    with open("noted", "a") as file:
        file.write(f"{n}\\n")
    return n

async def main(input):
    done = []
    for n in range(input["steps"]):
        done.append(await step(note, n))
        await sleep(input["pause"])
    return done
""",
    "failing": """
def divide(x):
    return 1 / x

async def main(input):
    print("\\x1b[2Jdividing")
    return divide(input)
""",
    "waiting": """
from sequential_adaptor.task import wait_for_event

async def main(input):
    return await wait_for_event("approve")
""",
}


@dataclass(frozen=True)
class Result:
    code: int
    out: str
    err: str

    def json(self) -> Any:
        return json.loads(self.out)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of its own with the tasks in it, and nothing set in the environment."""
    for name in SETTINGS:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.chdir(tmp_path)
    for name, code in TASKS.items():
        (tmp_path / f"{name}.py").write_text(code)
    return tmp_path


@pytest.fixture
def sequential(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """``sequential(*arguments, stdin="")`` in this process."""

    def call(*arguments: str, stdin: str = "") -> Result:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin.encode())))
        capsys.readouterr()
        code = run(arguments)
        return Result(code, *capsys.readouterr())

    return call


@pytest.fixture
def start() -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """``start(*arguments)``: a real process, killed when the test ends."""
    begun: list[subprocess.Popen[str]] = []

    def call(*arguments: str, **environment: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-m", "sequential_adaptor.cli", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            encoding="utf-8",
            env={**os.environ, **environment},
        )
        begun.append(process)
        return process

    yield call
    for process in begun:
        process.kill()
        process.communicate()


@pytest.fixture
def finish() -> Callable[[subprocess.Popen[str]], Result]:
    """Wait for a process that was started."""

    def call(process: subprocess.Popen[str]) -> Result:
        out, err = process.communicate(timeout=60)
        return Result(process.returncode, out, err)

    return call
