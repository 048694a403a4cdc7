"""The rules by themselves: no storage, no clock, no network; every order of happenings, and a crash between any two."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from sequential_adaptor import (
    Claim,
    Conflict,
    IllegalTransition,
    RecordExists,
    StackRun,
    TaskFunction,
    TaskRun,
)
from sequential_adaptor.engine import rules
from sequential_adaptor.engine.holding.ledger import Ledger
from sequential_adaptor.lifecycles import STACK_RUN, TASK_RUN
from sequential_adaptor.outcomes import Outcome
from sequential_adaptor.runners import Call, Ending, Turn
from sequential_adaptor.storage import Change, Create, Update, new_stack_run, new_task_run

START = datetime(2026, 1, 1, tzinfo=UTC)
FUNCTION = TaskFunction(identifier="task", version="v", runner="groups", code="")


@dataclass
class World:
    """Records in dicts, and commits that are all or nothing: the least that can be called a store."""

    now: datetime = START
    runs: dict[str, TaskRun] = field(default_factory=dict)
    stack: dict[str, StackRun] = field(default_factory=dict)

    def commit(self, changes: Iterable[Change], claim: Claim | None = None) -> None:
        """Apply all, or raise and apply none."""
        if claim is not None:
            held = self.stack[claim.stack_run.id]
            if held.token != claim.token:
                raise Lost
        runs, stack = dict(self.runs), dict(self.stack)
        for change in changes:
            table: Any = runs if getattr(change, "record", None) is TaskRun else stack
            if isinstance(change, Create):
                self._create(change.record, runs, stack)
            elif isinstance(change, Update):
                found = table[change.id]
                for name, expected in change.expect.items():
                    if getattr(found, name) != expected:
                        raise Conflict("", change.id, name, expected, getattr(found, name))
                self._check(found, change.changes)
                table[change.id] = found.replace(**change.changes)
            elif stack[change.stack_run_id].status not in STACK_RUN.ended:
                frame = stack[change.stack_run_id]
                stack[frame.id] = frame.replace(due_at=self.now, wakes=frame.wakes + 1)
        self.runs, self.stack = runs, stack

    def _create(self, record: TaskRun | StackRun, runs: dict[str, TaskRun], stack: dict[str, StackRun]) -> None:
        if record.id in (runs if isinstance(record, TaskRun) else stack):
            raise RecordExists(type(record).__name__, record.id)
        if isinstance(record, TaskRun):
            runs[record.id] = new_task_run(record, self.now)
        else:
            stack[record.id] = new_stack_run(record, self.now)

    def _check(self, found: TaskRun | StackRun, changes: Any) -> None:
        """Every change of status is one that the lifecycle has; what has ended stays as it is, its position apart."""
        lifecycle = TASK_RUN if isinstance(found, TaskRun) else STACK_RUN
        if "status" in changes:
            lifecycle.check(found.id, found.status, changes["status"])
        if found.status in lifecycle.ended:
            assert set(changes) <= {"position", "log"}, f"{found.id} has ended, and {changes} would change it"


class Lost(Exception):
    """The claim is not held any more."""


@dataclass
class Holding:
    """A holder of the frame: its ledger, and which of its calls have been sent."""

    claim: Claim
    ledger: Ledger
    sent: list[StackRun] = field(default_factory=list)


GROUPS = st.lists(st.integers(1, 3), min_size=1, max_size=3)
TASKS = st.tuples(GROUPS, st.booleans(), st.sampled_from(["never", "never", "softly", "by force"]))


class OneTask(RuleBasedStateMachine):
    """A task of groups of calls. Holders come and die, others end its calls, wake it, cancel it, in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.world = World()
        self.holding: Holding | None = None
        self.performed: dict[str, int] = {}
        self.outcomes: dict[str, Any] = {}
        self.others: dict[str, Claim] = {}

    @initialize(task=TASKS)
    def submit(self, task: tuple[list[int], bool, str]) -> None:
        self.groups, self.stored, self.cancels = task
        self.world.commit(rules.submission(FUNCTION, "run", {"groups": self.groups}))

    @precondition(lambda self: self.has_ended())
    @rule(task=TASKS)
    def submit_another(self, task: tuple[list[int], bool, str]) -> None:
        self.world = World()
        self.others = {}
        self.submit(task)

    # ---- holders

    @property
    def frame(self) -> StackRun:
        return self.world.stack["run"]

    @property
    def rows(self) -> list[StackRun]:
        return [row for row in self.world.stack.values() if row.parent_stack_run_id == "run"]

    def is_due(self) -> bool:
        frame = self.frame
        return frame.status not in STACK_RUN.ended and frame.worker is None and frame.due_at is not None

    @precondition(lambda self: self.holding is None and self.is_due())
    @rule()
    def claim(self) -> None:
        token = self.frame.token + 1
        frame = self.frame.replace(worker=f"w{token}", token=token)
        self.world.stack["run"] = frame
        claim = Claim(frame, f"w{token}", token, self.world.now)
        ledger = Ledger(self.world.runs["run"], claim, self.rows)
        self.holding = Holding(claim, ledger)
        self._send([row for row in self.rows if rules.is_performed_by_holder(row)])
        self._go_on()

    @precondition(lambda self: self.holding is not None)
    @rule()
    def crash(self) -> None:
        """The holder is gone, and its lease is over."""
        self.holding = None
        self.world.stack["run"] = self.frame.replace(worker=None)

    @precondition(lambda self: self.holding is not None and self.holding.sent)
    @rule(data=st.data(), crash_before_commit=st.booleans())
    def own_call_ends(self, data: st.DataObject, crash_before_commit: bool) -> None:
        assert self.holding is not None
        call = data.draw(st.sampled_from(self.holding.sent))
        self.holding.sent.remove(call)
        self._perform(call)
        happening = rules.call_ended(call, Outcome(result=self.outcomes[call.id]), self._tick())
        if crash_before_commit:
            return self.crash()
        return self._take(happening)

    @precondition(lambda self: self.holding is not None)
    @rule()
    def holder_reads_again(self) -> None:
        assert self.holding is not None
        arrived = [row for row in self.rows if row.position is None and row.status in STACK_RUN.ended]
        self.holding.ledger.arrive(self.frame.wakes, arrived)
        while self.holding is not None and (waiting := self.holding.ledger.arrived):
            self._take(min(waiting.values(), key=rules.when))

    @precondition(lambda self: self.holding is not None and not self.holding.sent and not self.holding.ledger.arrived)
    @rule()
    def suspend(self) -> None:
        """Refused where the frame was woken since the holder last read: so no wake-up is lost."""
        assert self.holding is not None
        ledger = self.holding.ledger
        if not ledger.calls:
            return
        woken = self.frame.wakes != ledger.frame.wakes
        changes = rules.suspension(ledger.run, ledger.frame, None, self.world.now)
        try:
            self.world.commit(changes, self.holding.claim)
        except Conflict:
            assert woken
            self.holder_reads_again()
        else:
            assert not woken
            self.holding = None

    def _take(self, happening: StackRun) -> None:
        assert self.holding is not None
        ledger = self.holding.ledger
        ledger.took(happening, Turn(), self._tick())
        if happening.operation == rules.CANCEL:
            ledger.end(Ending("cancelled"), self._tick())
        self._go_on()

    def _go_on(self) -> None:
        """Make the calls of the next group once all of the one before have been taken, or end."""
        assert self.holding is not None
        ledger = self.holding.ledger
        made: list[StackRun] = []
        if ledger.run.status not in TASK_RUN.ended and not ledger.calls:
            taken = sum(row.sequence is not None and row.position is not None for row in self._with_uncommitted())
            group = self._group_after(taken)
            ledger.take_up(self._tick())
            if group is None:
                ledger.end(Ending("completed", result=taken), self._tick())
            else:
                calls = [Call(sequence, "s.call", sequence) for sequence in group]
                made = [ledger.made(call, self._tick(), handed_out=self.stored) for call in calls]
        for sequence in sorted(ledger.calls) if ledger.run.status in TASK_RUN.ended else ():
            ledger.settle(sequence, Ending("cancelled"), self._tick())
        self._commit(made)

    def _commit(self, made: list[StackRun]) -> None:
        assert self.holding is not None
        try:
            self.world.commit(self.holding.ledger.changes, self.holding.claim)
        except Conflict:  # somebody was quicker: this holder starts over from what is stored
            self.crash()
            return
        self.holding.ledger.changes.clear()
        self._send([call for call in made if rules.is_performed_by_holder(call)])
        if self.world.runs["run"].status in TASK_RUN.ended:
            self.holding = None

    def _send(self, calls: Sequence[StackRun]) -> None:
        assert self.holding is not None
        self.holding.sent += calls

    def _with_uncommitted(self) -> list[StackRun]:
        assert self.holding is not None
        rows = {row.id: row for row in self.rows}
        for change in self.holding.ledger.changes:
            if isinstance(change, Update) and change.id in rows:
                rows[change.id] = rows[change.id].replace(**change.changes)
        return list(rows.values())

    def _group_after(self, taken: int) -> range | None:
        first = 1
        for size in self.groups:
            if taken < first + size - 1:
                return range(first, first + size)
            first += size
        return None

    # ---- others

    def pending(self) -> list[StackRun]:
        return [row for row in self.rows if row.status == "pending"]

    @precondition(lambda self: self.pending())
    @rule(data=st.data())
    def another_worker_claims(self, data: st.DataObject) -> None:
        call = data.draw(st.sampled_from(self.pending()))
        claimed = call.replace(token=call.token + 1, worker="other")
        self.world.stack[call.id] = claimed
        self.others[call.id] = Claim(claimed, "other", claimed.token, self.world.now)

    @precondition(lambda self: self.others)
    @rule(data=st.data(), fails=st.booleans())
    def another_worker_performs(self, data: st.DataObject, fails: bool) -> None:
        """It is refused where the call was given up meanwhile, or claimed by a third."""
        claim = self.others.pop(data.draw(st.sampled_from(sorted(self.others))))
        call = claim.stack_run
        self._perform(call)
        now = self._tick()
        changes: tuple[Change, ...]
        if fails and call.attempts < 3:
            changes = (rules.tried_again_later(call, 0.0, call.attempts + 1, now, {"type": "E", "message": ""}),)
        else:
            changes = rules.outcome_stored(call, rules.call_ended(call, Outcome(result=self.outcomes[call.id]), now))
        with contextlib.suppress(Lost):
            self.world.commit(changes, claim)

    @precondition(
        lambda self: self.cancels == "softly" and "run.cancel" not in self.world.stack and not self.has_ended()
    )
    @rule()
    def someone_asks_to_cancel(self) -> None:
        self.world.commit(rules.cancel_asked("run", self._tick()))

    @precondition(lambda self: self.cancels == "by force" and not self.has_ended())
    @rule()
    def someone_cancels_by_force(self) -> None:
        calls = [row for row in self.rows if row.status not in STACK_RUN.ended]
        self.world.commit(rules.cancelled_at_once(self.world.runs["run"], self.frame, calls, self._tick()))
        if self.holding is not None:
            with pytest.raises(Lost):
                self.world.commit((), self.holding.claim)
        self.holding = None

    def has_ended(self) -> bool:
        return self.world.runs["run"].status in TASK_RUN.ended

    def _perform(self, call: StackRun) -> None:
        self.performed[call.id] = self.performed.get(call.id, 0) + 1
        self.outcomes.setdefault(call.id, self.performed[call.id])

    def _tick(self) -> datetime:
        self.world.now += timedelta(milliseconds=1)
        return self.world.now

    # ---- what always holds

    @invariant()
    def history_has_no_holes_and_no_doubles(self) -> None:
        if self.world.runs:
            positions = sorted(row.position for row in self.rows if row.position is not None)
            assert positions == list(range(len(positions)))

    @invariant()
    def nothing_is_stuck(self) -> None:
        """A run that has not ended is held, due, or waits for a call that somebody may claim."""
        if not self.world.runs or self.world.runs["run"].status in TASK_RUN.ended:
            return
        if self.holding is None and not self.is_due():
            assert self.pending(), "nobody holds it, it is not due, and nothing will wake it"

    @invariant()
    def run_and_frame_end_together(self) -> None:
        if self.world.runs:
            run, frame = self.world.runs["run"], self.frame
            assert (run.status in TASK_RUN.ended) == (frame.status in STACK_RUN.ended)
            if run.status in TASK_RUN.ended:
                assert all(row.status in STACK_RUN.ended for row in self.rows)
            if run.status == "completed":
                assert run.result == sum(self.groups)


OneTask.TestCase.settings = settings(max_examples=150, stateful_step_count=50, deadline=None)
TestOneTask = OneTask.TestCase


def test_only_declared_changes_of_status_are_made() -> None:
    call = StackRun(id="run.1", task_run_id="run", parent_stack_run_id="run", operation="s.call", status="completed")
    with pytest.raises(IllegalTransition, match="is completed and cannot become completed"):
        rules.call_ended(call, Outcome(result=1), START)


def test_a_frame_without_progress_is_dead_after_25_claims_and_not_before() -> None:
    frame = StackRun(id="run", task_run_id="run", token=25)
    assert not rules.is_dead(frame)
    assert rules.is_dead(frame.replace(token=26))
    assert not rules.is_dead(frame.replace(token=26, progress_token=1))


@pytest.mark.parametrize("depth", [1, 2, 8, 40])
def test_a_childs_id_is_a_run_id_however_deep_it_is(depth: int) -> None:
    from sequential_adaptor.ids import check_run_id

    id = "01987654-3210-7abc-8def-0123456789ab"
    for _ in range(depth):
        id = check_run_id(rules.child_id(StackRun(id=f"{id}.7", task_run_id=id)))


def test_a_call_that_somebody_else_has_claimed_meanwhile_is_not_ended_behind_his_back() -> None:
    world = World()
    world.commit(rules.submission(FUNCTION, "run", None))
    call = rules.call_made(world.stack["run"], Call(1, "s.call"), START, handed_out=True)
    world.commit([Create(call)])
    known = world.stack[call.id]
    world.stack[call.id] = known.replace(token=1, worker="other")
    with pytest.raises(Conflict):
        world.commit([rules.settled(known, Ending("cancelled"), 0, START)])
