"""What stands between a command and the machine."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from sequential_adaptor.runners.container.supervising import Order


@dataclass(frozen=True, slots=True)
class Place:
    """Where a command runs.

    ``home`` is an empty folder of its own; ``scratch`` a folder for what the isolation needs meanwhile, on the file
    system of the state folder. Both are emptied before each command.
    """

    work: Path
    home: Path
    scratch: Path


class Isolation(ABC):
    """One way to run a command; ``promise`` says what one may rely on, and what not."""

    name: ClassVar[str]
    promise: ClassVar[str]
    changes_in_overlay: ClassVar[bool] = False
    """Whether the changes are in :meth:`upper`, and the work directory itself is untouched."""

    @property
    def key(self) -> str:
        """What of it a command's outcome depends on."""
        return self.name

    @abstractmethod
    def check(self, scratch: Path) -> None:
        """Raise :class:`IsolationUnavailable` where this machine does not have it."""

    @abstractmethod
    def order(self, argv: Sequence[str], environment: Mapping[str, str], place: Place, stdin: bytes | None) -> Order:
        """How to start the command."""

    def upper(self, place: Place) -> Path:
        """The folder of changes."""
        raise NotImplementedError(f"isolation {self.name!r} changes the work directory itself")
