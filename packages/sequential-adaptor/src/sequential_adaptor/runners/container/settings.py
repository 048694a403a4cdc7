"""The options of a container runner."""

from __future__ import annotations

import math
import os
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal, get_args

from sequential_adaptor.errors import ConfigurationError
from sequential_adaptor.runners.container.environment import Environment, inherited
from sequential_adaptor.runners.container.isolation import Isolation, NoIsolation

OnDirty = Literal["error", "commit", "discard"]

STATE_DIR = ".statekit"
SHELL = ("/bin/sh", "-c")
STRICT_SHELL = ("/bin/sh", "-e", "-c")


@dataclass(frozen=True, slots=True)
class Settings:
    """Checked options.

    - ``work``: the work directory; ``<state_dir>/work`` where it is ``None``.
    - ``shell``: the words before the command; ``None`` is ``/bin/sh -c``, and ``/bin/sh -e -c`` for cells.
    - ``declared``: variables that every command gets.
    - ``on_dirty``: what becomes of changes by hand before a command or a checkout. ``keep_failed``: what a command that
      failed has done is left where it is. ``output_limit``: bytes of each stream that are kept.
    """

    state_dir: Path
    work: Path | None = None
    isolation: Isolation = field(default_factory=NoIsolation)
    shell: tuple[str, ...] | None = None
    declared: Mapping[str, str] = field(default_factory=dict)
    on_dirty: OnDirty = "error"
    keep_failed: bool = False
    output_limit: int = 1024 * 1024

    def __post_init__(self) -> None:
        if self.on_dirty not in get_args(OnDirty):
            raise ConfigurationError(f"on_dirty is {self.on_dirty!r}; it is one of {', '.join(get_args(OnDirty))}")
        if type(self.output_limit) is not int or self.output_limit < 1:
            raise ConfigurationError(f"output_limit is {self.output_limit!r}; it is a number of bytes, 1 or more")

    def with_work(self, work: Path) -> Settings:
        """The same for another work directory."""
        return replace(self, work=work)

    def shell_for(self, *, strict: bool) -> tuple[str, ...]:
        """The words before a command."""
        return self.shell or (STRICT_SHELL if strict else SHELL)


def state_folder(given: str | os.PathLike[str] | None) -> Path:
    """Where layers are kept: as given, else ``SEQUENTIAL_STATE_DIR``, else ``.statekit``; absolute."""
    return absolute(given or os.environ.get("SEQUENTIAL_STATE_DIR") or STATE_DIR)


def absolute(path: str | os.PathLike[str]) -> Path:
    """The path from the root, ``~`` written out."""
    return Path(path).expanduser().absolute()


def work_folder(given: str | os.PathLike[str] | None) -> Path | None:
    """The work directory: as given, else ``SEQUENTIAL_WORKDIR``, else the state folder's own; absolute."""
    found = given or os.environ.get("SEQUENTIAL_WORKDIR")
    return absolute(found) if found else None


def isolation_name(given: str | None) -> str:
    """As given, else ``SEQUENTIAL_ISOLATION``, else ``none``."""
    return given or os.environ.get("SEQUENTIAL_ISOLATION") or NoIsolation.name


def shell_words(given: str | Sequence[str] | None) -> tuple[str, ...] | None:
    """``"bash -c"`` or ``["bash", "-c"]``, with its program's path."""
    if given is None:
        return None
    import shutil

    words = tuple(shlex.split(given)) if isinstance(given, str) else tuple(given)
    if not words or not all(isinstance(word, str) and word and "\0" not in word for word in words):
        raise ConfigurationError(f"shell is {given!r}; it is the words before a command, as in 'bash -c'")
    program = shutil.which(words[0])
    if program is None:
        raise ConfigurationError(f"there is no shell {words[0]!r} on the PATH")
    return (program, *words[1:]) if len(words) > 1 else (program, "-c")


def declared_variables(given: Mapping[str, str] | None, inherit: Sequence[str]) -> dict[str, str]:
    """Variables that every command gets: those with a value, and those that are taken over from here by name."""
    if isinstance(inherit, str):
        raise ConfigurationError(f"inherit is {inherit!r}; it is a list of names")
    return {**inherited(inherit), **Environment.of(given or {}, {}).declared}


def check_seconds(timeout: object) -> float | None:
    """A time limit, or :class:`ConfigurationError`."""
    if timeout is None:
        return None
    if isinstance(timeout, bool) or not isinstance(timeout, (int, float)) or not 0 < timeout < math.inf:
        raise ConfigurationError(f"timeout is {timeout!r}; it is a number of seconds above 0")
    return timeout
