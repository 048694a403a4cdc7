"""The laws of admission, on a queue in memory: runs come, are admitted, taken up and end as chance has it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sequential_adaptor.engine.queues import admission
from sequential_adaptor.engine.queues.admission import Memory, Ticket, decide, room
from sequential_adaptor.engine.queues.settings import QueueSettings, Rate
from sequential_adaptor.errors import ConfigurationError

START = datetime(2026, 3, 29, tzinfo=UTC)

counts = st.none() | st.integers(1, 5)
rates = st.none() | st.builds(
    Rate, st.integers(1, 6), st.sampled_from([timedelta(milliseconds=1), timedelta(seconds=10), timedelta(hours=1)])
)
settings_of_queues = st.builds(QueueSettings, limit=counts, per_worker=counts, rate=rates, paused=st.booleans())
arrivals = st.tuples(st.just("arrive"), st.integers(-2, 2), st.none() | st.sampled_from("ab"))
events = st.one_of(
    arrivals,
    arrivals,
    st.tuples(st.just("end"), st.integers(0, 10), st.none()),
    st.tuples(st.just("take up"), st.integers(0, 10), st.none()),
    st.tuples(st.just("pass"), st.integers(0, 4_000_000), st.none()),
)


@dataclass
class Model:
    """A queue without storage: what is parked is looked at again when one of its key has ended."""

    settings: QueueSettings
    now: datetime = START
    memory: Memory = field(default_factory=Memory)
    waiting: list[Ticket] = field(default_factory=list)
    parked: list[Ticket] = field(default_factory=list)
    inside: list[Ticket] = field(default_factory=list)
    admissions: list[tuple[datetime, Ticket]] = field(default_factory=list)
    next_look: datetime | None = None
    count: int = 0

    def happen(self, what: str, number: int, key: str | None) -> None:
        if what == "arrive":
            self.count += 1
            self.waiting.append(Ticket(f"{self.count:05}", number, key))
        elif what == "end" and self.inside:
            ended = self.inside.pop(number % len(self.inside))
            freed = [one for one in self.parked if one.key == ended.key]
            for one in sorted(freed, key=lambda one: (-one.priority, one.id))[:1]:
                self.parked.remove(one)
                self.waiting.append(one)
        elif what == "take up" and self.inside:
            place = number % len(self.inside)
            self.inside[place] = replace(self.inside[place], taken_up=True)
        elif what == "pass":
            self.now += timedelta(milliseconds=number)

    def look(self) -> None:
        """Until there is nothing more to park."""
        while True:
            self.waiting.sort(key=lambda one: (-one.priority, one.id))
            decision = decide(self.settings, self.memory, self.inside, (), self.waiting, self.now)
            self._check_order(decision.admitted)
            self.memory, self.next_look = decision.memory, decision.next_look
            self.admissions += [(self.now, one) for one in decision.admitted]
            self.inside += decision.admitted
            self.parked += decision.parked
            gone = {*decision.admitted, *decision.parked}
            self.waiting = [one for one in self.waiting if one not in gone]
            if not decision.parked:
                return

    def _check_order(self, admitted: tuple[Ticket, ...]) -> None:
        """Whoever is passed over has a key that is taken."""
        assert list(admitted) == sorted(admitted, key=lambda one: (-one.priority, one.id))
        taken = {one.key for one in (*self.inside, *admitted)} - {None}
        for one in self.waiting:
            if admitted and one not in admitted and (-one.priority, one.id) < (-admitted[-1].priority, admitted[-1].id):
                assert one.key in taken


@given(settings_of_queues, st.lists(events, max_size=60))
def test_no_limit_is_ever_exceeded_and_nobody_waits_who_could_be_admitted(
    settings: QueueSettings, history: list[tuple[str, int, str | None]]
) -> None:
    model = Model(settings)
    for event in history:
        model.happen(*event)
        model.look()
        keys = [one.key for one in model.inside if one.key is not None]
        assert len(keys) == len(set(keys))
        assert settings.limit is None or len(model.inside) <= settings.limit
        assert not (settings.paused and model.inside)
        idle = [one for one in model.waiting if one.key is None or one.key not in keys]
        if idle and not settings.paused:
            free = room(settings, model.memory, model.inside, model.now)
            assert free == 0
            full = settings.limit is not None and len(model.inside) >= settings.limit
            assert full or (model.next_look is not None and model.next_look > model.now)
    _check_rate(settings.rate, [time for time, _ in model.admissions])


def _check_rate(rate: Rate | None, times: list[datetime]) -> None:
    if rate is None:
        return
    for begin in times:
        assert sum(begin <= time < begin + rate.period for time in times) <= rate.count


@given(
    st.integers(1, 5_000),
    st.lists(st.tuples(st.integers(0, 30_000), st.integers(1, 900)), max_size=400),
)
def test_a_rate_is_never_exceeded_however_many_admissions_there_are(count: int, wishes: list[tuple[int, int]]) -> None:
    """What is remembered stays small, and forgets nothing too early."""
    rate, memory, now = Rate(count, timedelta(minutes=1)), Memory(), START
    times: list[tuple[datetime, int]] = []
    for pause, wish in wishes:
        now += timedelta(milliseconds=pause)
        admitted = min(wish, memory.allowance(rate, now))
        memory = Memory.from_json(memory.remembering(rate, admitted, now).to_json())
        times.append((now, admitted))
        assert sum(many for time, many in times if time > now - rate.period) <= count
        assert len(memory.admitted) <= 300
        if memory.allowance(rate, now) <= 0:
            again = memory.allows_again(rate, now)
            assert memory.allowance(rate, again) > 0
            assert again <= now + rate.period


def test_time_alone_lets_everybody_in_where_only_a_rate_holds_them_up() -> None:
    model = Model(QueueSettings(rate=Rate(3, timedelta(minutes=1))))
    for _ in range(10):
        model.happen("arrive", 0, None)
    model.look()
    while model.next_look is not None:
        model.now = model.next_look
        model.inside = [replace(one, taken_up=True) for one in model.inside]
        model.look()
    assert [(time - START) // timedelta(minutes=1) for time, _ in model.admissions] == [0] * 3 + [1] * 3 + [2] * 3 + [3]


def test_a_clock_that_is_put_back_holds_a_rate_up_for_a_period_at_most() -> None:
    rate = Rate(2, timedelta(minutes=1))
    memory = Memory().remembering(rate, 2, START + timedelta(hours=1))
    decision = decide(QueueSettings(rate=rate), memory, (), (), [Ticket("1", 0)], START)
    assert (decision.admitted, decision.next_look) == ((), START + rate.period)
    later = START + rate.period
    assert decide(QueueSettings(rate=rate), decision.memory, (), (), [Ticket("1", 0)], later).admitted


def test_a_queue_without_limits_admits_no_more_than_workers_take_up() -> None:
    """Ten thousand runs of one queue do not stand before a run of another."""
    model = Model(QueueSettings())
    model.waiting = [Ticket(f"{number:05}", 0) for number in range(10_000)]
    model.look()
    assert len(model.inside) == admission.WINDOW
    assert model.next_look is not None
    model.inside = []
    model.look()
    assert len(model.admissions) == 2 * admission.WINDOW


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"limit": 0}, "limit is 0; it is a count from 1 to"),
        ({"limit": True}, "limit is True; it is a count"),
        ({"limit": 2.0}, "limit is 2.0; it is a count"),
        ({"per_worker": -1}, "per_worker is -1; it is a count"),
        ({"paused": "no"}, "paused is 'no'; it is True or False"),
    ],
)
def test_settings_that_cannot_be_right_are_refused(wrong: dict[str, object], said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        QueueSettings(**wrong)  # type: ignore[arg-type]  # that is the test


@given(settings_of_queues)
def test_settings_survive_storage(settings: QueueSettings) -> None:
    assert QueueSettings.from_json(settings.to_json()) == settings
