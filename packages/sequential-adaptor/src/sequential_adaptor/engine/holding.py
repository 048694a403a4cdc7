"""The holder of a frame: keeps its task in memory, performs its calls, and commits what became of them."""

from __future__ import annotations

import asyncio
import enum
from dataclasses import dataclass
from datetime import datetime, timedelta

from sequential_adaptor.engine import children, rules
from sequential_adaptor.engine.in_place import InPlace
from sequential_adaptor.engine.ledger import Ledger
from sequential_adaptor.engine.workbench import Workbench
from sequential_adaptor.errors import ClaimLost, Conflict
from sequential_adaptor.lifecycles import STACK_RUN
from sequential_adaptor.records import StackRun, TaskFunction, TaskRun
from sequential_adaptor.runners.base import Assignment, Call, Ending, Session, Turn
from sequential_adaptor.storage.changes import Claim

_CHANGES_A_COMMIT = 200
_LEFT_BEHIND = Ending("cancelled", error={"type": "CancelledError", "message": "the task ended without it"})


class Left(enum.Enum):
    """How a holder left its frame."""

    ENDED = "ended"
    SUSPENDED = "suspended"
    GIVEN_BACK = "given back"
    LOST = "lost"


@dataclass(frozen=True, slots=True)
class Manner:
    """How a holder goes about its frame.

    - ``hand_out``: calls that can be stored whole are left to any worker: ``"all"`` of them (stop-and-go), those for
      which no hand is free here (``"busy"``), or ``"none"``.
    - ``linger``: seconds for which it stays with a frame that waits for a timer or for calls it has handed out.
    """

    hand_out: str = "busy"
    linger: float = 1.0


class Holder:
    """Holds one frame, over one claim after another for as long as nobody else has claimed it in between."""

    def __init__(self, bench: Workbench, function: TaskFunction, manner: Manner) -> None:
        self._bench = bench
        self._function = function
        self._manner = manner
        self._stirred = asyncio.Event()
        self._calls = InPlace(bench, self._stirred, hands_over=manner.hand_out != "none", covered=self._covered)
        self._session: Session | None = None
        self._turn = Turn()
        self._live: dict[int, Call] = {}
        self._unsent: list[StackRun] = []
        self._given_up: list[StackRun] = []
        self._taken: dict[int, StackRun] = {}
        self._reread = False
        self._leaving = False
        self._idle_since: datetime | None = None
        self.lingering = False
        self.ledger: Ledger

    @property
    def turn(self) -> Turn:
        """The task's last turn."""
        return self._turn

    @property
    def outstanding(self) -> tuple[Call, ...]:
        """The calls that the task waits for, in the order in which it made them."""
        return tuple(self._live[sequence] for sequence in sorted(self._live))

    def can_go_on(self, claim: Claim) -> bool:
        """Whether its session is still what is stored: nobody else has claimed the frame in between."""
        return self._session is not None and claim.token == self.ledger.claim.token + 1

    def extended(self, claim: Claim) -> None:
        """A heartbeat went through; a wake-up that it brings to light is looked into."""
        self.ledger.claim = claim
        self.woken(claim.stack_run.wakes)

    def woken(self, wakes: int) -> None:
        """The frame has been woken so often by now; more often than this holder knows is news."""
        if wakes != self.ledger.frame.wakes:
            self.look_again()

    def look_again(self) -> None:
        """Something may have happened in storage."""
        self._reread = True
        self._stirred.set()

    def leave(self) -> None:
        """Give the frame back as soon as the calls that are on their way have ended; send no others."""
        self._leaving = True
        self._stirred.set()

    async def hold(self, claim: Claim, run: TaskRun) -> Left:
        """Go on with the frame until it ends, or nothing is left to do for it here, or the claim is lost."""
        try:
            if self._session is None:
                await self._open(claim, run)
            else:
                self.ledger.renew(claim, run)
                self._reread = True
            return await self._go_on()
        except ClaimLost:
            await self.close()
            return Left.LOST
        except BaseException:
            await self.close()
            raise
        finally:
            await self._calls.stop()

    async def close(self) -> None:
        """Forget the task."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    # ---- taking up

    async def _open(self, claim: Claim, run: TaskRun) -> None:
        """Begin, or replay what is stored."""
        frame = claim.stack_run
        history = await self._bench.history(frame)
        self.ledger = Ledger(run, claim, history)
        self._live.clear()
        self._unsent.clear()
        self._reread = False
        started_at = run.started_at or self._bench.clock.now()
        runner = await self._bench.runner(self._function.runner)
        self._session = runner.session(Assignment(self._function, run.id, frame.id, run.input, frame.state, started_at))
        first = frame.state is None
        turn = await self._session.start([_known_to_the_code(row) for row in history if _is_known(row)])
        if first:
            self.ledger.take_up(started_at)
        await self._note(turn, log_on_frame=first)

    async def _open_again(self) -> None:
        """Replay what is stored. Outcomes that were taken here and could not be committed are to be taken again."""
        await self.close()
        self._calls.finished |= self._taken
        self._taken.clear()
        run, frame = await self._stored()
        claim = self.ledger.claim
        await self._open(Claim(frame, claim.worker, claim.token, claim.expires_at), run)

    async def _note(self, turn: Turn, *, log_on_frame: bool = False) -> None:
        """Write down what a turn did, apart from what it took."""
        self._turn = turn
        now = self._bench.clock.now()
        self.ledger.remember(turn, log_on_frame)
        for call in turn.calls:
            await self._note_call(call, now)
        for sequence, ending in turn.settled.items():
            self._settle(sequence, ending, now)

    async def _note_call(self, call: Call, now: datetime) -> None:
        self._live[call.sequence] = call
        record = self.ledger.calls.get(call.sequence)
        if record is None:
            self.ledger.take_up(now)
            record = self.ledger.made(call, now, handed_out=self._hands_out(call))
            if rules.is_child(record):
                await self._start_child(record, now)
        if rules.is_performed_by_holder(record):
            self._unsent.append(record)
        else:
            self._bench.watch(record.id, rules.child_id(record))

    async def _start_child(self, record: StackRun, now: datetime) -> None:
        failed = await children.start_child(self._bench, self.ledger, record)
        if failed is not None:
            assert record.sequence is not None  # every call has one
            self._calls.finished[record.sequence] = rules.call_ended(record, failed, now)

    def _settle(self, sequence: int, ending: Ending, now: datetime) -> None:
        self._live.pop(sequence, None)
        self._calls.give_up(sequence)
        record = self.ledger.settle(sequence, ending, now)
        if rules.is_child(record) and record.status not in STACK_RUN.ended:
            self._given_up.append(record)

    def _hands_out(self, call: Call) -> bool:
        if call.in_place or not rules.is_performed(call.operation) or self._manner.hand_out == "none":
            return False
        return self._manner.hand_out == "all" or self._bench.hands.free <= len(self._unsent)

    # ---- going on

    async def _go_on(self) -> Left:
        while True:
            try:
                left = await self._one_round()
            except Conflict:  # somebody was quicker with a record of this commit: what is stored decides
                await self._open_again()
                continue
            if left is not None:
                return left

    async def _one_round(self) -> Left | None:
        await self._take_all()
        if self._turn.ending is not None:
            await self._end(self._turn.ending)
            return Left.ENDED
        await self._commit()
        if self._leaving and not self._calls:
            return await self._give_back()
        self._send()
        until = self._turn.deadline if self._calls else self._lingers_until()
        if self._calls or until is not None:
            await self._wait(until)
            return None
        return Left.SUSPENDED if await self._suspend() else None

    async def _take_all(self) -> None:
        """Take everything that has happened, one thing at a time; what follows from it is sent after the commit."""
        assert self._session is not None  # `hold` opened it
        self._stirred.clear()
        if self._calls.broken is not None:
            raise self._calls.broken
        if self._calls.uncovered:
            raise ClaimLost(self.ledger.frame.id, self.ledger.claim.token)
        if self._reread:
            await self._read_arrivals()
        self._postpone()
        while self._turn.ending is None and (happening := self._next_happening()) is not None:
            self._idle_since = None
            if happening.sequence is not None:
                self._live.pop(happening.sequence, None)
            turn = await self._session.take(happening)
            self.ledger.took(happening, turn, self._bench.clock.now())
            await self._note(turn)
            if len(self.ledger.changes) >= _CHANGES_A_COMMIT:
                await self._commit()

    async def _read_arrivals(self) -> None:
        self._reread = False
        frame = await self._bench.store.get_stack_run(self.ledger.frame.id)
        assert frame is not None  # frames are never deleted while they run
        self.ledger.arrive(frame.wakes, await self._bench.arrivals(frame))

    def _postpone(self) -> None:
        now = self._bench.clock.now()
        for late in self._calls.postponed:
            self.ledger.take_up(now)
            self.ledger.put_off(
                late.record, rules.tried_again_later(late.record, late.delay, late.failures, now, late.error)
            )
            self._bench.watch(late.record.id)
        self._calls.postponed.clear()

    def _next_happening(self) -> StackRun | None:
        """What happened first: an outcome of ours, one that arrived, or a timer that is due."""
        ours = self._calls.finished
        first = min((*ours.values(), *self.ledger.arrived.values()), key=rules.when, default=None)
        now, deadline = self._bench.clock.now(), self._turn.deadline
        if deadline is not None and deadline <= now and (first is None or deadline < rules.when(first)[0]):
            return rules.timer_fired(self.ledger.frame, self.ledger.position, now)
        if first is not None and first.sequence is not None:
            if ours.pop(first.sequence, None) is not None:
                self._taken[first.sequence] = first
        return first

    async def _commit(self) -> None:
        """Make it so. Children that nobody waits for are asked to end before, so that a crash cannot forget them."""
        for call in self._given_up:
            await children.cancel_child(self._bench, call)
        self._given_up.clear()
        if self.ledger.changes:
            await self._bench.commit(self.ledger.changes, self.ledger.claim)
            self.ledger.changes.clear()
        self._taken.clear()

    def _send(self) -> None:
        if self._leaving:
            return
        for record in self._unsent:
            assert record.sequence is not None  # every call has one
            if record.sequence in self._live:
                self._calls.send(record.sequence, record, self._live[record.sequence])
        self._unsent.clear()

    async def _wait(self, until: datetime | None) -> None:
        timeout = None if until is None else max(0.0, (until - self._bench.clock.now()).total_seconds())
        self.lingering = not self._calls
        try:
            async with asyncio.timeout(timeout):
                await self._stirred.wait()
        except TimeoutError:
            return
        finally:
            self.lingering = False

    # ---- leaving

    def _lingers_until(self) -> datetime | None:
        """When what the frame waits for is so near that giving it back would cost more than to stay: until when."""
        now, deadline = self._bench.clock.now(), self._turn.deadline
        longest = timedelta(seconds=self._manner.linger)
        self._idle_since = self._idle_since or now
        if deadline is not None and deadline - now < longest:
            return deadline
        soon = now + longest
        handed_out = any(call.due_at is not None and call.due_at < soon for call in self.ledger.calls.values())
        until = self._idle_since + longest
        return until if handed_out and now < until else None

    async def _suspend(self) -> bool:
        """Give the frame back; where somebody has woken it meanwhile, read again and go on."""
        run, frame = self.ledger.run, self.ledger.frame
        self.ledger.suspend(self._turn.deadline, self._bench.clock.now())
        try:
            await self._commit()
        except Conflict:
            self.ledger.run, self.ledger.frame = run, frame
            self.ledger.changes.clear()
            self._reread = True
            return False
        return True

    async def _end(self, ending: Ending) -> None:
        """The task ends, and so do the calls that it left behind."""
        await self._calls.stop()
        now = self._bench.clock.now()
        for sequence in sorted(self.ledger.calls):
            self._settle(sequence, _LEFT_BEHIND, now)
        self.ledger.take_up(now)
        self.ledger.end(ending, now)
        for call in self._given_up:
            await children.cancel_child(self._bench, call)
        self._given_up.clear()
        await children.commit_end(self._bench, self.ledger, ending)
        await self.close()

    async def _give_back(self) -> Left:
        await self._bench.commit(rules.given_back(self.ledger.frame, self._bench.clock.now()), self.ledger.claim)
        return Left.GIVEN_BACK

    # ---- storage

    def _covered(self) -> bool:
        return self._bench.clock.now() < self.ledger.claim.expires_at

    async def _stored(self) -> tuple[TaskRun, StackRun]:
        run = await self._bench.store.get_task_run(self.ledger.run.id)
        frame = await self._bench.store.get_stack_run(self.ledger.frame.id)
        assert run is not None and frame is not None  # neither is deleted while it is held
        return run, frame


def _is_known(row: StackRun) -> bool:
    """Whether the code has seen it, or must make it again: history, and calls; not what it has yet to hear of."""
    return row.position is not None or row.sequence is not None


def _known_to_the_code(row: StackRun) -> StackRun:
    """The row as it is before its outcome is taken."""
    if row.position is not None or row.status not in STACK_RUN.ended:
        return row
    return row.replace(status="in_progress", result=None, error=None, ended_at=None)
