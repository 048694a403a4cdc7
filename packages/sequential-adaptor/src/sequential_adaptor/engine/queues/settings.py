"""What a queue allows: values that are stored with it, so that all workers agree."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Final, Self

from sequential_adaptor import ids
from sequential_adaptor.errors import ConfigurationError, InvalidId
from sequential_adaptor.values import JSON

_PREFIX: Final = "queue-"
_LONGEST_NAME: Final = 64 - len(_PREFIX)
_RULE: Final = f"1 to {_LONGEST_NAME} characters, A-Z a-z 0-9 _ - only, and a letter or digit first"
MOST_AT_ONCE: Final = 1_000_000
HIGHEST_PRIORITY: Final = 100
LONGEST_KEY: Final = 255
_LONGEST_PERIOD: Final = timedelta(days=366)
_SHORTEST_PERIOD: Final = timedelta(milliseconds=1)


@dataclass(frozen=True, slots=True)
class Rate:
    """At most ``count`` admissions in any stretch of time as long as ``period``."""

    count: int
    period: timedelta

    def __post_init__(self) -> None:
        _check_count("rate", self.count)
        if not isinstance(self.period, timedelta) or not _SHORTEST_PERIOD <= self.period <= _LONGEST_PERIOD:
            raise ConfigurationError(
                f"the period of a rate is {self.period!r}; it is a timedelta from 1 millisecond to 366 days"
            )

    def __str__(self) -> str:
        return f"{self.count} per {self.period.total_seconds():g} s"


@dataclass(frozen=True, slots=True)
class QueueSettings:
    """What a queue allows.

    - ``limit``: how many of its runs are on their way at once, over all workers: from admission until they have ended,
      also while they wait for a timer, an event or a child. ``None`` is no limit.
    - ``per_worker``: how many of its runs a worker carries at once; those that wait in storage are carried by nobody.
    - ``rate``: how many are admitted per period.
    - ``paused``: nothing is admitted; what is on its way goes on.
    """

    limit: int | None = None
    per_worker: int | None = None
    rate: Rate | None = None
    paused: bool = False

    def __post_init__(self) -> None:
        if self.limit is not None:
            _check_count("limit", self.limit)
        if self.per_worker is not None:
            _check_count("per_worker", self.per_worker)
        if type(self.paused) is not bool:
            raise ConfigurationError(f"paused is {self.paused!r}; it is True or False")

    def to_json(self) -> dict[str, JSON]:
        """The settings as they are stored."""
        rate = None if self.rate is None else [self.rate.count, self.rate.period // timedelta(microseconds=1)]
        return {"limit": self.limit, "per_worker": self.per_worker, "rate": rate, "paused": self.paused}

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> Self:
        """The settings that :meth:`to_json` wrote."""
        rate = stored.get("rate")
        return cls(
            limit=stored.get("limit"),
            per_worker=stored.get("per_worker"),
            rate=None if rate is None else Rate(rate[0], timedelta(microseconds=rate[1])),
            paused=bool(stored.get("paused")),
        )


@dataclass(frozen=True, slots=True)
class Place:
    """The place that a run takes in a queue.

    - ``priority``: the highest goes first, -100 to 100; among equals, the one that was submitted first.
    - ``key``: of all runs of the queue with the same key, one is on its way at a time.
    """

    queue: str
    priority: int = 0
    key: str | None = None
    queue_id: str = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "queue_id", queue_id(self.queue))
        if type(self.priority) is not int or abs(self.priority) > HIGHEST_PRIORITY:
            raise ConfigurationError(
                f"priority is {self.priority!r}; it is a whole number from -{HIGHEST_PRIORITY} to {HIGHEST_PRIORITY}"
            )
        if self.key is not None and (not isinstance(self.key, str) or not 0 < len(self.key) <= LONGEST_KEY):
            raise ConfigurationError(f"key is {self.key!r}; it is a text of 1 to {LONGEST_KEY} characters")

    def to_json(self) -> dict[str, JSON]:
        """The place as the options of a root frame have it."""
        place: dict[str, JSON] = {"name": self.queue, "priority": self.priority}
        return place if self.key is None else {**place, "key": self.key}


def queue_id(name: object) -> str:
    """The id of the run that a queue is; :class:`InvalidId` for what no queue can be called."""
    try:
        if isinstance(name, str):
            return ids.check_run_id(f"{_PREFIX}{name}" if re.match(r"[A-Za-z0-9]", name) else "")
    except InvalidId as error:
        raise InvalidId("queue name", name, _RULE) from error
    raise InvalidId("queue name", name, _RULE)


def name_of(queue_id: str) -> str:
    """The name of the queue whose run has that id."""
    return queue_id.removeprefix(_PREFIX)


def _check_count(name: str, value: object) -> None:
    if type(value) is not int or not 1 <= value <= MOST_AT_ONCE:
        raise ConfigurationError(f"{name} is {value!r}; it is a count from 1 to {MOST_AT_ONCE:,}")
