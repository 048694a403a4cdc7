"""Calls that the holder of a frame performs itself."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from sequential_adaptor.engine import rules
from sequential_adaptor.engine.holding.workbench import Workbench
from sequential_adaptor.outcomes import Outcome
from sequential_adaptor.records import StackRun
from sequential_adaptor.runners.base import Call
from sequential_adaptor.values import JSON

_LONGEST_PAUSE_IN_PLACE = 1.0
"""Seconds; a call that backs off for longer is left to any worker, if it can be stored whole."""


@dataclass(frozen=True, slots=True)
class Postponed:
    """A call that failed, and that is to be tried again after ``delay`` seconds by whoever is free."""

    record: StackRun
    delay: float
    failures: int
    error: JSON


class InPlace:
    """The calls of one frame that are on their way in this process.

    ``finished`` and ``postponed`` fill up as calls end; ``stirred`` is set each time. A call that is sent twice (the
    task was replayed in between) is performed once. ``covered`` says whether the frame's lease still stands: nothing is
    sent without it, and ``uncovered`` is set then. ``broken`` is an error of ours.
    """

    def __init__(
        self, bench: Workbench, stirred: asyncio.Event, *, hands_over: bool, covered: Callable[[], bool]
    ) -> None:
        self._bench = bench
        self._stirred = stirred
        self._hands_over = hands_over
        self._covered = covered
        self._on_their_way: dict[int, asyncio.Task[None]] = {}
        self.finished: dict[int, StackRun] = {}
        self.postponed: list[Postponed] = []
        self.uncovered = False
        self.broken: BaseException | None = None

    def __len__(self) -> int:
        return len(self._on_their_way)

    def send(self, sequence: int, record: StackRun, call: Call) -> None:
        """Begin to perform a call, whose record is committed."""
        if sequence not in self._on_their_way and sequence not in self.finished:
            task = asyncio.create_task(self._perform(sequence, record, call))
            task.add_done_callback(self._ended)
            self._on_their_way[sequence] = task

    def give_up(self, sequence: int) -> None:
        """Nobody waits for the call any more."""
        self.finished.pop(sequence, None)
        if (task := self._on_their_way.pop(sequence, None)) is not None:
            task.cancel()

    async def stop(self) -> None:
        """Stop whatever is on its way, and wait until it has stopped."""
        tasks = list(self._on_their_way.values())
        self._on_their_way.clear()
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    async def _perform(self, sequence: int, record: StackRun, call: Call) -> None:
        failures, delay = record.attempts, 0.0
        policy = self._bench.tools.performer.policy(record)
        while True:
            async with self._bench.hands:
                if not self._covered():
                    self.uncovered = True
                    return self._done(sequence)
                outcome = await self._bench.tools.performer.perform(record, call)
            failures += outcome.retryable or outcome.error is not None
            again = policy.delay(failures, outcome.retry_after) if outcome.retryable else None
            if again is None:
                return self._finish(sequence, record, outcome, failures)
            delay = again
            if delay > _LONGEST_PAUSE_IN_PLACE and self._hands_over and not call.in_place:
                return self._postpone(sequence, Postponed(record, delay, failures, outcome.error))
            await self._bench.clock.sleep(delay)

    def _ended(self, task: asyncio.Task[None]) -> None:
        """What a call raises is an outcome; anything else that goes wrong here is for the holder to know."""
        if not task.cancelled() and (error := task.exception()) is not None:
            self.broken = error
            self._stirred.set()

    def _finish(self, sequence: int, record: StackRun, outcome: Outcome, failures: int) -> None:
        record = record if failures == record.attempts else record.replace(attempts=failures)
        self.finished[sequence] = rules.call_ended(record, outcome, self._bench.clock.now())
        self._done(sequence)

    def _postpone(self, sequence: int, postponed: Postponed) -> None:
        self.postponed.append(postponed)
        self._done(sequence)

    def _done(self, sequence: int) -> None:
        self._on_their_way.pop(sequence, None)
        self._stirred.set()
