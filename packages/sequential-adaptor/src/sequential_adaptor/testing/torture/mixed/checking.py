"""Holds what is left of a mixed torture against its plans. Pure."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sequential_adaptor import values
from sequential_adaptor.engine.rules import RETRIED
from sequential_adaptor.lifecycles import TASK_RUN
from sequential_adaptor.records import StackRun, TaskRun
from sequential_adaptor.testing.torture.checking import Evidence as RequestEvidence
from sequential_adaptor.testing.torture.checking import Lease
from sequential_adaptor.testing.torture.checking import check as check_requests
from sequential_adaptor.testing.torture.mixed.workload import (
    CALLS,
    CLEAN_UP,
    ENTER,
    EVENTS,
    FAILED,
    LIMIT,
    PRUNED,
    REFUSED,
    Plan,
)
from sequential_adaptor.testing.torture.report import Finding
from sequential_adaptor.testing.torture.service import Request

_SLACK = 0.1
"""Seconds by which two clocks of one machine, read through a store, may differ."""


@dataclass
class Evidence:
    """All that is known when the workers are gone.

    - ``runs`` has the children too, and ``rows`` what is below them, without what a retry has laid aside.
    - ``starts`` are the times before which runs were not to start, by this machine's clock (seconds since the epoch).
    - ``cancelled`` are the runs that somebody asked to end, ``forks`` those that somebody made of others.
    - ``ticks`` are the times at which the schedule was to start a run, each with what has become of that: its status,
      ``pruned``, or ``None`` where there is none.
    """

    plans: Sequence[Plan]
    runs: Mapping[str, TaskRun]
    rows: Mapping[str, Sequence[StackRun]]
    requests: Sequence[Request]
    leases: Sequence[Lease]
    completions: Sequence[tuple[str, str]]
    starts: Mapping[str, float]
    cancelled: Collection[str]
    forks: Collection[str]
    ticks: Mapping[str, str | None]
    by_call: dict[tuple[str, int], list[Request]] = field(default_factory=lambda: defaultdict(list))
    by_label: dict[str, TaskRun] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for request in self.requests:
            self.by_call[request.asked["run"], request.asked["n"]].append(request)
        self.by_label = {label(run): run for run in self.runs.values()}

    def first(self, run: str, n: int) -> float | None:
        """When a call came to the service for the first time."""
        return min((request.arrived for request in self.by_call.get((run, n), ())), default=None)

    def was_answered(self, run: str, n: int, answer: object) -> bool:
        """Whether the service ever gave that answer to the call."""
        requests = self.by_call.get((run, n), ())
        return any(request.was_done and values.identical(request.answer, answer) for request in requests)


def label(run: TaskRun) -> str:
    """What the service knows a run by; a fork has its original's input, and was told another name."""
    if isinstance(run.input, dict) and run.input["kind"] != "forked":
        return str(run.input["run"])
    return run.id


def check(evidence: Evidence) -> list[Finding]:
    """Everything that is not as it should be."""
    checks = (
        *(_unended, _ticked_otherwise, _recorded_twice, _wrong_end),
        *(_wrong_result, _not_cleaned_up, _over_a_limit, _too_soon),
    )
    requests = RequestEvidence((), {}, {}, evidence.requests, evidence.leases, evidence.completions)
    return [*(finding for find in checks for finding in find(evidence)), *check_requests(requests)]


def _unended(evidence: Evidence) -> Iterator[Finding]:
    for plan in evidence.plans:
        if plan.run not in evidence.runs:
            yield Finding("lost", plan.run, "it was submitted and is not in the store")
    for fork in evidence.forks:
        if fork not in evidence.runs:
            yield Finding("lost", fork, "it was forked and is not in the store")
    for run in evidence.runs.values():
        for call in _detached(evidence, run):
            if call.result not in evidence.runs:
                yield Finding("lost", str(call.result), f"{call.id} started it, and it is not in the store")
        if run.status not in TASK_RUN.ended:
            left = [f"{row.id} {row.operation} {row.status} due_at {row.due_at}" for row in _open(evidence, run)]
            yield Finding("stuck", run.id, f"it is {run.status}; not ended: {'; '.join(left) or 'nothing'}")


def _open(evidence: Evidence, run: TaskRun) -> list[StackRun]:
    return [row for row in evidence.rows[run.id] if row.ended_at is None]


def _detached(evidence: Evidence, run: TaskRun) -> list[StackRun]:
    rows = evidence.rows[run.id]
    return [row for row in rows if (row.options or {}).get("detached") and row.status == "completed"]


def _ticked_otherwise(evidence: Evidence) -> Iterator[Finding]:
    """The schedule has started a run at each of its times, which was kept until it had completed."""
    for run, status in evidence.ticks.items():
        if status is None:
            yield Finding("lost", run, "the schedule has not started it")
        elif status in TASK_RUN.open:
            yield Finding("stuck", run, f"the schedule has started it, and it is {status}")
        elif status not in ("completed", PRUNED):
            yield Finding("wrong", run, f"the schedule has started it, and it {status}")


def _recorded_twice(evidence: Evidence) -> Iterator[Finding]:
    for run in evidence.runs.values():
        rows = evidence.rows[run.id]
        positions = Counter(row.position for row in rows if row.position is not None)
        for position in (position for position, count in positions.items() if count > 1):
            yield Finding("twice", run.id, f"two outcomes were taken at position {position}")
        calls, kind = sum(row.sequence is not None for row in rows), _kind(run)
        if run.status == "completed" and calls != CALLS.get(kind, calls):
            yield Finding("twice", run.id, f"a {kind} run makes {CALLS[kind]} calls, and {calls} are stored")
        retries = sum(row.operation == RETRIED for row in rows)
        if retries > 1:
            yield Finding("twice", run.id, f"it failed once, and was retried {retries} times")


def _kind(run: TaskRun) -> str:
    return str(run.input["kind"]) if isinstance(run.input, dict) else ""


def _wrong_end(evidence: Evidence) -> Iterator[Finding]:
    for run in evidence.runs.values():
        if run.status not in TASK_RUN.ended:
            continue
        may_be_cancelled = _is_below_cancelled(evidence, run)
        wanted = {"failed" if _kind(run) == "fails" else "completed", *(("cancelled",) if may_be_cancelled else ())}
        if run.status not in wanted:
            yield Finding("wrong", run.id, f"it {run.status}: {run.error}; it should be {' or '.join(sorted(wanted))}")


def _is_below_cancelled(evidence: Evidence, run: TaskRun | None) -> bool:
    """Whether the run was cancelled, or a run above it that takes it along."""
    while run is not None:
        if run.id in evidence.cancelled:
            return True
        call = run.parent_stack_run_id
        run = None if call is None else evidence.runs.get(call.partition(".")[0])
    return False


def _wrong_result(evidence: Evidence) -> Iterator[Finding]:
    for run in evidence.runs.values():
        if run.status == "completed" and not _is_right(evidence, run):
            yield Finding("wrong", run.id, f"its result is {run.result!r}")


def _is_right(evidence: Evidence, run: TaskRun) -> bool:
    kind, name, result = _kind(run), label(run), run.result
    if kind in ("single", "scheduled"):
        return evidence.was_answered(name, ENTER, result)
    if kind in ("timer", "limited", "retried"):
        second = REFUSED if kind == "retried" else 1
        return len(result) == 2 and all(map(evidence.was_answered, (name, name), (ENTER, second), result))
    if kind == "forked":
        original = run.input["run"] if isinstance(run.input, dict) else ""
        if len(result) != 3 or result[1] != name:
            return False
        return evidence.was_answered(original, ENTER, result[0]) and evidence.was_answered(name, 1, result[2])
    if kind in ("before", "during", "after"):
        return bool(result == name)
    if kind == "order":
        return bool(result == list(range(EVENTS)))
    return len(result) == 2 and evidence.was_answered(name, ENTER, result[0]) and _is_family(evidence, name, result[1])


def _is_family(evidence: Evidence, name: str, found: Sequence[Any]) -> bool:
    """Each child's result came back as its own, and so did the error of the last."""
    children = [evidence.by_label.get(f"{name}-{n}") for n in range(len(found))]
    *grown, failed = zip(children, found, strict=True)
    same = all(child is not None and values.identical(child.result, one) for child, one in grown)
    return same and failed[0] is not None and failed[0].status == "failed" and "no luck" in str(failed[1])


def _not_cleaned_up(evidence: Evidence) -> Iterator[Finding]:
    """Whatever began has cleaned up once, unless it was ended by force."""
    for run in evidence.runs.values():
        forced = isinstance(run.error, dict) and run.error.get("message") == "cancelled by force"
        calls = [row for row in evidence.rows[run.id] if row.sequence is not None]
        if forced or run.status not in TASK_RUN.ended or not calls:
            continue
        cleaned = [row for row in calls if isinstance(row.input, dict) and row.input.get("n") in (FAILED, CLEAN_UP)]
        done = [row for row in cleaned if row.status == "completed"]
        if len(cleaned) != 1 or (not done and run.status != "cancelled"):
            yield Finding("wrong", run.id, f"it cleaned up {len(done)} times; it is {run.status}")


def _over_a_limit(evidence: Evidence) -> Iterator[Finding]:
    """A run was surely on its way from its first request to the first of its last call."""
    limited = [plan for plan in evidence.plans if plan.kind == "limited"]
    stretches = [(plan, _stretch(evidence, plan.run)) for plan in limited]
    found = [(plan, *stretch) for plan, stretch in stretches if stretch is not None]
    for plan, begin, _ in found:
        beside = [other for other, since, until in found if since <= begin < until and other is not plan]
        if len(beside) >= LIMIT:
            yield Finding("over a limit", plan.run, f"it was on its way beside {[one.run for one in beside]}")
        same = [other.run for other in beside if other.key is not None and other.key == plan.key]
        if same:
            yield Finding("over a limit", plan.run, f"it was on its way beside {same} of the same key {plan.key}")


def _stretch(evidence: Evidence, run: str) -> tuple[float, float] | None:
    begin = evidence.first(run, ENTER)
    if begin is None:
        return None
    return begin, max(evidence.first(run, n) or begin for n in (ENTER, 1, CLEAN_UP))


def _too_soon(evidence: Evidence) -> Iterator[Finding]:
    for run, start in evidence.starts.items():
        began = evidence.first(run, ENTER)
        if began is not None and began < start - _SLACK:
            yield Finding("wrong", run, f"it began {start - began:.3f} s before its start time")
