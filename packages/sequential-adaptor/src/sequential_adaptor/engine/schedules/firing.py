"""Which times fire: a pure function of a schedule, what it has seen to, and the time."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Self

from sequential_adaptor.engine.schedules.settings import MOST_MADE_UP, ScheduleSettings
from sequential_adaptor.records import time_from_text, time_to_text
from sequential_adaptor.values import JSON


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a schedule has come.

    ``next`` is the first time that is not seen to, ``last_run`` the run that it started last, ``problem`` why it could
    not start one.
    """

    next: datetime | None
    last_run: str | None = None
    problem: str | None = None

    def to_json(self) -> dict[str, JSON]:
        """The progress as the state of the schedule's frame."""
        next = None if self.next is None else time_to_text(self.next)
        return {"next": next, "last_run": self.last_run, "problem": self.problem}

    @classmethod
    def from_json(cls, stored: Any) -> Self:
        """The progress that :meth:`to_json` wrote."""
        next = stored["next"]
        return cls(None if next is None else time_from_text(next), stored["last_run"], stored["problem"])


def begun(settings: ScheduleSettings, progress: Progress | None, now: datetime) -> Progress:
    """The progress of a schedule that is made, changed or resumed now: what lies before now is not made up."""
    return replace(progress or Progress(None), next=settings.times.after(now), problem=None)


def fires(settings: ScheduleSettings, progress: Progress, now: datetime, *, overlaps: bool) -> list[datetime]:
    """The times that fire now, oldest first; ``overlaps``: the run before has not ended."""
    if settings.paused or progress.next is None or progress.next > now:
        return []
    due = settings.times.latest(progress.next, now, MOST_MADE_UP)
    in_time = [time for time in due if time >= now - settings.grace]
    if settings.missed == "all":
        wanted = due
    elif settings.missed == "skip" or in_time:
        wanted = in_time
    else:
        wanted = due[-1:]
    if settings.overlap == "skip":
        return [] if overlaps else wanted[-1:]
    return wanted


def after(settings: ScheduleSettings, progress: Progress, now: datetime) -> datetime | None:
    """The first time that is not seen to, once everything up to now is."""
    if progress.next is not None and progress.next > now:
        return progress.next
    return settings.times.after(now)
