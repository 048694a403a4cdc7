"""How a run that has failed is taken back to where it failed: pure functions from its records to changes.

Nothing is deleted. A call that is performed once more keeps its record, and with it its key; what happened after it is
laid aside, below the mark that the retry leaves in the history.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sequential_adaptor.engine.rules.operations import CANCEL, EVENT, FORKED, RETRIED, is_child
from sequential_adaptor.engine.rules.points import Point, ended_by_the_task, point_before
from sequential_adaptor.engine.rules.steps import GIVEN_BACK, run_to, stack_to
from sequential_adaptor.lifecycles import STACK_RUN
from sequential_adaptor.records import StackRun, TaskRun
from sequential_adaptor.storage.changes import Change, Create, Update
from sequential_adaptor.values import JSON

_HTTP: Final = frozenset({"fetch", "httpx"})
_FRESH: Final[Mapping[str, Any]] = {"position": None, "result": None, "error": None, "ended_at": None, "log": None}


@dataclass(frozen=True, slots=True)
class Retreat:
    """What becomes of the rows of a run that is taken back.

    - ``kept``: outcomes, events and a cancel that the task has yet to take.
    - ``again``: calls that are performed, or waited for, once more under their own ids.
    - ``undone``: what had not happened yet at the point; a call in its place gets another id.
    """

    kept: Sequence[StackRun]
    again: Sequence[StackRun]
    undone: Sequence[StackRun]

    def without(self, call: StackRun) -> Retreat:
        """The same, but for a call that cannot be gone on with: it is made anew."""
        return Retreat(self.kept, self.leaving(call).again, [*self.undone, call])

    def leaving(self, call: StackRun) -> Retreat:
        """The same, but for a call that is seen to by itself."""
        return Retreat(self.kept, [one for one in self.again if one.id != call.id], self.undone)

    def without_cancels(self) -> Retreat:
        """The same for a child, which its parent wants again: that it was to end, when it failed or since, is over."""
        cancels = [row for row in self.kept if row.operation == CANCEL]
        kept = [row for row in self.kept if row.operation != CANCEL]
        return Retreat(kept, self.again, [*self.undone, *cancels])


def culprits(run: TaskRun, rows: Sequence[StackRun]) -> list[StackRun]:
    """The calls that the run failed by: those whose error shows in its own, of those that went on at the same time.

    None where it failed by its own code alone.
    """
    taken = sorted((row for row in rows if row.position is not None), key=lambda row: row.position or 0)
    failed = [row for row in taken if _has_failed(row)]
    shown = [row for row in failed if _shows(row, run.error)]
    if not shown:
        return failed[-1:] if failed and _last_outcome(taken) is failed[-1] else []
    last = shown[-1]
    return [call for call in shown if call is last or point_before([call], rows).made >= (last.sequence or 0)]


def retreat(rows: Sequence[StackRun], calls: Sequence[StackRun]) -> Retreat:
    """Take the rows back to before the outcomes of the calls; with none, only what was left open goes on.

    A cancel may stand for a call: the run goes on as if it had not been asked to end.
    """
    point = point_before(calls, rows) if calls else Point(None, max((row.sequence or 0 for row in rows), default=0))
    asked = {call.id for call in calls}
    kept: list[StackRun] = []
    again: list[StackRun] = []
    undone: list[StackRun] = []
    for row in rows:
        if point.is_history(row) or row.operation in (RETRIED, FORKED):
            continue
        if row.operation.startswith(EVENT) or (row.operation == CANCEL and row.id not in asked):
            kept.append(row)
        elif row.sequence is None or row.sequence > point.made:
            undone.append(row)
        elif row.id not in asked and row.status == "completed" and not ended_by_the_task(row):
            kept.append(row)
        else:
            again.append(row)
    return Retreat(kept, again, undone)


def retried(
    run: TaskRun,
    frame: StackRun,
    everything: Sequence[StackRun],
    back: Retreat,
    version: str,
    entering: Mapping[str, Any],
    now: datetime,
) -> list[Change]:
    """The run goes on. ``everything`` holds all of its rows, those that were undone before too.

    ``entering`` are the fields by which its root frame is due, or waits for its queue.
    """
    mark = _mark(run, everything, back, now)
    reset = {"result": None, "error": None, "ended_at": None}
    start = {**reset, **entering, "progress_token": frame.token, "suspended_at": None, **GIVEN_BACK}
    found = {name: getattr(frame, name) for name in ("status", "token", "parent_stack_run_id")}
    return [
        run_to(run, "pending", {"status": run.status}, version=version, **reset),
        stack_to(frame, start.pop("status"), found, **start),
        Create(mark),
        *(Update(StackRun, row.id, {"position": None, "log": None}) for row in back.kept),
        *(_once_more(call) for call in back.again),
        *(_laid_aside(row, mark.id, now) for row in back.undone),
    ]


def _mark(run: TaskRun, everything: Sequence[StackRun], back: Retreat, now: datetime) -> StackRun:
    """The row that tells of a retry, in the history and behind everything that has ever been in it."""
    times = sum(row.operation == RETRIED for row in everything)
    return StackRun(
        id=f"{run.id}.{RETRIED}{times + 1}",
        task_run_id=run.id,
        parent_stack_run_id=run.id,
        operation=RETRIED,
        status="completed",
        input={"again": [call.id for call in back.again]},
        result={"error": run.error, "undone": [row.sequence for row in back.undone if row.sequence is not None]},
        position=1 + max((row.position for row in everything if row.position is not None), default=-1),
        created_at=now,
        ended_at=now,
    )


def found_ended(call: StackRun, child: TaskRun, now: datetime) -> Update:
    """The child of a call that goes on has completed by now, although nobody waited for it."""
    ended = {"result": child.result, "error": None, "position": None, "log": None, "ended_at": child.ended_at or now}
    return Update(StackRun, call.id, {"status": "completed", **ended}, {"status": call.status})


def is_undone(row: StackRun) -> bool:
    """Whether a retry has laid the row aside."""
    return (row.parent_stack_run_id or "").startswith(f"{row.task_run_id}.{RETRIED}")


def times_undone(rows: Iterable[StackRun]) -> dict[int, int]:
    """How often the call of a number was undone, by number."""
    found: dict[int, int] = {}
    for row in rows:
        undone: JSON = row.result.get("undone") if row.operation == RETRIED and isinstance(row.result, dict) else None
        for sequence in undone or ():
            found[sequence] = found.get(sequence, 0) + 1
    return found


def _has_failed(row: StackRun) -> bool:
    """Whether the call ended badly, by no doing of the task."""
    if row.sequence is None or ended_by_the_task(row):
        return False
    return row.status == "failed" or _bad_status(row) is not None


def _bad_status(row: StackRun) -> int | None:
    """The status of an HTTP answer from 400 on: for the engine the call is completed, for people it has failed."""
    status = row.result.get("status") if row.operation in _HTTP and isinstance(row.result, dict) else None
    return status if type(status) is int and status >= 400 else None


def _shows(call: StackRun, error: JSON) -> bool:
    """Whether the run's error, or what led to it, is the call's."""
    found = error if isinstance(error, dict) else {}
    text = f"{found.get('message', '')}\n{found.get('traceback', '')}"
    status = _bad_status(call)
    if status is not None:
        return str(status) in text
    own = call.error.get("message") if isinstance(call.error, dict) else None
    return bool(own) and str(own) in text


def _last_outcome(taken: Sequence[StackRun]) -> StackRun | None:
    outcomes = (row for row in reversed(taken) if row.sequence is not None and not ended_by_the_task(row))
    return next(outcomes, None)


def _once_more(call: StackRun) -> Update:
    waits = "suspended_waiting_child" if is_child(call) else "in_progress"
    start = {**_FRESH, "due_at": None, "attempts": 0, "progress_token": call.token, **GIVEN_BACK}
    return stack_to(call, waits, {"status": call.status}, **start)


def _laid_aside(row: StackRun, mark_id: str, now: datetime) -> Update:
    changes: dict[str, Any] = {"parent_stack_run_id": mark_id}
    if row.status not in STACK_RUN.ended:
        changes |= {"status": "cancelled", "ended_at": now, "due_at": None, "token": row.token + 1, **GIVEN_BACK}
    return Update(StackRun, row.id, changes, {"status": row.status})
