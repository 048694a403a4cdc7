"""A pytest plugin that runs the examples of Markdown files.

``python -m pytest -p no:randomly -p docs.run_examples README.md docs`` runs them. Each document has an empty folder of
its own, in which its blocks run in order:

- ``python``: run, ``await`` and all, in one namespace and on one event loop for the whole document. A block whose first
  line is a comment with a file name, ``# digest.py``, is written to that file instead.
- ``console``: each line that begins with ``$`` is run by bash. Where lines of output follow, they are what it must
  print, whatever its exit code; where none follow, it must succeed. What it leaves running ends with the document.
- ``text``: what the ``python`` block before it must have printed.
- Everything else is not run, and so is what follows ``<!--- skip: next -->``.
- What follows ``<!--- project: here -->`` has a project as Supabase hosts one, on this machine: Postgres, PostgREST and
  a gateway, whose addresses are in ``DATABASE_URL``, ``SUPABASE_URL`` and ``SUPABASE_SERVICE_KEY``.

In output ``...`` stands for anything. Ids that were made, times, durations and the lengths of spaces, bars and
underlines differ from run to run or from Python to Python, and are not compared.
"""

from __future__ import annotations

import ast
import asyncio
import contextlib
import importlib
import inspect
import io
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from sybil import Document, Example, Region, Sybil
from sybil.parsers.markdown import CodeBlockParser, SkipParser

ROOT = Path(__file__).parents[1]
PARTS = ROOT / "packages" / "sequential-adaptor-supabase" / "tests"
_FILE = re.compile(r"# ([\w./-]+\.\w+)\n")
_SECONDS = 60
_VARYING = (
    (r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", "ID"),
    (r"\d+(\.\d+)? (ms|s|min|h)\b( \d+ (s|min|h)\b)?", "DURATION"),
    (r"\b\d\d:\d\d:\d\d\.\d+", "TIME"),
    (r"\b20\d\d-\d\d-\d\d\b", "DATE"),
    (r"[━╌]+", "━"),
    (r"\s[~^]+(?=\s)", ""),
    (r"\s+", " "),
)


def setup(namespace: dict[str, Any]) -> None:
    """An empty folder and an event loop for a document."""
    namespace["_before"] = Path.cwd()
    namespace["_folder"] = Path(tempfile.mkdtemp(prefix="example-"))
    namespace["_runner"] = asyncio.Runner()
    namespace["_groups"] = []
    namespace["_stack"] = contextlib.ExitStack()
    os.chdir(namespace["_folder"])
    sys.path.insert(0, str(namespace["_folder"]))


def teardown(namespace: dict[str, Any]) -> None:
    """Leave nothing of a document behind."""
    namespace["_runner"].close()
    namespace["_stack"].close()
    for group in namespace["_groups"]:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(group, signal.SIGKILL)
    sys.path.remove(str(namespace["_folder"]))
    os.chdir(namespace["_before"])
    shutil.rmtree(namespace["_folder"])


def run_python(example: Example) -> None:
    """Run a block, or write it to the file that its first line names."""
    source = example.parsed
    names_file = _FILE.match(source)
    if names_file:
        path = example.namespace["_folder"] / names_file[1]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(source, encoding="utf-8")
        return
    source = "\n" * (example.line + example.parsed.line_offset) + source  # a traceback shows the document's own line
    code = compile(source, example.path, "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, dont_inherit=True)
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        result = eval(code, example.namespace)
        if inspect.isawaitable(result):
            example.namespace["_runner"].run(_awaited(result))
    example.namespace["_printed"] = printed.getvalue()


def start_project(example: Example) -> None:
    """Start what a hosted project consists of, for the rest of the document."""
    sys.path.append(str(PARTS))
    project_on_this_machine = importlib.import_module("parts.project").on_this_machine
    stack: contextlib.ExitStack = example.namespace["_stack"]
    settings = stack.enter_context(project_on_this_machine())
    before = {name: os.environ.get(name) for name in settings}
    os.environ.update(settings)
    stack.callback(_restore, before)


def _restore(environment: dict[str, str | None]) -> None:
    for name, value in environment.items():
        if value is None:
            del os.environ[name]
        else:
            os.environ[name] = value


def find_projects(document: Document) -> Iterable[Region]:
    """Where documents ask for a project."""
    for match in re.finditer(r"<!--- project: here -->", document.text):
        yield Region(match.start(), match.end(), "", start_project)


async def _awaited(result: Any) -> Any:
    return await result


def compare_text(example: Example) -> str | None:
    """Compare what the Python block before printed."""
    return _difference("the Python block", example.namespace["_printed"], example.parsed)


def run_console(example: Example) -> str | None:
    """Run each command, and compare what it prints."""
    for block in re.split(r"^\$ ", example.parsed, flags=re.MULTILINE)[1:]:
        command, _, expected = block.partition("\n")
        while command.endswith("\\"):
            more, _, expected = expected.partition("\n")
            command = f"{command[:-1]}{more}"
        code, printed = _run(command, example.namespace)
        if not expected.strip() and code != 0:
            return f"$ {command}\nexit code {code}\n{printed}"
        if expected.strip() and (difference := _difference(f"$ {command}", printed, expected)):
            return difference
    return None


def _run(command: str, namespace: dict[str, Any]) -> tuple[int, str]:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    said = {"PATH": path, "COLUMNS": "120", "NO_COLOR": "1", "NO_PROXY": "127.0.0.1", "PYTHONUTF8": "1"}
    with tempfile.TemporaryFile("w+", encoding="utf-8") as output:  # no pipe, which what runs on would hold open
        process = subprocess.Popen(
            ["bash", "-c", command],
            cwd=namespace["_folder"],
            env={**os.environ, **said},
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        namespace["_groups"].append(process.pid)
        try:
            code = process.wait(timeout=_SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            code = process.wait()
        output.seek(0)
        return code, output.read()


def _difference(what: str, printed: str, expected: str) -> str | None:
    pattern = ".*?".join(re.escape(_constant(part)) for part in expected.split("..."))
    same = re.fullmatch(pattern, _constant(printed))
    return None if same else f"{what}\nprinted\n{printed}\nand not\n{expected}"


def _constant(text: str) -> str:
    """The part of a text that is the same in every run."""
    for pattern, name in _VARYING:
        text = re.sub(pattern, name, text)
    return text.strip()


pytest_collect_file = Sybil(
    parsers=[
        CodeBlockParser("python", run_python),
        CodeBlockParser("text", compare_text),
        CodeBlockParser("console", run_console),
        SkipParser(),
        find_projects,
    ],
    patterns=["*.md"],
    path=str(ROOT),
    setup=setup,
    teardown=teardown,
).pytest()
