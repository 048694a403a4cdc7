"""What came out of a torture."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final

KINDS: Final[Mapping[str, str]] = {
    "lost": "a run that was submitted is not in the store",
    "stuck": "a run had not ended when nothing moved any more",
    "twice": "something that happens once was recorded more than once",
    "wrong": "a run ended otherwise than what its calls were answered says, or remembered another past",
    "key changed": "a call went out under more than one key, or a key stood for more than one call",
    "over a limit": "more runs of a queue, or of a key, were on their way at once than it allows",
    "repeated too early": "a call was repeated while its performer before might still have been at it",
}


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is not as it should be; ``kind`` is one of :data:`KINDS`."""

    kind: str
    run: str
    message: str


@dataclass(frozen=True, slots=True)
class Report:
    """What was done to a store, and what was found."""

    storage: str
    seed: int
    tasks: int
    workers: int
    kills: int
    seconds: float
    requests: int
    repeated: int
    failed: int
    dropped: int
    late: int
    findings: tuple[Finding, ...]

    @property
    def ok(self) -> bool:
        """Whether nothing was found."""
        return not self.findings

    def to_json(self) -> dict[str, Any]:
        """The report as JSON."""
        return {"ok": self.ok, **asdict(self), "findings": [asdict(finding) for finding in self.findings]}

    def __str__(self) -> str:
        counts = Counter(finding.kind for finding in self.findings)
        about = (
            f"{self.tasks} tasks, {self.workers} workers, {self.kills} kills, seed {self.seed}, {self.seconds:.1f} s"
        )
        spoilt = f"{self.failed} answered with an error, {self.dropped} not answered"
        late = f", {self.late} sent by workers held up beyond their lease" if self.late else ""
        lines = [
            f"{about} on {self.storage}",
            f"{self.requests} requests to the service: {self.repeated} repeats, {spoilt}{late}",
            ", ".join(f"{counts[kind]} {kind}" for kind in KINDS),
        ]
        lines += [f"  {finding.kind}: {finding.run}: {finding.message}" for finding in self.findings[:20]]
        if len(self.findings) > 20:
            lines.append(f"  and {len(self.findings) - 20} more")
        return "\n".join(lines)
