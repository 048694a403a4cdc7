"""What goes wrong with commands; all of it is a :class:`~sequential_adaptor.errors.SequentialError`.

    ConfigurationError
    └── IsolationUnavailable          this machine does not have it, and what helps
    StorageError
    └── WorkDirectoryDirty            somebody has changed the work directory by hand
    TaskError
    └── CommandFailed                 it ended with another exit code than 0
        ├── CommandTimedOut (TimeoutError)
        ├── CommandNotStarted         no such shell, no such folder
        ├── CommandStopped            it was killed because it was asked for
        └── CommandNotEnded           its supervisor was killed, or it could not be killed

What the store refuses is in :mod:`sequential_adaptor.runners.container.store.errors`.
"""

from __future__ import annotations

import os
from pathlib import Path

from sequential_adaptor.errors import ConfigurationError, StorageError, TaskError
from sequential_adaptor.runners.container.store import Changes, printable

_SHOWN = 5
_TITLE = 60


class IsolationUnavailable(ConfigurationError):
    """An isolation that this machine does not have: ``reason`` says what is missing, ``remedy`` what helps."""

    def __init__(self, name: str, reason: str, remedy: str) -> None:
        self.name, self.reason, self.remedy = name, reason, remedy
        super().__init__(f"isolation {name!r} is not to be had here: {reason}. {remedy}")


class WorkDirectoryDirty(StorageError):
    """The work directory is not as its head left it: ``changes`` says what somebody did by hand; nothing was lost."""

    def __init__(self, path: Path, changes: Changes) -> None:
        self.path, self.changes = path, changes
        found = [*changes.added, *changes.modified, *changes.deleted]
        shown = ", ".join(map(printable, found[:_SHOWN])) + (", ..." if len(found) > _SHOWN else "")
        super().__init__(
            f"{path} was changed by hand ({shown}); keep that with commit(), or throw it away: on_dirty='discard'"
        )


class CommandFailed(TaskError):
    """A command ended with another exit code than 0; it left no layer.

    - ``stdout`` and ``stderr`` are as kept of any command; secrets are hidden.
    - ``exit_code`` is 128 and the signal's number where a signal ended it, ``None`` where it was killed by us.
    - ``kept``: the folder with what it has done, where ``keep_failed`` was asked for.
    """

    def __init__(
        self, command: str, exit_code: int | None, stdout: str = "", stderr: str = "", **facts: object
    ) -> None:
        self.command, self.exit_code, self.stdout, self.stderr = command, exit_code, stdout, stderr
        self.kept: Path | None = None
        for name, value in facts.items():
            setattr(self, name, value)
        last = last_line(stderr) or last_line(stdout)
        super().__init__(f"{title(command)!r} {self._reason()}{last and f': {last}'}")

    def _reason(self) -> str:
        return f"ended with exit code {self.exit_code}"


class CommandTimedOut(CommandFailed, TimeoutError):
    """A command took longer than ``timeout`` seconds, and was killed."""

    timeout: float

    def _reason(self) -> str:
        return f"took longer than {self.timeout:g} s and was killed"


class CommandNotStarted(CommandFailed):
    """A command could not be started: ``part`` of it failed with ``errno``."""

    part: str
    errno: int

    def _reason(self) -> str:
        return f"could not be started ({self.part}: {os.strerror(self.errno)})"


class CommandStopped(CommandFailed):
    """A command was killed because it was asked for."""

    def _reason(self) -> str:
        return "was stopped"


class CommandNotEnded(CommandFailed):
    """Nobody can say how a command ended: its supervisor was killed, or processes of it (``survivors``) are alive."""

    survivors: tuple[int, ...] = ()

    def _reason(self) -> str:
        if self.survivors:
            return f"left processes that cannot be killed ({', '.join(map(str, self.survivors))})"
        return "was lost: its supervisor was killed"


def title(command: str) -> str:
    """A command on one short line."""
    lines = [line.strip() for line in command.splitlines() if line.strip()] or [""]
    doing = [line for line in lines if not line.startswith("#")] or lines
    told = doing[0] if len(doing) == 1 else f"{doing[0]} …"
    return told if len(told) <= _TITLE else f"{told[: _TITLE - 1]}…"


def last_line(text: str) -> str:
    """The last line that says something."""
    return next((line.strip()[:200] for line in reversed(text[-4000:].splitlines()) if line.strip()), "")
