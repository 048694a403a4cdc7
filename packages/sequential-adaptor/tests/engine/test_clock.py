"""The store's clock as a worker has it: as far on as it was read, and put back only with the store's."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from sequential_adaptor.engine.holding.clock import StoreClock

NOON = datetime(2026, 5, 4, 12, tzinfo=UTC)
SECONDS = st.floats(0, 3600, allow_nan=False)


class Machine:
    """A machine's monotonic clock, and a store's clock beside it."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self.ahead = timedelta(0)

    def monotonic(self) -> float:
        return self.seconds

    def store_now(self) -> datetime:
        return NOON + timedelta(seconds=self.seconds) + self.ahead


def read(clock: StoreClock, machine: Machine, there: float, back: float) -> None:
    """Ask the store: the question takes so long to get there, and the answer to come back."""
    asked = clock.asked()
    machine.seconds += there
    now = machine.store_now()
    machine.seconds += back
    clock.set(now, asked)


def around(one: datetime, other: datetime) -> bool:
    return abs(one - other) < timedelta(milliseconds=1)


@given(st.lists(st.tuples(SECONDS, SECONDS, SECONDS), max_size=8))
def test_a_slow_answer_does_not_put_it_back(readings: list[tuple[float, float, float]]) -> None:
    machine = Machine()
    clock = StoreClock(NOON, monotonic=machine.monotonic)
    for pause, there, back in readings:
        machine.seconds += pause
        before = clock.now()
        read(clock, machine, there, back)
        assert clock.now() >= before
        assert around(clock.now(), machine.store_now())


@given(st.floats(-3600, 3600, allow_nan=False), SECONDS, SECONDS)
def test_it_follows_a_store_whose_clock_is_set(jump: float, there: float, back: float) -> None:
    """After one reading it is behind by the time that the answer took, or ahead by a second and the time of both ways,
    at most."""
    machine = Machine()
    clock = StoreClock(NOON, monotonic=machine.monotonic)
    machine.ahead = timedelta(seconds=jump)
    read(clock, machine, there, back)
    ahead = clock.now() - machine.store_now()
    assert timedelta(milliseconds=-1) - timedelta(seconds=back) <= ahead
    assert ahead <= timedelta(seconds=1.001 + there + back)
