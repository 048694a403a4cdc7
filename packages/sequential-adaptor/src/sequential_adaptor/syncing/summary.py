"""What a sync has done."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field

from sequential_adaptor.values import JSON


@dataclass(slots=True)
class Summary:
    """``copied`` and ``moved`` runs arrived by this sync, those ``there`` had done so before, or had left the source.

    ``queues`` were made at the target. ``kept`` are keys for which it has another value; ``refused`` says of runs why
    they were left alone.
    """

    functions: int = 0
    keys: int = 0
    calls: int = 0
    copied: int = 0
    there: int = 0
    left_open: int = 0
    moved: list[str] = field(default_factory=list)
    queues: list[str] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)
    refused: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    @property
    def runs(self) -> int:
        """How many runs have been looked at and are settled."""
        return self.copied + self.there + self.left_open + len(self.moved) + len(self.refused)

    def to_json(self) -> JSON:
        """The summary as a JSON object."""
        return asdict(self)
