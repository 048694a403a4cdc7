"""What reaches a run from outside its own code: children, events, cancelling."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, Final

from sequential_adaptor.engine.rules import lanes
from sequential_adaptor.engine.rules.calls import call_ended, outcome_stored
from sequential_adaptor.engine.rules.operations import CANCEL, EVENT
from sequential_adaptor.engine.rules.steps import GIVEN_BACK, run_to, stack_to
from sequential_adaptor.errors import ConfigurationError
from sequential_adaptor.lifecycles import TASK_RUN
from sequential_adaptor.outcomes import Outcome
from sequential_adaptor.records import StackRun, TaskRun
from sequential_adaptor.runners.base import Ending
from sequential_adaptor.storage.changes import Change, Create, Update, Wake
from sequential_adaptor.values import JSON

BY_FORCE: Final[Mapping[str, JSON]] = {"type": "Cancelled", "message": "cancelled by force"}
_LONGEST_ID: Final = 64


def child_id(parent_call: StackRun) -> str:
    """The id of the run that a call starts: the one that it asks for, else always the same for the same call."""
    asked: str | None = (parent_call.options or {}).get("id")
    if asked is not None:
        return asked
    name = parent_call.id.replace(".", "--")
    return name if len(name) <= _LONGEST_ID else hashlib.sha256(name.encode()).hexdigest()[:_LONGEST_ID]


def child_ended(call: StackRun, child: TaskRun, ending: Ending, now: datetime) -> tuple[Change, ...]:
    """The parent's call ends as the child did, and its frame is woken; part of the commit that ends the child."""
    outcome = (
        Outcome(result=ending.result) if ending.status == "completed" else Outcome(error=_child_error(child, ending))
    )
    return outcome_stored(call, call_ended(call, outcome, now))


def event_sent(run: TaskRun, name: str, data: JSON, event_id: str, now: datetime) -> tuple[Change, ...]:
    """An event for a run: kept until the task waits for it."""
    if run.status in TASK_RUN.ended:
        remedy = f". Let it go on first: sequential retry {run.id}" if run.status == "failed" else ""
        raise ConfigurationError(f"run {run.id} is {run.status}: nobody is left to take the event {name!r}{remedy}")
    event = StackRun(
        id=f"{run.id}.e{event_id}",
        task_run_id=run.id,
        parent_stack_run_id=run.id,
        operation=f"{EVENT}{name}",
        status="completed",
        result=data,
        created_at=now,
        ended_at=now,
    )
    return Create(event), Wake(run.id)


def cancel_id(run_id: str) -> str:
    """The id of the record by which a run is asked to end."""
    return f"{run_id}.cancel"


def cancel_asked(run_id: str, now: datetime) -> tuple[Change, ...]:
    """Ask a run to end: its task gets ``CancelledError`` where it awaits, once."""
    asked = StackRun(
        id=cancel_id(run_id),
        task_run_id=run_id,
        parent_stack_run_id=run_id,
        operation=CANCEL,
        status="completed",
        created_at=now,
        ended_at=now,
    )
    return Create(asked), Wake(run_id)


def cancel_asked_again(asked: StackRun, now: datetime) -> tuple[Change, ...]:
    """The same, of a run that was cancelled before, and gone on with by a retry since."""
    again = {"parent_stack_run_id": asked.task_run_id, "position": None, "log": None, "ended_at": now}
    expect = {"parent_stack_run_id": asked.parent_stack_run_id}
    return Update(StackRun, asked.id, again, expect), Wake(asked.task_run_id)


def cancelled_at_once(
    run: TaskRun, frame: StackRun | None, calls: Iterable[StackRun], now: datetime
) -> tuple[Change, ...]:
    """End a run whatever its holder does: the tokens move on, so that every holder is refused from now on.

    A run that was stored by itself, and that nobody has begun, has no ``frame``.
    """
    ended: dict[str, Any] = {"error": BY_FORCE, "ended_at": now}
    changes = (run_to(run, "cancelled", {"status": run.status}, **ended), *left_open(calls, now))
    if frame is None:
        return changes
    return (*changes, _ended_by_force(frame, {**ended, **lanes.left(frame)}), *lanes.news_for_queue(frame))


def left_open(calls: Iterable[StackRun], now: datetime, error: JSON = BY_FORCE) -> tuple[Change, ...]:
    """End the calls of a run that has ended without its code; whoever performs them is refused from now on."""
    return tuple(_ended_by_force(call, {"error": error, "ended_at": now}) for call in calls)


def _ended_by_force(stack_run: StackRun, ended: Mapping[str, Any]) -> Update:
    expect = {"token": stack_run.token, "status": stack_run.status}
    return stack_to(stack_run, "cancelled", expect, token=stack_run.token + 1, due_at=None, **GIVEN_BACK, **ended)


def _child_error(child: TaskRun, ending: Ending) -> JSON:
    error = ending.error if isinstance(ending.error, dict) else {}
    return {"type": "TaskCancelled" if ending.status == "cancelled" else "TaskFailed", "run": child.id} | {
        "message": error.get("message", f"run {child.id} was {ending.status}"),
        "cause": ending.error,
    }
