"""What came out of replaying."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from sequential_adaptor.errors import SequentialError


@dataclass(frozen=True, slots=True)
class Divergence:
    """Where a run parts from today's code.

    ``call`` is the id of the call, ``None`` where it is the end of the run, or the states of a flow, that differ;
    ``recorded`` and ``now`` are the two sides, ``line`` is where today's code stands (``file.py, line 12``).
    """

    call: str | None
    recorded: str
    now: str
    line: str = ""

    def __str__(self) -> str:
        at = f"{self.line}: " if self.line else ""
        what = f"call {self.call}" if self.call else "the run"
        return f"{at}{what}: recorded {self.recorded}; now {self.now}"


@dataclass(frozen=True, slots=True)
class Replayed:
    """One run that was replayed; ``calls`` is how many of its recorded calls today's code made again."""

    run: str
    task: str
    status: str
    calls: int
    divergence: Divergence | None


class ReplayDiverged(SequentialError, AssertionError):
    """Recorded runs would not go on, or not come to the same end, on today's code."""


@dataclass(frozen=True, slots=True)
class ReplayReport:
    """All runs that were replayed."""

    runs: Sequence[Replayed]

    @property
    def diverged(self) -> list[Replayed]:
        """Those that part from today's code."""
        return [run for run in self.runs if run.divergence is not None]

    @property
    def ok(self) -> bool:
        """Whether none does."""
        return not self.diverged

    def check(self) -> None:
        """Raise :class:`ReplayDiverged` for the runs that do: the last line of a test."""
        if not self.ok:
            raise ReplayDiverged(str(self))

    def to_json(self) -> dict[str, Any]:
        """The report as JSON."""
        return {"ok": self.ok, "runs": [asdict(run) for run in self.runs]}

    def __str__(self) -> str:
        if self.ok:
            return f"{len(self.runs)} of {len(self.runs)} runs replay on today's code"
        lines = [f"{len(self.diverged)} of {len(self.runs)} runs would not go on as they were recorded"]
        lines += [f"{run.run} ({run.task}, {run.status}): {run.divergence}" for run in self.diverged]
        return "\n".join(lines)
