"""How runs, frames and calls move: pure functions from records and what happened to the changes of one commit.

They read no clock and no storage, and an adapter that applies the changes knows none of these rules. Every change of
status is checked against the lifecycles, and every change to a record that somebody else may write expects what it was
based on.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any, Final

from sequential_adaptor.errors import ConfigurationError
from sequential_adaptor.lifecycles import STACK_RUN, TASK_RUN
from sequential_adaptor.outcomes import Outcome
from sequential_adaptor.records import StackRun, TaskFunction, TaskRun
from sequential_adaptor.runners.base import Call, Ending
from sequential_adaptor.storage.changes import Change, Create, Update, Wake
from sequential_adaptor.values import JSON

CLAIMS_WITHOUT_PROGRESS: Final = 25
"""A frame or call that was claimed so often in a row without getting a step further is dead."""

TIMER: Final = "timer"
CANCEL: Final = "cancel"
EVENT: Final = "event:"
WAIT: Final = "wait:"
SLEEP: Final = "sleep"
STEP: Final = "step:"
CHILD: Final = "task:"

_GIVEN_BACK: Final[Mapping[str, Any]] = {"worker": None, "lease_expires_at": None}
_LONGEST_ID: Final = 64


# ---- beginning


def submission(
    function: TaskFunction,
    run_id: str,
    input: JSON,
    *,
    metadata: JSON = None,
    parent_stack_run_id: str | None = None,
) -> tuple[Change, ...]:
    """A new run of the function, and its root frame, due at once."""
    run = TaskRun(
        id=run_id,
        task_identifier=function.identifier,
        version=function.version,
        runner=function.runner,
        input=input,
        metadata=metadata,
        parent_stack_run_id=parent_stack_run_id,
    )
    return Create(run), Create(root_frame(run_id))


def root_frame(run_id: str) -> StackRun:
    """The frame that a run begins with; it has the run's id."""
    return StackRun(id=run_id, task_run_id=run_id)


def taken_up(run: TaskRun, frame: StackRun, now: datetime) -> tuple[Change, ...]:
    """A holder goes on with a frame: part of the first commit by which it gets a step further."""
    changes: list[Change] = []
    if run.status != "running":
        started: dict[str, Any] = {} if run.started_at is not None else {"started_at": now}
        changes.append(_run_to(run, "running", None, **started))
    if frame.status != "in_progress" or frame.progress_token != frame.token:
        changes.append(_stack_to(frame, "in_progress", progress_token=frame.token, suspended_at=None))
    return tuple(changes)


# ---- calls


def call_id(frame: StackRun, sequence: int) -> str:
    """``<frame id>.<n>``: the call's id, and its idempotency key."""
    return f"{frame.id}.{sequence}"


def call_made(frame: StackRun, call: Call, now: datetime, *, handed_out: bool = False) -> StackRun:
    """The record of a call: covered by the frame's claim (no ``due_at``), or handed out to whichever worker is free."""
    status = "pending" if handed_out else "in_progress"
    return StackRun(
        id=call_id(frame, call.sequence),
        task_run_id=frame.task_run_id,
        parent_stack_run_id=frame.id,
        sequence=call.sequence,
        operation=call.operation,
        status="suspended_waiting_child" if call.operation.startswith(CHILD) else status,
        input=call.input,
        options=call.options,
        due_at=now if handed_out else None,
        created_at=now,
    )


def call_ended(call: StackRun, outcome: Outcome, now: datetime) -> StackRun:
    """The call with its outcome."""
    status = "completed" if outcome.error is None else "failed"
    STACK_RUN.check(call.id, call.status, status)
    return call.replace(
        status=status, result=outcome.result, error=outcome.error, ended_at=now, due_at=None, **_GIVEN_BACK
    )


def outcome_stored(before: StackRun, after: StackRun) -> tuple[Change, ...]:
    """Somebody who is not the frame's holder ends a call: the outcome, once, and a wake-up of the frame."""
    changes = differences(before, after) | {"progress_token": before.token}
    assert after.parent_stack_run_id is not None  # only frames have none
    return Update(StackRun, after.id, changes, {"status": before.status}), Wake(after.parent_stack_run_id)


def tried_again_later(call: StackRun, delay: float, failures: int, now: datetime, error: JSON) -> Update:
    """An answered failure: the call is due again after ``delay`` seconds, for any worker."""
    return _stack_to(
        call,
        "pending",
        attempts=failures,
        due_at=now + timedelta(seconds=delay),
        error=error,
        progress_token=call.token,
        **_GIVEN_BACK,
    )


def taken(before: StackRun | None, happening: StackRun, position: int, log: tuple[str, ...]) -> Change:
    """A happening becomes history: it gets its ``position``, and what the task printed because of it.

    ``before`` is the record as stored, ``None`` for one that is not (a timer).
    """
    after = happening.replace(position=position, log=list(log) or None)
    return Create(after) if before is None else Update(StackRun, after.id, differences(before, after))


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
    return _stack_to(
        call,
        ending.status,
        expect,
        result=ending.result,
        error=ending.error,
        position=position,
        ended_at=now,
        due_at=None,
        token=call.token + 1,
        **_GIVEN_BACK,
    )


# ---- standing still, and ending


def suspension(run: TaskRun, frame: StackRun, deadline: datetime | None, now: datetime) -> tuple[Change, ...]:
    """Nothing is left to do here: the claim is given back. A wake-up that the holder has not read is a ``Conflict``."""
    changes: list[Change] = [] if run.status == "suspended" else [_run_to(run, "suspended")]
    changes.append(
        _stack_to(
            frame,
            "suspended_waiting_child",
            {"wakes": frame.wakes},
            due_at=deadline,
            suspended_at=frame.suspended_at or now,
            progress_token=frame.token,
            **_GIVEN_BACK,
        )
    )
    return tuple(changes)


def put_off(frame: StackRun, seconds: float, now: datetime) -> tuple[Change, ...]:
    """This worker cannot go on with the frame, and another may: it is due again in a while."""
    return (Update(StackRun, frame.id, {"due_at": now + timedelta(seconds=seconds), **_GIVEN_BACK}),)


def not_taken_up(run: TaskRun, frame: StackRun, error: JSON, now: datetime) -> tuple[Change, ...]:
    """The run fails before its code is reached."""
    return end(run, frame, Ending("failed", error=error), now)


def given_back(frame: StackRun, now: datetime) -> tuple[Change, ...]:
    """The holder stops (a worker that shuts down): due at once for the next."""
    return put_off(frame, 0, now)


def end(run: TaskRun, frame: StackRun, ending: Ending, now: datetime) -> tuple[Change, ...]:
    """The run and its root frame end."""
    return (
        _run_to(run, ending.status, result=ending.result, error=ending.error, ended_at=now),
        _stack_to(
            frame,
            ending.status,
            error=ending.error,
            ended_at=now,
            due_at=None,
            progress_token=frame.token,
            **_GIVEN_BACK,
        ),
    )


def dead(kind: str, claimed: StackRun) -> JSON:
    """The error of what was claimed again and again without getting a step further."""
    times = claimed.token - claimed.progress_token
    message = (
        f"{kind} {claimed.id} was claimed {times} times in a row without getting one step further: it ends its workers"
        " (out of memory, a crash in native code, os._exit). Mend the task, and submit it anew"
    )
    return {"type": "DeadTask", "message": message, "dead": True}


def dead_outcome(call: StackRun) -> Outcome:
    """How a dead call ends."""
    return Outcome(error=dead("call", call))


def is_dead(claimed: StackRun) -> bool:
    """Whether it is not to be tried any more."""
    return claimed.token - claimed.progress_token > CLAIMS_WITHOUT_PROGRESS


# ---- children, events, cancelling


def child_id(parent_call: StackRun) -> str:
    """The id of the run that a call starts: always the same for the same call."""
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
        raise ConfigurationError(f"run {run.id} is {run.status}: nobody is left to take the event {name!r}")
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


def cancel_asked(run_id: str, now: datetime) -> tuple[Change, ...]:
    """Ask a run to end: its task gets ``CancelledError`` where it awaits, once."""
    asked = StackRun(
        id=f"{run_id}.cancel",
        task_run_id=run_id,
        parent_stack_run_id=run_id,
        operation=CANCEL,
        status="completed",
        created_at=now,
        ended_at=now,
    )
    return Create(asked), Wake(run_id)


def cancelled_at_once(run: TaskRun, frame: StackRun, calls: Iterable[StackRun], now: datetime) -> tuple[Change, ...]:
    """End a run whatever its holder does: the tokens move on, so that every holder is refused from now on."""
    error = {"type": "Cancelled", "message": "cancelled by force"}
    ended: dict[str, Any] = {"error": error, "ended_at": now}
    fenced = [_ended_by_force(stack_run, ended) for stack_run in (frame, *calls)]
    return (_run_to(run, "cancelled", {"status": run.status}, **ended), *fenced)


def _ended_by_force(stack_run: StackRun, ended: Mapping[str, Any]) -> Update:
    expect = {"token": stack_run.token, "status": stack_run.status}
    return _stack_to(stack_run, "cancelled", expect, token=stack_run.token + 1, due_at=None, **_GIVEN_BACK, **ended)


# ---- questions


def is_child(record: StackRun) -> bool:
    """Whether the call is a run of its own."""
    return record.operation.startswith(CHILD)


def is_performed(operation: str) -> bool:
    """Whether a worker performs it (and not a child run, or the task's own clock and inbox)."""
    return operation != SLEEP and not operation.startswith((WAIT, CHILD))


def is_performed_by_holder(record: StackRun) -> bool:
    """Whether it is covered by the frame's claim: its holder performs it, also when it finds it after a crash."""
    return record.status == "in_progress" and record.due_at is None and is_performed(record.operation)


def when(happening: StackRun) -> tuple[datetime, str]:
    """The order in which things that have happened are taken."""
    assert happening.ended_at is not None  # whatever has ended has a time
    return happening.ended_at, happening.id


# ---- parts


def differences(before: StackRun, after: StackRun) -> dict[str, Any]:
    """The fields of ``after`` that are not the very values of ``before``."""
    return {
        name: value
        for name in StackRun.__dataclass_fields__
        if (value := getattr(after, name)) is not getattr(before, name)
    }


def _child_error(child: TaskRun, ending: Ending) -> JSON:
    error = ending.error if isinstance(ending.error, dict) else {}
    return {"type": "TaskCancelled" if ending.status == "cancelled" else "TaskFailed", "run": child.id} | {
        "message": error.get("message", f"run {child.id} was {ending.status}"),
        "cause": ending.error,
    }


def _run_to(run: TaskRun, status: str, expect: Mapping[str, Any] | None = None, **fields: Any) -> Update:
    TASK_RUN.check(run.id, run.status, status)
    return Update(TaskRun, run.id, {"status": status, **fields}, expect or {})


def _stack_to(found: StackRun, status: str, expect: Mapping[str, Any] | None = None, **fields: Any) -> Update:
    STACK_RUN.check(found.id, found.status, status)
    return Update(StackRun, found.id, {"status": status, **fields}, expect or {})
