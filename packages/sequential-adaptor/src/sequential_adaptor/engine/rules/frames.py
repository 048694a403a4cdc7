"""How runs and their frames move."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, Final

from sequential_adaptor.engine.rules import lanes
from sequential_adaptor.engine.rules.steps import GIVEN_BACK, run_to, stack_to
from sequential_adaptor.outcomes import Outcome
from sequential_adaptor.records import StackRun, TaskFunction, TaskRun
from sequential_adaptor.runners.base import Ending
from sequential_adaptor.storage.changes import Change, Create, Update
from sequential_adaptor.values import JSON

CLAIMS_WITHOUT_PROGRESS: Final = 25
"""A frame or call that was claimed so often in a row without getting a step further is dead."""


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
        changes.append(run_to(run, "running", None, **started))
    if frame.status != "in_progress" or frame.progress_token != frame.token:
        place = lanes.taken_up(frame)
        changes.append(stack_to(frame, "in_progress", progress_token=frame.token, suspended_at=None, **place))
    return tuple(changes)


def suspension(run: TaskRun, frame: StackRun, deadline: datetime | None, now: datetime) -> tuple[Change, ...]:
    """Nothing is left to do here: the claim is given back. A wake-up that the holder has not read is a ``Conflict``."""
    changes: list[Change] = [] if run.status == "suspended" else [run_to(run, "suspended")]
    changes.append(
        stack_to(
            frame,
            "suspended_waiting_child",
            {"wakes": frame.wakes},
            due_at=deadline,
            suspended_at=frame.suspended_at or now,
            progress_token=frame.token,
            **GIVEN_BACK,
        )
    )
    return tuple(changes)


def put_off(frame: StackRun, seconds: float, now: datetime) -> tuple[Change, ...]:
    """This worker cannot go on with the frame, and another may: it is due again in a while."""
    return (Update(StackRun, frame.id, {"due_at": now + timedelta(seconds=seconds), **GIVEN_BACK}),)


def given_back(frame: StackRun, now: datetime) -> tuple[Change, ...]:
    """The holder stops (a worker that shuts down): due at once for the next."""
    return put_off(frame, 0, now)


def end(run: TaskRun, frame: StackRun, ending: Ending, now: datetime) -> tuple[Change, ...]:
    """The run and its root frame end."""
    return (
        run_to(run, ending.status, result=ending.result, error=ending.error, ended_at=now),
        *_frame_ended(frame, ending.status, ending.error, now),
    )


def left_over(frame: StackRun, now: datetime) -> tuple[Change, ...]:
    """A frame whose run is gone (somebody has removed its row): it ends, and is not taken up again and again."""
    error = {"type": "TaskCancelled", "message": f"there is no run {frame.task_run_id}"}
    return _frame_ended(frame, "cancelled", error, now)


def _frame_ended(frame: StackRun, status: str, error: JSON, now: datetime) -> tuple[Change, ...]:
    return (
        stack_to(
            frame,
            status,
            error=error,
            ended_at=now,
            due_at=None,
            progress_token=frame.token,
            **lanes.left(frame),
            **GIVEN_BACK,
        ),
        *lanes.news_for_queue(frame),
    )


def dead(kind: str, claimed: StackRun) -> JSON:
    """The error of what was claimed again and again without getting a step further."""
    times = claimed.token - claimed.progress_token
    message = (
        f"{kind} {claimed.id} was claimed {times} times in a row without getting one step further: it ends its workers"
        " (out of memory, a crash in native code, os._exit)."
        f" Mend what ends them, and let it go on: sequential retry {claimed.task_run_id}"
    )
    return {"type": "DeadTask", "message": message, "dead": True}


def dead_outcome(call: StackRun) -> Outcome:
    """How a dead call ends."""
    return Outcome(error=dead("call", call))


def is_dead(claimed: StackRun) -> bool:
    """Whether it is not to be tried any more."""
    return claimed.token - claimed.progress_token > CLAIMS_WITHOUT_PROGRESS
