"""Code of the container runner: one command, a script of cells, or a list of commands."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass

from sequential_adaptor.errors import ConfigurationError
from sequential_adaptor.runners.container.errors import title

_CELL = re.compile(r"^#[ \t]*%%[ \t]*(.*?)[ \t]*$", re.MULTILINE)
_BASE = re.compile(r"^#[ \t]*from:[ \t]*(\S+)[ \t]*$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Step:
    """One command of a script; a cell's ``strict`` shell stops at its first line that fails."""

    title: str
    command: str
    strict: bool = False


@dataclass(frozen=True, slots=True)
class Script:
    """What a piece of code says: its steps, and the layer that they begin on (``None``: an empty folder).

    - Cells begin with a line ``# %% title``. What stands before the first is a cell as well, where it is more than
      comments; there a line ``# from: REF`` names the layer.
    - A JSON list of texts is a list of commands. Any other text is one command; ``is_single`` says so.
    """

    steps: tuple[Step, ...]
    base: str | None = None
    is_single: bool = False


def read_script(code: str | list[str]) -> Script:
    """The steps of code, or :class:`ConfigurationError` where there are none."""
    if not isinstance(code, (str, list)):
        raise ConfigurationError(f"code is {type(code).__name__}; it is text, or a list of texts")
    commands = _listed(code)
    if commands is not None:
        return _checked(Script(tuple(Step(title(each), each) for each in commands)))
    text = str(code)
    if _CELL.search(text) is None:
        return _checked(Script((Step(title(text), text),), _base(text), is_single=True))
    before, *cells = _CELL.split(text)
    steps = [Step(title(before), before, strict=True)] if _says_something(before) else []
    for name, body in zip(cells[::2], cells[1::2], strict=True):
        if _says_something(body):
            steps.append(Step(name or title(body), body.strip("\n") + "\n", strict=True))
    return _checked(Script(tuple(steps), _base(before)))


def _listed(code: str | list[str]) -> list[str] | None:
    if isinstance(code, list):
        found: object = code
    elif code.lstrip()[:1] == "[":
        try:
            found = json.loads(code)
        except (ValueError, RecursionError):
            return None  # `[` is a command as well
    else:
        return None
    if not isinstance(found, list) or not all(isinstance(each, str) for each in found):
        raise ConfigurationError('a list of commands is a list of texts: ["make", "make test"]')
    return found


def _base(text: str) -> str | None:
    found = _BASE.search(text)
    return found and found[1]


def _says_something(text: str) -> bool:
    return any(line.strip() and not line.lstrip().startswith("#") for line in text.splitlines())


def _checked(script: Script) -> Script:
    if not script.steps or not all(step.command.strip() for step in script.steps):
        raise ConfigurationError("there is no command: write one, or cells that begin with a line '# %% title'")
    for step in script.steps:
        if "\0" in step.command:
            raise ConfigurationError(f"{step.title!r} has a NUL character, which no command can have")
    return script
