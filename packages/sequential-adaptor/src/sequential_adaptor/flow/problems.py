"""What is wrong with a machine: each problem with its path in the machine and the offending value."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Self

from sequential_adaptor.errors import nearest


class Problem(str):
    """One problem as text, ``states.pay.on.PAID: no state 'shiped'; nearest is 'shipped'``, with its two halves."""

    __slots__ = ("path", "reason")
    path: str
    reason: str

    def __new__(cls, path: str, reason: str) -> Self:
        """The problem at a path (``""`` is the machine itself)."""
        problem = super().__new__(cls, f"{path or 'machine'}: {reason}")
        problem.path, problem.reason = path, reason
        return problem


class Findings:
    """What loading found: problems, which refuse the machine, and warnings, which do not."""

    def __init__(self) -> None:
        self.problems: list[Problem] = []
        self.warnings: list[Problem] = []

    def problem(self, path: str, reason: str) -> None:
        """Note what cannot be right."""
        self.problems.append(Problem(path, reason))

    def warning(self, path: str, reason: str) -> None:
        """Note what is hardly meant."""
        self.warnings.append(Problem(path, reason))

    def unknown(self, path: str, kind: str, name: str, choices: Iterable[str]) -> None:
        """Note a name that there is not, with the nearest that there is."""
        near = nearest(name, choices)
        self.problem(path, f"no {kind} {name!r}" + (f"; nearest is {near!r}" if near is not None else ""))


def at(path: str, *parts: str | int) -> str:
    """The path of a part: ``at("states.a", "on", "GO", 1)`` is ``states.a.on.GO[1]``."""
    for part in parts:
        if isinstance(part, int):
            path += f"[{part}]"
        else:
            path += f".{part}" if path else part
    return path
