"""How calls move, and how what has happened becomes history."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from sequential_adaptor.engine.rules.operations import CHILD, TIMER
from sequential_adaptor.engine.rules.steps import GIVEN_BACK, stack_to
from sequential_adaptor.lifecycles import STACK_RUN
from sequential_adaptor.outcomes import Outcome
from sequential_adaptor.records import StackRun
from sequential_adaptor.runners.base import Call, Ending
from sequential_adaptor.storage.changes import Change, Create, Update, Wake
from sequential_adaptor.values import JSON


def call_id(frame: StackRun, sequence: int, undone: int = 0) -> str:
    """``<frame id>.<n>``: the call's id, and its idempotency key.

    A call in the place of one that a retry of the run has undone has another key: ``<frame id>.<n>r<times>``.
    """
    return f"{frame.id}.{sequence}r{undone}" if undone else f"{frame.id}.{sequence}"


def call_made(frame: StackRun, call: Call, now: datetime, *, handed_out: bool = False, undone: int = 0) -> StackRun:
    """The record of a call: covered by the frame's claim (no ``due_at``), or handed out to whichever worker is free.

    One that is handed out is due where its frame stands in the line: what has begun goes before what was submitted
    later and has not, however much that is.
    """
    status = "pending" if handed_out else "in_progress"
    return StackRun(
        id=call_id(frame, call.sequence, undone),
        task_run_id=frame.task_run_id,
        parent_stack_run_id=frame.id,
        sequence=call.sequence,
        operation=call.operation,
        status="suspended_waiting_child" if call.operation.startswith(CHILD) else status,
        input=call.input,
        options=call.options,
        due_at=(frame.created_at or now) if handed_out else None,
        created_at=now,
    )


def call_ended(call: StackRun, outcome: Outcome, now: datetime) -> StackRun:
    """The call with its outcome."""
    status = "completed" if outcome.error is None else "failed"
    STACK_RUN.check(call.id, call.status, status)
    return call.replace(
        status=status, result=outcome.result, error=outcome.error, ended_at=now, due_at=None, **GIVEN_BACK
    )


def outcome_stored(before: StackRun, after: StackRun) -> tuple[Change, ...]:
    """Somebody who is not the frame's holder ends a call: the outcome, once, and a wake-up of the frame."""
    changes = after.changes_since(before) | {"progress_token": before.token}
    assert after.parent_stack_run_id is not None  # only frames have none
    return Update(StackRun, after.id, changes, {"status": before.status}), Wake(after.parent_stack_run_id)


def tried_again_later(call: StackRun, delay: float, failures: int, now: datetime, error: JSON) -> Update:
    """An answered failure: the call is due again after ``delay`` seconds, for any worker."""
    return stack_to(
        call,
        "pending",
        attempts=failures,
        due_at=now + timedelta(seconds=delay),
        error=error,
        progress_token=call.token,
        **GIVEN_BACK,
    )


def taken(before: StackRun | None, happening: StackRun, position: int, log: tuple[str, ...]) -> Change:
    """A happening becomes history: it gets its ``position``, and what the task printed because of it.

    ``before`` is the record as stored, ``None`` for one that is not (a timer).
    """
    place: dict[str, Any] = {"position": position, "log": list(log)} if log else {"position": position}
    if before is None:
        return Create(happening.replace(**place))
    return Update(StackRun, happening.id, {**happening.changes_since(before), **place})


def timer_fired(frame: StackRun, position: int, now: datetime) -> StackRun:
    """The happening that moves a task's clock on to ``now``."""
    return StackRun(
        id=f"{frame.id}.t{position}",
        task_run_id=frame.task_run_id,
        parent_stack_run_id=frame.id,
        operation=TIMER,
        status="completed",
        created_at=now,
        ended_at=now,
    )


def settled(call: StackRun, ending: Ending, position: int, now: datetime) -> Update:
    """A call ends by the task's own doing. Its token moves on, so that whoever performs it is refused."""
    expect = {} if call.due_at is None else {"token": call.token}
    return stack_to(
        call,
        ending.status,
        expect,
        result=ending.result,
        error=ending.error,
        position=position,
        ended_at=now,
        due_at=None,
        token=call.token + 1,
        **GIVEN_BACK,
    )
