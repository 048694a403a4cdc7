"""Holds a frame: commits what its task does, performs its calls, gives it back when nothing is left to do here."""

from __future__ import annotations

import asyncio
import enum
from dataclasses import dataclass
from datetime import datetime, timedelta

from sequential_adaptor.engine import children, rules
from sequential_adaptor.engine.holding.in_place import InPlace
from sequential_adaptor.engine.holding.moving import CHANGES_A_COMMIT, MovingTask
from sequential_adaptor.engine.holding.workbench import Workbench
from sequential_adaptor.errors import ClaimLost, Conflict, RecordExists, RecordNotFound
from sequential_adaptor.records import StackRun, TaskFunction, TaskRun
from sequential_adaptor.runners.base import Call, Ending
from sequential_adaptor.storage.changes import Claim


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

    def __init__(self, bench: Workbench, function: TaskFunction, manner: Manner, *, is_new: bool = False) -> None:
        self._bench = bench
        self._manner = manner
        self._stirred = asyncio.Event()
        self._calls = InPlace(bench, self._stirred, hands_over=manner.hand_out != "none", covered=self._covered)
        self._task = MovingTask(bench, function, self._calls, self._hands_out, is_new=is_new)
        self._extended: Claim | None = None
        self._reread = False
        self._leaving = False
        self._idle_since: datetime | None = None
        self.lingering = False

    def can_go_on(self, claim: Claim) -> bool:
        """Whether its task is still what is stored: nobody else has claimed the frame in between."""
        return self._task.is_open and claim.token == self._task.ledger.claim.token + 1

    def extended(self, claim: Claim) -> None:
        """A heartbeat went through; a wake-up that it brings to light is looked into, when the task has been read."""
        self._extended = claim
        self._heed()

    def woken(self, wakes: int) -> None:
        """The frame has been woken so often by now; more often than this holder knows is news."""
        if self._task.is_open and wakes != self._task.ledger.frame.wakes:
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
        """Go on with the frame until it ends, or nothing is left to do for it here, or the claim is lost. When it
        raises anything, the holder is to be closed.
        """
        self._idle_since = None
        try:
            if self._task.is_open:
                self._task.ledger.renew(claim, run)
                self._reread = True
            else:
                await self._task.open(claim, run)
                self._heed()
            return await self._go_on()
        except ClaimLost:
            await self.close()
            return Left.LOST
        finally:
            await self._calls.stop()

    async def close(self) -> None:
        """Forget the task."""
        await self._task.close()

    # ---- going on

    def _heed(self) -> None:
        claim = self._extended
        if claim is not None and self._task.is_open and claim.token == self._task.ledger.claim.token:
            self._task.ledger.claim = claim
            self.woken(claim.stack_run.wakes)

    async def _go_on(self) -> Left:
        refused = ""
        while True:
            try:
                left = await self._one_round()
            except Conflict:  # somebody was quicker with a record of this commit: what is stored decides
                await self._open_again()
            except (RecordExists, RecordNotFound) as error:  # the same, with a record of others; unless it was no race
                if error.id == refused or self._is_ours(error.id):
                    raise
                refused = error.id
                await self._open_again()
            else:
                if left is not None:
                    return left

    async def _open_again(self) -> None:
        await self._task.open_again(*await self._stored())
        self._heed()

    async def _one_round(self) -> Left | None:
        task = self._task
        await self._take_all()
        if task.turn.ending is not None:
            await self._end(task.turn.ending)
            return Left.ENDED
        await self._commit()
        if not self._leaving:
            task.send()
        if self._stirred.is_set():  # a call ended, or somebody woke the frame, while the commit was on its way
            return None
        if self._leaving and not self._calls:
            return await self._give_back()
        until = task.turn.deadline if self._calls else self._lingers_until()
        if self._calls or until is not None:
            await self._wait(until)
            return None
        return Left.SUSPENDED if await self._suspend() else None

    async def _take_all(self) -> None:
        """Take everything that has happened; what follows from it is sent after the commit."""
        self._stirred.clear()
        self._check_calls()
        if self._reread:
            await self._read_arrivals()
        self._postpone()
        while self._task.turn.ending is None and (happening := self._task.next_happening()) is not None:
            self._idle_since = None
            await self._task.take(happening)
            if len(self._task.ledger.changes) >= CHANGES_A_COMMIT:
                await self._commit()

    def _check_calls(self) -> None:
        if self._calls.broken is not None:
            raise self._calls.broken
        if self._calls.uncovered:
            claim = self._task.ledger.claim
            raise ClaimLost(claim.stack_run.id, claim.token)

    async def _read_arrivals(self) -> None:
        """The frame is read first: whatever arrives later counts as a wake-up that is not known here."""
        self._reread = False
        _, frame = await self._stored()
        self._task.arrive(frame.wakes, await self._bench.arrivals(frame))

    def _postpone(self) -> None:
        if not self._calls.postponed:
            return
        now, ledger = self._bench.clock.now(), self._task.ledger
        for late in self._calls.postponed:
            ledger.take_up(now)
            again = rules.tried_again_later(late.record, late.delay, late.failures, now, late.error)
            ledger.put_off(late.record, again)
            self._bench.watch(late.record.id)
        self._calls.postponed.clear()

    async def _commit(self) -> None:
        """Make it so."""
        await self._cancel_children()
        ledger = self._task.ledger
        if ledger.changes:
            await self._bench.commit(ledger.changes, ledger.claim)
        self._task.committed()

    async def _cancel_children(self) -> None:
        """Ask children that nobody waits for to end; before the commit that forgets them, so that a crash does not."""
        for call in self._task.forsaken:
            await children.cancel_child(self._bench, call)
        self._task.forsaken.clear()

    async def _wait(self, until: datetime | None) -> None:
        self.lingering = until is not None and not self._calls
        try:
            await self._bench.clock.wait(self._stirred, until)
        finally:
            self.lingering = False

    # ---- leaving

    def _lingers_until(self) -> datetime | None:
        """Until when to stay, because what the frame waits for is so near that giving it back would cost more.

        Under a claim that has got nothing further yet it is given back at once: that it waits is no reason to count
        the claim among those that got it nowhere.
        """
        now, deadline = self._bench.clock.now(), self._task.turn.deadline
        frame = self._task.ledger.frame
        longest = timedelta(seconds=self._manner.linger)
        self._idle_since = self._idle_since or now
        if deadline is not None and deadline - now < longest:
            return deadline
        if frame.progress_token != frame.token:
            return None
        until = self._idle_since + longest
        return until if now < until and self._task.ledger.handed_out(now + longest) else None

    async def _suspend(self) -> bool:
        """Give the frame back; where somebody has woken it meanwhile, read again and go on."""
        ledger = self._task.ledger
        run, frame = ledger.run, ledger.frame
        ledger.suspend(self._task.turn.deadline, self._bench.clock.now())
        try:
            await self._commit()
        except Conflict:
            ledger.run, ledger.frame = run, frame
            ledger.changes.clear()
            self._reread = True
            return False
        return True

    async def _end(self, ending: Ending) -> None:
        """The task ends, and so do the calls that it left behind."""
        await self._calls.stop()
        now, ledger = self._bench.clock.now(), self._task.ledger
        self._task.leave_calls_behind(now)
        ledger.take_up(now)
        ledger.end(ending, now)
        await self._cancel_children()
        await children.commit_end(self._bench, ledger, ending)
        await self.close()

    async def _give_back(self) -> Left:
        ledger = self._task.ledger
        await self._bench.commit(rules.given_back(ledger.frame, self._bench.clock.now()), ledger.claim)
        await self.close()
        return Left.GIVEN_BACK

    # ---- questions

    def _hands_out(self, call: Call, unsent: int) -> bool:
        if call.in_place or not rules.is_performed(call.operation) or self._manner.hand_out == "none":
            return False
        return self._manner.hand_out == "all" or self._bench.hands.free <= unsent

    def _is_ours(self, id: str) -> bool:
        frame = self._task.ledger.frame
        return id in (frame.id, frame.task_run_id) or id.startswith(f"{frame.id}.")

    def _covered(self) -> bool:
        return self._bench.clock.now() < self._task.ledger.claim.expires_at

    async def _stored(self) -> tuple[TaskRun, StackRun]:
        ledger = self._task.ledger
        run = await self._bench.store.get_task_run(ledger.run.id)
        frame = await self._bench.store.get_stack_run(ledger.frame.id)
        if run is None or frame is None:  # somebody has deleted the run, and the claim with it
            raise ClaimLost(ledger.frame.id, ledger.claim.token)
        return run, frame
