"""How a run begins with the history of another: pure functions from its records to those of the fork."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sequential_adaptor.engine.rules.asking import child_id
from sequential_adaptor.engine.rules.operations import EVENT, FORKED, WAIT, is_child, is_performed
from sequential_adaptor.engine.rules.points import Point, ended_by_the_task, event_of, point_before
from sequential_adaptor.engine.rules.steps import GIVEN_BACK
from sequential_adaptor.lifecycles import STACK_RUN
from sequential_adaptor.outcomes import Outcome
from sequential_adaptor.records import StackRun, TaskRun
from sequential_adaptor.storage.changes import Create
from sequential_adaptor.values import JSON


@dataclass(frozen=True, slots=True)
class Fork:
    """What a fork is made of.

    ``call`` is where it leaves the history of ``run``, before its outcome was taken; ``outcome`` is given to the call
    instead, ``None`` lets it be made again. ``request`` is kept with the fork.
    """

    run: TaskRun
    frame: StackRun
    rows: Sequence[StackRun]
    call: StackRun
    outcome: Outcome | None
    request: JSON


def fork_id(new_id: str) -> str:
    """The id of the row that says where a fork comes from."""
    return f"{new_id}.{FORKED}"


def fork_history(fork: Fork, new_id: str) -> list[Create]:
    """What the fork shares with the original. The same for the same request, so that it may be written twice."""
    point = point_before([fork.call], fork.rows)
    event = event_of(fork.call, fork.rows) if fork.call.operation.startswith(WAIT) else None
    return [Create(_copied(row, fork.run.id, new_id)) for row in _shared(fork, point, event)]


def fork_begun(fork: Fork, new_id: str, version: str, entering: Mapping[str, Any], now: datetime) -> list[Create]:
    """What makes a run of it. ``entering`` are the fields by which its root frame is due, or waits for its queue."""
    frame = StackRun(id=new_id, task_run_id=new_id, state=fork.frame.state, log=fork.frame.log).replace(**entering)
    run = TaskRun(
        id=new_id,
        task_identifier=fork.run.task_identifier,
        version=version,
        runner=fork.run.runner,
        input=fork.run.input,
        metadata=fork.run.metadata,
        started_at=fork.run.started_at,
    )
    return [
        Create(run),
        Create(frame),
        Create(_mark(fork, new_id, now)),
        *(Create(row) for row in _given(fork, new_id, now)),
    ]


def _mark(fork: Fork, new_id: str, now: datetime) -> StackRun:
    """The row that tells where the fork comes from, in its history where it leaves that of the original."""
    last = max((row.position for row in fork.rows if row.position is not None), default=-1)
    cut = point_before([fork.call], fork.rows).cut
    return StackRun(
        id=fork_id(new_id),
        task_run_id=new_id,
        parent_stack_run_id=new_id,
        operation=FORKED,
        status="completed",
        input=fork.request,
        position=last + 1 if cut is None else cut,
        created_at=now,
        ended_at=now,
    )


def _shared(fork: Fork, point: Point, event: StackRun | None) -> Iterator[StackRun]:
    for row in fork.rows:
        if event is not None and row.id == event.id:
            continue  # it went to the wait that is to get another one
        if point.is_history(row):
            yield row
        elif row.id != fork.call.id and _may_be_kept(row, point):
            yield row.replace(position=None, log=None)


def _may_be_kept(row: StackRun, point: Point) -> bool:
    """Whether a call had been made by then, and its outcome, which came later, has nothing to do with the task."""
    made = row.sequence is not None and row.sequence <= point.made
    return made and row.status in STACK_RUN.ended and not ended_by_the_task(row)


def _copied(row: StackRun, run_id: str, new_id: str) -> StackRun:
    """The row in the fork. A call that started a child goes on meaning that very run."""
    options = {**(row.options or {}), "id": child_id(row)} if is_child(row) else row.options
    return row.replace(
        id=_renamed(row, run_id, new_id),
        task_run_id=new_id,
        parent_stack_run_id=new_id,
        options=options,
        due_at=None,
        last_commit=None,
        **GIVEN_BACK,
    )


def _given(fork: Fork, new_id: str, now: datetime) -> Iterable[StackRun]:
    """The outcome that is given to the call: to a wait an event."""
    if fork.outcome is None:
        return ()
    outcome = fork.outcome
    if is_performed(fork.call.operation) or is_child(fork.call):
        status = "completed" if outcome.error is None else "failed"
        ended = {"status": status, "result": outcome.result, "error": outcome.error, "ended_at": now, "attempts": 0}
        return (_copied(fork.call.replace(**ended, position=None, log=None), fork.run.id, new_id),)
    name = fork.call.operation.removeprefix(WAIT)
    return (
        StackRun(
            id=f"{new_id}.e{FORKED}{fork.call.position or 0}",
            task_run_id=new_id,
            parent_stack_run_id=new_id,
            operation=f"{EVENT}{name}",
            status="completed",
            result=outcome.result,
            created_at=now,
            ended_at=now,
        ),
    )


def _renamed(row: StackRun, run_id: str, new_id: str) -> str:
    """The fork's own mark keeps its name for itself, where the original is a fork too."""
    return f"{new_id}.{FORKED}{row.position}" if row.operation == FORKED else new_id + row.id.removeprefix(run_id)
