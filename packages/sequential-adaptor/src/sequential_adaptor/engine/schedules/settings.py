"""What a schedule is told: values that are stored with it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Self

from sequential_adaptor import ids, values
from sequential_adaptor.engine.queues.settings import Place
from sequential_adaptor.engine.schedules.times import Cron, Interval, Times
from sequential_adaptor.errors import ConfigurationError, InvalidId
from sequential_adaptor.records import check_time, time_from_text, time_to_text
from sequential_adaptor.values import JSON

_PREFIX: Final = "schedule-"
_LONGEST_NAME: Final = 47
"""The ids of its runs are its name and a time, and no longer than 64 characters."""
_RULE: Final = f"1 to {_LONGEST_NAME} characters, A-Z a-z 0-9 _ - only, and a letter or digit first"
MISSED: Final = ("latest", "skip", "all")
OVERLAP: Final = ("allow", "skip")
GRACE: Final = timedelta(minutes=1)
MOST_MADE_UP: Final = 100


@dataclass(frozen=True, slots=True)
class ScheduleSettings:
    """What a schedule does, and when.

    - ``cron`` in ``zone``, or ``every`` so much time from ``start`` on (see :mod:`.times`).
    - ``missed`` is what becomes of times that are seen to more than ``grace`` late, because nobody worked on the store:
      ``"latest"`` runs the last of them, ``"skip"`` none, ``"all"`` all of them, the last 100 at most.
    - ``overlap`` is what happens while the run before has not ended: ``"allow"`` starts another, ``"skip"`` none. One
      after the other is a ``queue`` with a limit of one.
    - ``queue``, ``priority`` and ``key`` are the place of its runs in a queue.
    """

    task: str
    input: JSON = None
    cron: str | None = None
    zone: str = "UTC"
    every: timedelta | None = None
    start: datetime | None = None
    missed: str = "latest"
    grace: timedelta = GRACE
    overlap: str = "allow"
    queue: str | None = None
    priority: int | None = None
    key: str | None = None
    paused: bool = False

    def __post_init__(self) -> None:
        ids.check_identifier(self.task)
        values.check(self.input, "$.input")
        _check_choice("missed", self.missed, MISSED)
        _check_choice("overlap", self.overlap, OVERLAP)
        if (self.cron is None) == (self.every is None):
            raise ConfigurationError("a schedule has either a cron expression or an interval: cron=... or every=...")
        if not isinstance(self.grace, timedelta) or not timedelta(0) <= self.grace <= timedelta(days=366):
            raise ConfigurationError(f"grace is {self.grace!r}; it is a timedelta from 0 to 366 days")
        if self.start is not None:
            check_time(self.start, "start")
        if self.queue is not None:
            Place(self.queue, self.priority or 0, self.key)
        _ = self.times

    @property
    def times(self) -> Times:
        """When it fires."""
        if self.cron is not None:
            return Cron(self.cron, self.zone)
        assert self.every is not None  # it is one or the other
        return Interval(self.every, self.start or datetime(2000, 1, 1, tzinfo=UTC))

    def to_json(self) -> dict[str, JSON]:
        """The settings as they are stored."""
        found = {field.name: getattr(self, field.name) for field in fields(self)}
        found["every"] = None if self.every is None else self.every // timedelta(seconds=1)
        found["start"] = None if self.start is None else time_to_text(self.start)
        found["grace"] = self.grace // timedelta(microseconds=1)
        return found

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> Self:
        """The settings that :meth:`to_json` wrote."""
        every, start = stored.get("every"), stored.get("start")
        times = {
            "every": None if every is None else timedelta(seconds=every),
            "start": None if start is None else time_from_text(start),
            "grace": timedelta(microseconds=stored["grace"]),
        }
        return cls(**{**stored, **times})


def schedule_id(name: object) -> str:
    """The id of the run that a schedule is; :class:`InvalidId` for what none can be called."""
    if isinstance(name, str) and len(name) <= _LONGEST_NAME and re.match(r"[A-Za-z0-9]", name):
        try:
            return ids.check_run_id(f"{_PREFIX}{name}")
        except InvalidId as error:
            raise InvalidId("schedule name", name, _RULE) from error
    raise InvalidId("schedule name", name, _RULE)


def name_of(schedule_id: str) -> str:
    """The name of the schedule whose run has that id."""
    return schedule_id.removeprefix(_PREFIX)


def run_id(name: str, time: datetime) -> str:
    """The id of the run that a schedule starts at that time: always the same for the same time."""
    return f"{name}-{time.astimezone(UTC):%Y%m%dT%H%M%SZ}"


def _check_choice(name: str, value: object, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise ConfigurationError(f"{name} is {value!r}; it is one of {', '.join(choices)}")
