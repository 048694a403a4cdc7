"""Carries everything in a store on, and lets time go on when nothing else can move."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from sequential_adaptor.engine.holding.holder import Manner
from sequential_adaptor.engine.holding.tools import Tools
from sequential_adaptor.engine.holding.workbench import Workbench
from sequential_adaptor.engine.worker import worker_name
from sequential_adaptor.engine.working.dispatching import Dispatcher
from sequential_adaptor.errors import ConfigurationError, SequentialError
from sequential_adaptor.lifecycles import TASK_RUN
from sequential_adaptor.records import StackRun
from sequential_adaptor.storage import is_due
from sequential_adaptor.testing.skipping.adapter import SkippingAdapter
from sequential_adaptor.testing.skipping.clock import SkippingClock

_HANDS = 1_000
_LEASE = 10 * 365 * 86_400.0
"""Seconds; claims outlast whatever is skipped while they are held: there is nobody else to take them over."""
_GRACE = 0.2


class Stalled(SequentialError):
    """Nothing that time brings about is left, and a run has not ended: in real time it would wait for ever."""


@dataclass(eq=False, slots=True)
class Goal:
    """What is waited for: the end of a run, or with ``run_id=None`` that nothing is left to happen; until ``limit`` at
    most."""

    run_id: str | None
    limit: datetime | None
    met: asyncio.Future[None]


class SkippingWorkbench(Workbench):
    """A workbench whose clock is the store's own."""

    async def open(self) -> None:
        assert isinstance(self.store, SkippingAdapter)  # it is made below
        self.clock = SkippingClock(self.store.time)


class Carrier:
    """Works on a whole store for as long as there are goals, and gives control back only when everything stands still.

    Time jumps to the next thing that it brings about (a timer, a retry, a frame that is due) when nothing can move
    without it. It does not jump while a call is on its way: that takes the time it really takes.
    """

    def __init__(self, store: SkippingAdapter, tools: Tools) -> None:
        self._store, self._tools = store, tools
        self._goals: set[Goal] = set()
        self._working: asyncio.Task[None] | None = None
        self._bench: SkippingWorkbench
        self._dispatcher: Dispatcher

    async def pursue(self, run_id: str | None, limit: datetime | None) -> None:
        """Carry on until the run has ended, or time has come to the limit (``TimeoutError``).

        :class:`Stalled` where there is no limit and nothing is left that time could bring about; without a run that is
        what is waited for.
        """
        goal = Goal(run_id, limit, asyncio.get_running_loop().create_future())
        self._goals.add(goal)
        try:
            while not goal.met.done():
                if self._working is None:
                    self._working = asyncio.create_task(self._work())
                await asyncio.wait((goal.met, self._working), return_when=asyncio.FIRST_COMPLETED)
                if self._working is not None and self._working.done():
                    working, self._working = self._working, None
                    working.result()
            goal.met.result()
        finally:
            self._goals.discard(goal)
            await self._rest()

    async def _rest(self) -> None:
        """With the last goal the work ends."""
        working = self._working
        if working is None or self._goals:
            return
        self._dispatcher.stop()
        self._store.time.stir()
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.wait((working,))
        if self._working is working:
            self._working = None

    async def _work(self) -> None:
        if self._store.skip is not None:
            raise ConfigurationError("another engine lets the time of this store go on: one at a time can")
        self._bench = SkippingWorkbench(self._store, self._tools, hands=_HANDS)
        await self._bench.open()
        manner = Manner(hand_out="busy", linger=0.0)
        self._dispatcher = Dispatcher(self._bench, worker_name(), concurrency=_HANDS, lease=_LEASE, manner=manner)
        self._store.skip = self._skip
        try:
            await self._dispatcher.run(until=lambda: not self._goals, grace=_GRACE)
        finally:
            self._store.skip = None

    # ---- time

    async def _skip(self) -> bool:
        """If nothing can move, meet goals, or let time go on to what is next; say whether something is due."""
        time = self._store.time
        stirs = time.stirs
        await asyncio.sleep(0)  # whoever was woken is on its way after this, or has gone to sleep again
        rows = await self._store.waiting()
        now = time.now()
        if any(is_due(row, now) for row in rows):
            return True
        if time.stirs != stirs or not self._stands_still(rows, now):
            return False
        await self._meet_ended()
        if time.stirs != stirs or not self._goals:
            return False
        return self._go_on(rows, now)

    def _stands_still(self, rows: Iterable[StackRun], now: datetime) -> bool:
        time = self._store.time
        held = sum(row.is_held(now) for row in rows)
        return self._bench.hands.free == _HANDS and not time.is_waking() and time.holders_asleep() == held

    async def _meet_ended(self) -> None:
        """Runs that have ended are goals that are met."""
        for goal in [goal for goal in self._goals if goal.run_id is not None]:
            run = await self._store.get_task_run(goal.run_id or "")
            if run is None or run.status in TASK_RUN.ended:
                self._meet(goal)

    def _go_on(self, rows: Iterable[StackRun], now: datetime) -> bool:
        """Jump to what is next, but not beyond the first limit."""
        times = [row.due_at for row in rows if row.due_at is not None and row.due_at > now]
        if (alarm := self._store.time.next_alarm()) is not None:
            times.append(alarm)
        following = min(times, default=None)
        limits = [goal.limit for goal in self._goals if goal.limit is not None]
        limit = min(limits, default=None)
        if following is not None and (limit is None or following <= limit):
            self._store.time.jump(following)
            return True
        if limit is None:
            self._stall()
        else:
            self._store.time.jump(limit)
            self._meet_limits(limit)
        return False

    def _meet_limits(self, limit: datetime) -> None:
        for goal in [goal for goal in self._goals if goal.limit is not None and goal.limit <= limit]:
            self._meet(goal, None if goal.run_id is None else TimeoutError())

    def _stall(self) -> None:
        for goal in list(self._goals):
            self._meet(goal, None if goal.run_id is None else Stalled(goal.run_id))

    def _meet(self, goal: Goal, error: Exception | None = None) -> None:
        self._goals.discard(goal)
        if not goal.met.done():
            if error is None:
                goal.met.set_result(None)
            else:
                goal.met.set_exception(error)
