"""When schedules fire: pure functions of the clock, with time zones and daylight saving.

A cron expression is read by the clock on the wall of its zone. Twice a year that clock skips an hour, or shows one
twice, and then the rule of Debian's cron holds, which tells two kinds of expressions apart:

- A fixed time (neither the minute nor the hour begins with ``*``) happens once on each day that it is meant for. One
  in the skipped hour fires at the first moment after it, one in the repeated hour the first time round.
- Any other follows the clock on the wall: nothing fires in an hour that there is not, and one that comes twice fires
  twice.

An interval knows no wall clock: it is so much time, whatever day it is.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from itertools import takewhile
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from sequential_adaptor.errors import ConfigurationError

_FIELDS: Final = 5
_MARGIN: Final = timedelta(hours=26)
"""No zone has ever moved its clock by more than a day."""
_SECOND: Final = timedelta(seconds=1)
_MINUTE: Final = timedelta(minutes=1)
_LOOKS_BACK: Final = (timedelta(hours=1), timedelta(days=1), timedelta(days=40), timedelta(days=800))
LONGEST_INTERVAL: Final = timedelta(days=36_500)
MACROS: Final = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
}


class Times(ABC):
    """The times at which a schedule fires, whole seconds in UTC."""

    @abstractmethod
    def after(self, moment: datetime) -> datetime | None:
        """The first time after that moment; ``None`` where there is none within fifty years."""

    def latest(self, begin: datetime, end: datetime, most: int) -> list[datetime]:
        """The last times from ``begin`` to ``end``, both included, ``most`` of them at most, oldest first.

        It looks back no further than it has to: there may be a year of minutes in between.
        """
        for back in _LOOKS_BACK:
            if end - back <= begin:
                break
            found = list(self._between(end - back, end))
            if len(found) >= most:
                return found[-most:]
        return list(self._between(begin - _SECOND, end))[-most:]

    def _between(self, begin: datetime, end: datetime) -> Iterator[datetime]:
        moment = self.after(begin)
        while moment is not None and moment <= end:
            yield moment
            moment = self.after(moment)


@dataclass(frozen=True, slots=True)
class Interval(Times):
    """Every so many whole seconds, counted from ``start``, which is the first."""

    every: timedelta
    start: datetime

    def __post_init__(self) -> None:
        right = isinstance(self.every, timedelta) and _SECOND <= self.every <= LONGEST_INTERVAL
        if not right or self.every % _SECOND:
            raise ConfigurationError(
                f"every is {self.every}; it is a timedelta of whole seconds, from one to {LONGEST_INTERVAL.days:,} days"
            )
        object.__setattr__(self, "start", self.start.astimezone(UTC).replace(microsecond=0))

    def after(self, moment: datetime) -> datetime | None:
        """See :class:`Times`."""
        passed = (moment - self.start) // self.every
        return self.start if passed < 0 else self.start + (passed + 1) * self.every

    def latest(self, begin: datetime, end: datetime, most: int) -> list[datetime]:
        """See :class:`Times`."""
        if end < self.start:
            return []
        last = self.start + (end - self.start) // self.every * self.every
        found = [last - back * self.every for back in range(most)]
        return [time for time in reversed(found) if time >= max(begin, self.start)]


@dataclass(frozen=True, slots=True)
class Cron(Times):
    """A cron expression of five fields, read in a time zone of the IANA database."""

    expression: str
    zone: str = "UTC"

    def __post_init__(self) -> None:
        zone_of(self.zone)
        if self.after(datetime(2000, 1, 1, tzinfo=UTC)) is None:
            raise ConfigurationError(f"cron {self.expression!r} never fires")

    def after(self, moment: datetime) -> datetime | None:
        """See :class:`Times`."""
        naive = next(self._naive(self._local(moment)), None)
        if naive is None:
            return None
        about = naive.replace(tzinfo=zone_of(self.zone)).astimezone(UTC)
        shift = self._shift(moment, about)
        return about if not shift else self._after_nearby_change(moment, shift)

    def _after_nearby_change(self, moment: datetime, shift: timedelta) -> datetime | None:
        """The same where the zone's clock is moved nearby: the order of times on the wall is not that of moments."""
        best: datetime | None = None
        for naive in self._naive(self._local(moment) - shift):
            if best is not None and naive > self._local(best) + shift:
                break
            for found in self._moments(naive):
                if found > moment and (best is None or found < best):
                    best = found
        return best

    def _between(self, begin: datetime, end: datetime) -> Iterator[datetime]:
        """All at once: close to a change of the clock, one after the other takes its time."""
        last = self._local(end) + _MARGIN
        naive = takewhile(lambda one: one <= last, self._naive(self._local(begin) - _MARGIN))
        found = {moment for one in naive for moment in self._moments(one)}
        return iter(sorted(moment for moment in found if begin < moment <= end))

    def _moments(self, naive: datetime) -> tuple[datetime, ...]:
        """When the clock on the wall shows that time: once, twice or never; and what is made of it."""
        zone = zone_of(self.zone)
        first, second = (naive.replace(tzinfo=zone, fold=fold).astimezone(UTC) for fold in (0, 1))
        if first == second:
            return (first,)
        if first < second:
            return (first,) if self._is_fixed else (first, second)
        return (self._first_after_gap(second, first),) if self._is_fixed else ()

    def _first_after_gap(self, before: datetime, after: datetime) -> datetime:
        """The moment at which the clock is moved, between two moments on its two sides."""
        new = after.astimezone(zone_of(self.zone)).utcoffset()
        while after - before > _SECOND:
            middle = before + (after - before) // _SECOND // 2 * _SECOND
            if middle.astimezone(zone_of(self.zone)).utcoffset() == new:
                after = middle
            else:
                before = middle
        return after

    @property
    def _is_fixed(self) -> bool:
        minute, hour = _checked(self.expression).split()[:2]
        return not minute.startswith("*") and not hour.startswith("*")

    def _naive(self, begin: datetime) -> Iterator[datetime]:
        """The times on the wall after ``begin``, if its clock were never moved."""
        from cronsim import CronSim

        return iter(CronSim(_checked(self.expression), begin))

    def _local(self, moment: datetime) -> datetime:
        return moment.astimezone(zone_of(self.zone)).replace(tzinfo=None)

    def _shift(self, *moments: datetime) -> timedelta:
        """By how much the zone's clock is moved around those moments; zero where it is not."""
        zone = zone_of(self.zone)
        around = [moment + away for moment in moments for away in (-_MARGIN, timedelta(0), _MARGIN)]
        offsets = [one.astimezone(zone).utcoffset() or timedelta(0) for one in around]
        shift = max(offsets) - min(offsets)
        return shift + _MINUTE if shift else shift


@cache
def zone_of(name: str) -> ZoneInfo:
    """The time zone of that name, or :class:`ConfigurationError`."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError, TypeError) as error:
        raise ConfigurationError(
            f"no time zone {name!r}; zones are called as in Europe/Berlin. Where this machine knows none at all:"
            " pip install tzdata"
        ) from error


@cache
def _checked(expression: str) -> str:
    """The expression in five fields, if it is one."""
    from cronsim import CronSim, CronSimError

    text = MACROS.get(expression.strip(), expression) if isinstance(expression, str) else ""
    try:
        if len(text.split()) != _FIELDS:
            raise CronSimError(f"it has {len(text.split())} fields")
        CronSim(text, datetime(2000, 1, 1))  # noqa: DTZ001 - times on the wall have no zone
    except CronSimError as error:
        raise ConfigurationError(
            f"cron {expression!r} cannot be read: {error}. It has five fields: minute, hour, day of the month, month,"
            f" day of the week, as in '30 9 * * MON-FRI'; or it is one of {', '.join(MACROS)}"
        ) from error
    return text
