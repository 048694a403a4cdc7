"""The lines that a task prints: each of them once, none again on replay."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable


class RunLog:
    """Collects whole lines. While ``muted`` (what is replayed was logged before), lines are read and dropped.

    ``in_turn`` says whether the writing thread runs the task itself; a step's function, which runs beside it, is
    never replayed.
    """

    __slots__ = ("_beside", "_in_turn", "_lines", "_rest", "muted")

    def __init__(self, in_turn: Callable[[], bool]) -> None:
        self.muted = False
        self._in_turn = in_turn
        self._rest = ""
        self._lines: list[str] = []
        self._beside: deque[str] = deque()

    def write(self, text: str) -> None:
        """Add text; what follows the last newline waits for the next one."""
        if not self._in_turn():
            self._beside.extend(text.removesuffix("\n").split("\n"))
            return
        *lines, self._rest = (self._rest + text).split("\n")
        if not self.muted:
            self._lines += lines

    def take(self, *, all: bool = False) -> tuple[str, ...]:
        """The lines since the last time, those of steps first; with ``all``, one that is not finished too."""
        if all and self._rest:
            self._lines.append(self._rest)
            self._rest = ""
        if not self._lines and not self._beside:
            return ()
        lines, self._lines = self._lines, []
        beside = [self._beside.popleft() for _ in range(len(self._beside))]
        return tuple(_storable(line) for line in (*beside, *lines))


def _storable(line: str) -> str:
    return line if line.isascii() else line.encode("utf-8", "backslashreplace").decode("utf-8")
