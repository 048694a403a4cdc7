"""What a process has stored itself it need not be told of: it knows when that becomes due."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from sequential_adaptor.engine import rules
from sequential_adaptor.engine.working.agenda import Agenda
from sequential_adaptor.records import StackRun, TaskFunction, TaskRun
from sequential_adaptor.storage import Create, Update, Wake, is_due

NOW = datetime(2026, 1, 1, tzinfo=UTC)
seconds = st.integers(-5, 50)


@given(st.lists(seconds), st.lists(seconds))
def test_every_time_that_was_noted_comes_once_and_none_comes_early(noted: list[int], asked: list[int]) -> None:
    agenda, left = Agenda(), sorted(noted)
    agenda.note([Update(StackRun, "run", {"due_at": NOW + timedelta(seconds=at)}) for at in noted], lambda: NOW)
    for at in sorted(asked):
        due = [time for time in left if time <= at]
        assert agenda.has_come(NOW + timedelta(seconds=at)) == bool(due)
        left = left[len(due) :]
        following = min(left[0] - at, 20) if left else 20
        assert agenda.seconds(NOW + timedelta(seconds=at), 20) == following


@given(st.sampled_from(["pending", "in_progress", "suspended_waiting_child"]), st.none() | seconds, st.booleans())
def test_a_new_record_is_noted_where_a_worker_could_claim_it(status: str, at: int | None, leased: bool) -> None:
    due_at = None if at is None else NOW + timedelta(seconds=at)
    lease = NOW + timedelta(seconds=99) if leased else None
    record = StackRun(id="run.1", task_run_id="run", status=status, due_at=due_at, lease_expires_at=lease)
    agenda = Agenda()
    agenda.note([Create(record)], lambda: NOW)
    filled = record.replace(due_at=NOW) if due_at is None and status == "pending" else record
    assert agenda.has_come(NOW + timedelta(seconds=50)) == is_due(filled, NOW + timedelta(seconds=50))


def test_a_wake_up_and_a_submission_are_due_at_once_and_whoever_keeps_the_agenda_is_told() -> None:
    told: list[int] = []
    submission = rules.submission(TaskFunction(identifier="f"), "run", None)
    for changes in ([Wake("run")], submission):
        agenda = Agenda()
        agenda.noted = lambda: told.append(1)
        agenda.note(changes, lambda: NOW)
        assert agenda.has_come(NOW)
    assert len(told) == 2


def test_a_step_in_a_row_is_nothing_to_note() -> None:
    agenda = Agenda()
    agenda.noted = lambda: 1 / 0
    call = StackRun(id="run.2", task_run_id="run", parent_stack_run_id="run", operation="s.a", status="in_progress")
    agenda.note(
        [Update(StackRun, "run.1", {"status": "completed"}), Update(TaskRun, "run", {}), Create(call)], lambda: NOW
    )
    assert agenda.seconds(NOW, 7) == 7
