"""A task in memory: its session, what is known of its calls, and what it has done that is not committed yet."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta

from sequential_adaptor.engine import children, rules
from sequential_adaptor.engine.holding.in_place import InPlace
from sequential_adaptor.engine.holding.ledger import Ledger
from sequential_adaptor.engine.holding.workbench import Workbench
from sequential_adaptor.lifecycles import STACK_RUN
from sequential_adaptor.records import StackRun, TaskFunction, TaskRun
from sequential_adaptor.runners.base import Assignment, Call, Ending, Session, Turn
from sequential_adaptor.storage.changes import Claim

CHANGES_A_COMMIT = 200
_MOMENT = 0.02
"""Seconds for which a submission waits for the first turn of its run."""
_LEFT_BEHIND = Ending("cancelled", error={"type": "CancelledError", "message": "the task ended without it"})

HandsOut = Callable[[Call, int], bool]


class MovingTask:
    """Takes what happens, one thing at a time, and writes down in its ledger what the task does because of it.

    ``hands_out(call, unsent)`` says whether a new call is left to any worker, ``is_new`` that the run was submitted
    here a moment ago, with nothing below its frame. ``unsent`` are the calls that are to be
    performed here once they are committed, ``forsaken`` the children that the task no longer waits for.
    """

    def __init__(
        self, bench: Workbench, function: TaskFunction, calls: InPlace, hands_out: HandsOut, *, is_new: bool
    ) -> None:
        self._bench = bench
        self._function = function
        self._calls = calls
        self._hands_out = hands_out
        self._is_new = is_new
        self._session: Session | None = None
        self._live: dict[int, Call] = {}
        self._taken: dict[int, StackRun] = {}
        self._noted = datetime.min.replace(tzinfo=UTC)
        self.turn = Turn()
        self.unsent: list[StackRun] = []
        self.forsaken: list[StackRun] = []
        self.ledger: Ledger

    @property
    def is_open(self) -> bool:
        """Whether the task is in memory."""
        return self._session is not None

    async def open(self, claim: Claim, run: TaskRun) -> None:
        """Begin, or replay what is stored."""
        frame = claim.stack_run
        history = [] if self._is_new else await self._bench.history(frame)
        self._is_new = False
        self.ledger = Ledger(run, claim, history)
        started_at = run.started_at or self._bench.clock.now()
        runner = await self._bench.tools.runner(self._function.runner)
        self._session = runner.session(Assignment(self._function, run.id, frame.id, run.input, frame.state, started_at))
        turn = await self._first_turn(claim, [_known_to_the_code(row) for row in history if _is_known(row)])
        first = frame.state is None
        if first:
            self.ledger.take_up(started_at)
        await self._note(turn, self._time_of_turn(), log_on_frame=first)

    async def _first_turn(self, claim: Claim, history: list[StackRun]) -> Turn:
        """Run to where the code stands. A run that is not stored yet is stored with that, or alone if it takes long."""
        assert self._session is not None  # it was made a moment ago
        if claim.stack_run.id not in self._bench.unstored:
            return await self._session.start(history)
        starting = asyncio.ensure_future(self._session.start(history))
        try:
            if not (await asyncio.wait((starting,), timeout=_MOMENT))[0]:
                await self._bench.commit((), claim)
            return await starting
        finally:
            if not starting.done():
                starting.cancel()
                await asyncio.wait((starting,))

    async def open_again(self, run: TaskRun, frame: StackRun) -> None:
        """Replay what is stored. Outcomes that were taken and could not be committed are there to be taken again."""
        await self.close()
        self._calls.finished |= self._taken
        self._taken.clear()
        claim = self.ledger.claim
        await self.open(Claim(frame, claim.worker, claim.token, claim.expires_at), run)

    async def close(self) -> None:
        """Forget the task."""
        session, self._session = self._session, None
        self._live.clear()
        self.unsent.clear()
        self.forsaken.clear()
        if session is not None:
            await session.close()

    async def take(self, happening: StackRun) -> None:
        """Go on with one thing that has happened."""
        assert self._session is not None  # it is taken from an open task
        if happening.sequence is not None:
            self._live.pop(happening.sequence, None)
        turn = await self._session.take(happening)
        now = self._time_of_turn()
        self.ledger.took(happening, turn, now)
        await self._note(turn, now)

    def arrive(self, wakes: int, rows: Sequence[StackRun]) -> None:
        """What others have stored by the time the frame had been woken so often. An outcome that is stored stands:
        nobody waits for our own of the same call."""
        self.ledger.arrive(wakes, rows)
        for row in rows:
            if row.sequence is not None:
                self._calls.give_up(row.sequence)

    def next_happening(self) -> StackRun | None:
        """What happened first: an outcome of ours, one that arrived, or a timer that is due."""
        ours = self._calls.finished
        first = min((*ours.values(), *self.ledger.arrived.values()), key=rules.when, default=None)
        deadline = self.turn.deadline
        if deadline is not None and (first is None or deadline < rules.when(first)[0]):
            now = self._bench.clock.now()
            if deadline <= now:
                return rules.timer_fired(self.ledger.frame, self.ledger.position, now)
        if first is not None and first.sequence is not None and ours.pop(first.sequence, None) is not None:
            self._taken[first.sequence] = first
        return first

    def committed(self) -> None:
        """What the ledger held is in storage."""
        self.ledger.changes.clear()
        self._taken.clear()

    def send(self) -> None:
        """Begin to perform the calls that are committed."""
        for record in self.unsent:
            assert record.sequence is not None  # every call has one
            if record.sequence in self._live:
                self._calls.send(record.sequence, record, self._live[record.sequence])
        self.unsent.clear()

    def leave_calls_behind(self, now: datetime) -> None:
        """The task has ended, and so do the calls that it no longer waited for."""
        for sequence in sorted(self.ledger.calls):
            self._settle(sequence, _LEFT_BEHIND, now)

    # ---- what a turn did

    async def _note(self, turn: Turn, now: datetime, *, log_on_frame: bool = False) -> None:
        self.turn = turn
        self.ledger.remember(turn, log_on_frame)
        for call in turn.calls:
            await self._note_call(call, now)
        for sequence, ending in turn.settled.items():
            self._settle(sequence, ending, now)

    def _time_of_turn(self) -> datetime:
        """A time that no other turn has: by it one can tell later which calls were made together."""
        self._noted = max(self._bench.clock.now(), self._noted + timedelta.resolution)
        return self._noted

    async def _note_call(self, call: Call, now: datetime) -> None:
        self._live[call.sequence] = call
        record = self.ledger.calls.get(call.sequence)
        if record is None:
            self.ledger.take_up(now)
            record = self.ledger.made(call, now, handed_out=self._hands_out(call, len(self.unsent)))
            if rules.is_child(record):
                await self._start_child(record, now)
        if rules.is_performed_by_holder(record):
            self.unsent.append(record)
        else:
            self._bench.watch(record.id, rules.child_id(record))

    async def _start_child(self, record: StackRun, now: datetime) -> None:
        outcome = await children.start_child(self._bench, self.ledger, record)
        if outcome is not None:
            assert record.sequence is not None  # every call has one
            self._calls.finished[record.sequence] = rules.call_ended(record, outcome, now)

    def _settle(self, sequence: int, ending: Ending, now: datetime) -> None:
        self._live.pop(sequence, None)
        self._calls.give_up(sequence)
        record = self.ledger.settle(sequence, ending, now)
        if rules.is_child(record) and record.status not in STACK_RUN.ended and not self._never_began(record):
            self.forsaken.append(record)

    def _never_began(self, record: StackRun) -> bool:
        """Whether the child was begun and given up with nothing committed in between: then it is not begun at all."""
        return self.ledger.withdraw(rules.child_id(record))


def _is_known(row: StackRun) -> bool:
    """Whether the code has seen it, or must make it again: history, and calls; not what it has yet to hear of."""
    return row.position is not None or row.sequence is not None


def _known_to_the_code(row: StackRun) -> StackRun:
    """The row as it is before its outcome is taken."""
    if row.position is not None or row.status not in STACK_RUN.ended:
        return row
    return row.replace(status="in_progress", result=None, error=None, ended_at=None)
