"""Retention: which runs that have ended are forgotten, and which are kept because something needs them."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from sequential_adaptor.engine.retention.tombstones import is_chosen, tombstone
from sequential_adaptor.engine.rules import lanes
from sequential_adaptor.errors import ConfigurationError
from sequential_adaptor.lifecycles import TASK_RUN
from sequential_adaptor.records import StackRun, TaskRun
from sequential_adaptor.storage.changes import Change, Create, Update

PRUNER: Final = "sequential prune"
"""The ``worker`` of a root frame whose run is being forgotten."""


@dataclass(frozen=True, slots=True)
class Retention:
    """For how long runs are kept after they have ended: those with one of ``statuses``, of one ``task`` or of all."""

    keep: timedelta
    statuses: Collection[str] = ("completed", "failed", "cancelled")
    task: str | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.keep, timedelta) or self.keep < timedelta(0):
            raise ConfigurationError(f"runs are kept for {self.keep!r}; it is a time, as in timedelta(days=30)")
        if isinstance(self.statuses, str) or not self.statuses or not set(self.statuses) <= TASK_RUN.ended:
            raise ConfigurationError(
                f"runs that are {self.statuses!r} cannot be pruned; it is a list of some of:"
                f" {', '.join(sorted(TASK_RUN.ended))}"
            )


def why_needed(run: TaskRun, frame: StackRun | None, parent: TaskRun | None) -> str | None:
    """Why a run that has ended, and is old enough, is kept all the same; ``None`` where nothing needs it.

    ``parent`` is the run of which it is a child. A fork needs nothing of its original.
    """
    if parent is not None and parent.status not in TASK_RUN.ended:
        return f"its parent {parent.id} has not ended"
    if isinstance(run.error, dict) and run.error.get("type") == "Moved":
        return "sync may have to finish its move"
    if frame is not None and lanes.queue_of(frame) is not None:
        return "its queue has not seen that it ended"
    return None


def condemned(run: TaskRun, frame: StackRun | None, now: datetime) -> list[Change]:
    """What is written before a run is forgotten: nobody goes on with it, and its id is kept where somebody chose it.

    Nothing of it is written unless the run is still the one that was found, and ended as it was.
    """
    ended = {"ended_at": run.ended_at}
    changes: list[Change] = [Update(TaskRun, run.id, ended, {"status": run.status, **ended})]
    if frame is not None and run.status != "completed":  # somebody may retry it, or its parent, at this very moment
        fields = {"worker": PRUNER, "token": frame.token + 1}
        changes.append(Update(StackRun, frame.id, fields, {"status": frame.status, "token": frame.token}))
    if is_chosen(run):
        changes.append(Create(tombstone(run, now)))
    return changes


def is_condemned(frame: StackRun) -> bool:
    """Whether the run is being forgotten."""
    return frame.worker == PRUNER
