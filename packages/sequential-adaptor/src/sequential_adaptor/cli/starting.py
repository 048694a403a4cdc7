"""Files that ``init`` and ``new`` write. Nothing that exists is ever overwritten."""

from __future__ import annotations

import os
import tomllib
from pathlib import Path

from sequential_adaptor.cli.failures import CommandFailed

TASK = '''"""Greets people, one after the other."""

import asyncio

from sequential_adaptor.task import step


def greeting(name):
    """Any Python function can be a step: it is called once, and its result is kept."""
    return f"Hello, {name}!"


async def main(input):
    # Each awaited call is kept when it has ended. Kill this anywhere: it goes on from there, in any process.
    names = (input or {}).get("names", ["Ada", "Grace", "Katherine"])
    greetings = []
    for name in names:
        greetings.append(await step(greeting, name))
        print(greetings[-1])
        await asyncio.sleep(0.5)
    return greetings
'''


def write_new(path: Path, text: str) -> None:
    """Write a file that must not exist yet."""
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError as error:
        raise CommandFailed(f"{path} exists already", "It was left as it is. Choose another name.") from error


def set_storage(project: Path, storage: str) -> bool:
    """Name the storage in a pyproject.toml, made where there is none; ``False`` where it names one already."""
    text = project.read_text(encoding="utf-8") if project.exists() else ""
    if "sequential" in _tools(text, project):
        return False
    separator = "" if not text else "\n" if text.endswith("\n") else "\n\n"
    after = f'{text}{separator}[tool.sequential]\nstorage = "{_escaped(storage)}"\n'
    _tools(after, project)
    temporary = project.with_name(f".{project.name}.new")
    temporary.write_text(after, encoding="utf-8")
    os.replace(temporary, project)
    return True


def _tools(text: str, project: Path) -> dict[str, object]:
    try:
        tools = tomllib.loads(text).get("tool", {})
    except tomllib.TOMLDecodeError as error:
        hint = 'Put it right, or write it by hand: [tool.sequential] storage = "folder:./tasks"'
        raise CommandFailed(f"{project} cannot be read: {error}", hint) from error
    return tools if isinstance(tools, dict) else {}


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')
