"""The errors of statecharts, below the one root.

    SequentialError
    └── FlowError
        ├── MachineError (ValueError)      a machine that cannot be right, with every problem at once
        ├── SnapshotError (ValueError)     a snapshot that is not this machine's
        ├── EventError (ValueError)        an event that nobody may send
        ├── ActionFailed                   a guard, action or delay raised; ``__cause__`` is what it raised
        ├── EndlessLoop (RuntimeError)     the machine never came to rest
        └── NotExpressible (ValueError)    another notation cannot say this

The first and the last hold every problem at once, each with its path.
"""

from __future__ import annotations

from collections.abc import Sequence

from sequential_adaptor.errors import SequentialError
from sequential_adaptor.flow.problems import Problem


class FlowError(SequentialError):
    """Something about a statechart."""


class MachineError(FlowError, ValueError):
    """A machine that cannot be right; ``problems`` holds all of them, each with its path."""

    def __init__(self, name: str, problems: Sequence[Problem]) -> None:
        self.name, self.problems = name, tuple(problems)
        count = f"{len(problems)} problem{'s' if len(problems) != 1 else ''}"
        super().__init__("\n  ".join([f"{count} in machine {name!r}:", *problems]))


class SnapshotError(FlowError, ValueError):
    """A snapshot that this machine did not make."""


class EventError(FlowError, ValueError):
    """An event without a type, or of a type that only the machine itself makes."""


class ActionFailed(FlowError):
    """A guard, action or delay raised, or gave back what it must not; ``where`` is its place in the machine."""

    def __init__(self, where: str, what: str, reason: str) -> None:
        self.where, self.what = where, what
        super().__init__(f"{where}: {what} {reason}")


class EndlessLoop(FlowError, RuntimeError):
    """The machine took ``steps`` steps without coming to rest; ``loop`` is what it went round in."""

    def __init__(self, steps: int, loop: Sequence[str]) -> None:
        self.steps, self.loop = steps, tuple(loop)
        super().__init__(f"no rest after {steps} steps; the loop is {' -> '.join(loop)}")


class NotExpressible(FlowError, ValueError):
    """Another notation cannot say this; ``problems`` holds everything that it cannot."""

    def __init__(self, notation: str, problems: Sequence[Problem]) -> None:
        self.notation, self.problems = notation, tuple(problems)
        super().__init__("\n  ".join([f"{notation} cannot express:", *problems]))
