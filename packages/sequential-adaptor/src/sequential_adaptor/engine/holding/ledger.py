"""What the holder of a frame knows of it, and what it has yet to commit."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from sequential_adaptor.engine import rules
from sequential_adaptor.lifecycles import STACK_RUN
from sequential_adaptor.records import StackRun, TaskRun
from sequential_adaptor.runners.base import Call, Ending, Turn
from sequential_adaptor.storage.changes import Change, Claim, Create, Update


class Ledger:
    """The run, the frame and its outstanding calls as they will be when ``changes`` are committed.

    ``calls`` maps ``sequence`` to the record of each call that has no position yet; ``position`` is the next one that
    is free.
    """

    def __init__(self, run: TaskRun, claim: Claim, history: Iterable[StackRun]) -> None:
        self.run = run
        self.claim = claim
        self.frame = claim.stack_run
        self.changes: list[Change] = []
        rows = list(history)
        self.position = 1 + max((row.position for row in rows if row.position is not None), default=-1)
        self.calls = {row.sequence: row for row in rows if row.sequence is not None and row.position is None}
        self.arrived = {row.id: row for row in rows if row.position is None and row.status in STACK_RUN.ended}
        self._undone = rules.times_undone(rows)
        self._taken_up = False

    def renew(self, claim: Claim, run: TaskRun) -> None:
        """The same holder has claimed the frame once more, and nobody else did in between."""
        self.claim, self.frame, self.run = claim, claim.stack_run, run
        self.changes.clear()
        self._taken_up = False

    def take_up(self, now: datetime) -> None:
        """Before the first commit of a claim that gets the frame a step further."""
        if not self._taken_up:
            self._taken_up = True
            self._note(rules.taken_up(self.run, self.frame, now))

    def arrive(self, wakes: int, rows: Iterable[StackRun]) -> None:
        """What others have stored by the time the frame had been woken so often: outcomes, events and the like."""
        self.frame = self.frame.replace(wakes=wakes)
        for row in rows:
            self.arrived[row.id] = row
            if row.sequence is not None:
                self.calls[row.sequence] = row

    def made(self, call: Call, now: datetime, *, handed_out: bool) -> StackRun:
        """The task makes a call."""
        undone = self._undone.get(call.sequence, 0)
        record = rules.call_made(self.frame, call, now, handed_out=handed_out, undone=undone)
        self.changes.append(Create(record))
        self.calls[call.sequence] = record
        return record

    def took(self, happening: StackRun, turn: Turn, now: datetime) -> None:
        """The task took a happening, and went on because of it."""
        self.take_up(now)
        stored = self._stored(happening)
        if turn.fired is not None:
            happening = happening.replace(result=turn.fired)
        self.changes.append(rules.taken(stored, happening, self.position, turn.log))
        self.position += 1
        self.arrived.pop(happening.id, None)
        if happening.sequence is not None:
            self.calls.pop(happening.sequence, None)

    def settle(self, sequence: int, ending: Ending, now: datetime) -> StackRun:
        """A call ended by the task's own doing."""
        call = self.calls.pop(sequence)
        if call.id in self.arrived:  # somebody else was quicker; its outcome is history without effect
            self.changes.append(Update(StackRun, call.id, {"position": self.position}))
        else:
            self.changes.append(rules.settled(call, ending, self.position, now))
        self.arrived.pop(call.id, None)
        self.position += 1
        return call

    def put_off(self, call: StackRun, update: Update) -> None:
        """A call is handed out, to be tried again later."""
        self.changes.append(update)
        assert call.sequence is not None  # every call has one
        self.calls[call.sequence] = call.replace(**update.changes)

    def remember(self, turn: Turn, log_on_frame: bool) -> None:
        """The frame's own fields that a turn has changed."""
        changes: dict[str, object] = {}
        if turn.state is not None:
            changes["state"] = turn.state
        if log_on_frame and turn.log:
            changes["log"] = [*(self.frame.log or []), *turn.log]
        if changes:
            self._note((Update(StackRun, self.frame.id, changes),))

    def handed_out(self, soon: datetime) -> bool:
        """Whether calls of this frame are with other workers, or will be by ``soon``."""
        return any(call.due_at is not None and call.due_at < soon for call in self.calls.values())

    def suspend(self, deadline: datetime | None, now: datetime) -> None:
        """Nothing is left to do here."""
        self._note(rules.suspension(self.run, self.frame, deadline, now))

    def end(self, ending: Ending, now: datetime) -> None:
        """The frame ends, and with it the run."""
        self._note(rules.end(self.run, self.frame, ending, now))

    def add(self, changes: Iterable[Change]) -> None:
        """Changes to other records that belong into the same commit."""
        self.changes.extend(changes)

    def begins(self, run_id: str) -> TaskRun | None:
        """The run of that id that is to be created."""
        created = (change.record for change in self.changes if isinstance(change, Create))
        return next((record for record in created if isinstance(record, TaskRun) and record.id == run_id), None)

    def withdraw(self, run_id: str) -> bool:
        """Forget a run that is to be created; ``False`` where it is not among the changes."""
        kept = [change for change in self.changes if not (isinstance(change, Create) and change.record.id == run_id)]
        withdrawn = len(kept) < len(self.changes)
        self.changes[:] = kept
        return withdrawn

    def _stored(self, happening: StackRun) -> StackRun | None:
        if happening.id in self.arrived:
            return self.arrived[happening.id]
        return self.calls.get(happening.sequence) if happening.sequence is not None else None

    def _note(self, changes: Iterable[Change]) -> None:
        for change in changes:
            self.changes.append(change)
            if isinstance(change, Update) and change.record is TaskRun:
                self.run = self.run.replace(**change.changes)
            elif isinstance(change, Update):
                self.frame = self.frame.replace(**change.changes)
