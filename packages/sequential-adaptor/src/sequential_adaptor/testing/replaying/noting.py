"""Frames that note each call as it is made, and the line that makes it."""

from __future__ import annotations

import traceback
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sequential_adaptor.records import TaskFunction
from sequential_adaptor.runners.base import Call, Ending
from sequential_adaptor.runners.fetch.program import version_of
from sequential_adaptor.runners.fetch.session import FetchSession


@dataclass
class Noted:
    """The calls by their number, each with its line; ``stands`` is where the code stood when it was stopped, and
    ``ending`` how it had ended by then, if it had.

    ``stem`` is what the code's file is called in tracebacks, and ``name`` what its author calls it.
    """

    stem: str
    name: str
    calls: dict[int, tuple[Call, str]] = field(default_factory=dict)
    stands: str = ""
    ending: Ending | None = None

    def line(self, text: str) -> str:
        """A line as its author knows it."""
        return text.replace(f"{self.stem}.py", self.name).replace(f"{self.stem}/", "")


def note_calls(session: FetchSession, function: TaskFunction, code: str | Path | None) -> Noted:
    """Have the session's frame note its calls."""
    stem = f"{function.identifier or 'task'}@{(function.version or version_of(function))[:12]}"
    is_file = isinstance(code, Path) or (code is not None and code.endswith(".py") and "\n" not in code)
    noted = Noted(stem, str(code) if is_file else f"{function.identifier}.py")
    plain: Any = session.frame_type

    class NotingFrame(plain):  # type: ignore[misc]  # whichever frame the session's runner has
        def begin(self, call: Call, revive: Any) -> Any:
            noted.calls[call.sequence] = (call, noted.line(self.own_line()))
            return super().begin(call, revive)

        def doom(self, error: BaseException) -> None:
            if self._main is not None and self._main.done() and noted.ending is None:
                noted.ending = self._main.result()
                noted.stands = noted.line(_last_line(self.raised, self.program.files))
            elif noted.ending is None:
                noted.stands = noted.line(self.own_line())
            super().doom(error)

    session.frame_type = NotingFrame
    return noted


def _last_line(error: BaseException | None, files: Collection[str]) -> str:
    """The task's own line at which it failed; none where it did not."""
    stack = traceback.extract_tb(None if error is None else error.__traceback__)
    own = [f"{line.filename}, line {line.lineno}" for line in stack if line.filename in files]
    return own[-1] if own else ""
