"""When schedules fire, held against a clock that is looked at every minute."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import cache
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sequential_adaptor.engine.schedules.times import Cron, Interval
from sequential_adaptor.errors import ConfigurationError

MINUTE = timedelta(minutes=1)
ZONES = {
    "Europe/Berlin": [datetime(2026, 3, 29, tzinfo=UTC), datetime(2026, 10, 24, 20, tzinfo=UTC)],
    "America/New_York": [datetime(2026, 3, 8, tzinfo=UTC), datetime(2026, 11, 1, tzinfo=UTC)],
    "Australia/Lord_Howe": [datetime(2026, 4, 4, 6, tzinfo=UTC), datetime(2026, 10, 3, 6, tzinfo=UTC)],
    "America/Havana": [datetime(2026, 3, 7, 20, tzinfo=UTC), datetime(2026, 10, 31, 20, tzinfo=UTC)],
    "Pacific/Apia": [datetime(2011, 12, 29, tzinfo=UTC)],
    "Asia/Kathmandu": [datetime(2026, 5, 1, tzinfo=UTC)],
    "UTC": [datetime(2026, 2, 27, tzinfo=UTC)],
}
HOURS = 54


def clock(zone: str, begin: datetime) -> Iterator[tuple[datetime, datetime]]:
    """Each minute, and what the clock on the wall shows at it."""
    for minute in range(HOURS * 60):
        moment = begin + minute * MINUTE
        yield moment, moment.astimezone(ZoneInfo(zone)).replace(tzinfo=None)


def is_meant(naive: datetime, minutes: set[int], hours: set[int], days: set[int] | None) -> bool:
    weekday = (naive.weekday() + 1) % 7
    return naive.minute in minutes and naive.hour in hours and (days is None or weekday in days)


def expected(
    zone: str, begin: datetime, minutes: set[int], hours: set[int], days: set[int] | None, *, fixed: bool
) -> list[datetime]:
    """What the page on schedules says, minute by minute."""
    found: list[datetime] = []
    seen: set[datetime] = set()
    last: datetime | None = None
    for moment, naive in clock(zone, begin):
        skipped = [] if last is None else [last + n * MINUTE for n in range(1, max((naive - last) // MINUTE, 1))]
        late = fixed and any(is_meant(one, minutes, hours, days) for one in skipped)
        meant = is_meant(naive, minutes, hours, days) and not (fixed and naive in seen)
        if late or meant:
            found.append(moment)
        seen.add(naive)
        last = naive
    return found


field_values = st.sets(st.integers(0, 59), min_size=1, max_size=3)
hour_values = st.sets(st.integers(0, 23), min_size=1, max_size=4) | st.sets(
    st.sampled_from([0, 1, 2, 3]), min_size=1, max_size=2
)
day_values = st.none() | st.sets(st.integers(0, 6), min_size=1, max_size=5)
places = st.sampled_from([(zone, begin) for zone, begins in ZONES.items() for begin in begins])


moments = st.integers(0, 10 * 366 * 86_400).map(lambda away: datetime(2020, 1, 1, tzinfo=UTC) + timedelta(seconds=away))


def listed(values: set[int]) -> str:
    return ",".join(map(str, sorted(values)))


@settings(max_examples=60)
@given(places, field_values, hour_values, day_values)
def test_a_fixed_time_happens_once_on_each_day(
    place: tuple[str, datetime], minutes: set[int], hours: set[int], days: set[int] | None
) -> None:
    """One in a skipped hour fires right after it, one in a repeated hour the first time round."""
    zone, begin = place
    cron = Cron(f"{listed(minutes)} {listed(hours)} * * {'*' if days is None else listed(days)}", zone)
    end = begin + HOURS * timedelta(hours=1)
    # The reference does not know what was before it began: neither a gap nor a first time round.
    calm = begin + timedelta(hours=3) if zone == "Pacific/Apia" else begin
    fired = [time for time in cron.latest(begin, end - MINUTE, 10_000) if time >= calm]
    meant = expected(zone, begin, minutes, hours, days, fixed=True)
    assert fired == [time for time in meant if time >= calm]


@settings(max_examples=60)
@given(places, st.sampled_from([1, 7, 15, 30]), hour_values, st.booleans())
def test_any_other_follows_the_clock_on_the_wall(
    place: tuple[str, datetime], step: int, hours: set[int], every_hour: bool
) -> None:
    """Nothing fires in an hour that there is not, and one that comes twice fires twice."""
    zone, begin = place
    hour = "*" if every_hour else listed(hours)
    cron = Cron(f"*/{step} {hour} * * *", zone)
    minutes = set(range(0, 60, step))
    meant = expected(zone, begin, minutes, set(range(24)) if every_hour else hours, None, fixed=False)
    assert cron.latest(begin, begin + HOURS * timedelta(hours=1) - MINUTE, 10_000) == meant


@cache
def nightly() -> Cron:
    return Cron("30 2 * * *", "Europe/Berlin")


@given(moments)
def test_the_next_time_is_after_the_moment_and_nothing_is_in_between(moment: datetime) -> None:
    first = nightly().after(moment)
    assert first is not None
    assert first > moment
    assert nightly().after(first - timedelta(seconds=1)) == first
    assert nightly().after(moment + (first - moment) / 2) == first


def test_the_days_on_which_clocks_are_moved_in_berlin() -> None:
    """2:30 does not exist on 29 March 2026 and comes twice on 25 October."""
    spring = nightly().latest(datetime(2026, 3, 28, tzinfo=UTC), datetime(2026, 3, 31, tzinfo=UTC), 10)
    assert [f"{time:%d %H:%M}" for time in spring] == ["28 01:30", "29 01:00", "30 00:30"]
    autumn = nightly().latest(datetime(2026, 10, 24, tzinfo=UTC), datetime(2026, 10, 27, tzinfo=UTC), 10)
    assert [f"{time:%d %H:%M}" for time in autumn] == ["24 00:30", "25 00:30", "26 01:30"]
    hourly = Cron("0 * * * *", "Europe/Berlin")
    night = hourly.latest(datetime(2026, 10, 24, 23, 30, tzinfo=UTC), datetime(2026, 10, 25, 2, 30, tzinfo=UTC), 10)
    assert [f"{time:%H:%M}" for time in night] == ["00:00", "01:00", "02:00"]


@given(
    st.integers(1, 100_000),
    moments,
    st.integers(-10_000, 10_000_000),
    st.integers(1, 20),
)
def test_an_interval_is_so_much_time(every: int, start: datetime, away: int, most: int) -> None:
    interval = Interval(timedelta(seconds=every), start)
    begin = interval.start
    moment = begin + timedelta(seconds=away)
    found = interval.after(moment)
    assert found is not None
    assert found > moment
    assert (found - begin) % interval.every == timedelta(0)
    assert found == begin or found - interval.every <= moment
    last = interval.latest(begin, moment, most)
    assert last == sorted(last)
    assert len(last) == max(0, min(most, away // every + 1))
    assert not last or last[-1] + interval.every == found


@pytest.mark.parametrize("most", [1, 3, 100])
def test_the_last_times_of_a_long_while_are_found_without_a_look_at_all_of_it(most: int) -> None:
    every_minute = Cron("* * * * *", "Europe/Berlin")
    end = datetime(2026, 11, 22, 12, 0, 30, tzinfo=UTC)
    found = every_minute.latest(datetime(2000, 1, 1, tzinfo=UTC), end, most)
    assert found == [end.replace(second=0) - n * MINUTE for n in reversed(range(most))]
    yearly = Cron("@yearly", "Europe/Berlin")
    assert len(yearly.latest(datetime(2000, 1, 1, tzinfo=UTC), end, most)) == min(most, 26)


@pytest.mark.parametrize(
    ("expression", "said"),
    [
        ("", "it has 0 fields"),
        ("* * * *", "it has 4 fields"),
        ("0 * * * * *", "it has 6 fields"),
        ("60 * * * *", "Bad minute"),
        ("* * * * MOON", "Bad day-of-week"),
        ("0 0 31 2 *", "Bad day-of-month"),
        ("0 0 30 2 *", "cannot be read|never fires"),
        ("@sometimes", "it has 1 fields"),
        (None, "cannot be read"),
    ],
)
def test_what_is_no_cron_expression_is_refused_with_what_one_looks_like(expression: str, said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        Cron(expression)


@pytest.mark.parametrize("zone", ["Europe/Berlln", "", "../etc/passwd", "/etc/localtime", "Europe", None])
def test_what_is_no_time_zone_is_refused(zone: str) -> None:
    with pytest.raises(ConfigurationError, match="no time zone"):
        Cron("0 0 * * *", zone)


@pytest.mark.parametrize(
    "every", [timedelta(0), timedelta(seconds=-1), timedelta(seconds=1.5), timedelta(days=10**6), 60]
)
def test_what_is_no_interval_is_refused(every: timedelta) -> None:
    with pytest.raises(ConfigurationError, match="a timedelta of whole seconds, from one to 36,500 days"):
        Interval(every, datetime(2026, 1, 1, tzinfo=UTC))
