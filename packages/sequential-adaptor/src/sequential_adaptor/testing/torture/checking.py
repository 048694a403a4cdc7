"""Holds what is stored against what the service saw and the workers wrote down. Pure: from what was to what is
wrong."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from sequential_adaptor import values
from sequential_adaptor.records import StackRun, TaskRun
from sequential_adaptor.testing.torture.report import Finding
from sequential_adaptor.testing.torture.service import Request
from sequential_adaptor.testing.torture.workload import Plan

TOLERANCE = 0.05
"""Seconds by which the clocks of store and service may differ."""


@dataclass(frozen=True, slots=True)
class Lease:
    """What a worker held, as of one line of its diary: a claim, or a heartbeat, and until when it was good."""

    worker: str
    id: str
    token: int
    since: float
    until: float


@dataclass
class Evidence:
    """All that is known when the workers are gone."""

    plans: Sequence[Plan]
    runs: Mapping[str, TaskRun]
    stack_runs: Mapping[str, Sequence[StackRun]]
    requests: Sequence[Request]
    leases: Sequence[Lease]
    completions: Sequence[tuple[str, str]]
    by_call: dict[tuple[str, int], list[Request]] = field(default_factory=lambda: defaultdict(list))

    def __post_init__(self) -> None:
        for request in self.requests:
            self.by_call[request.asked["run"], request.asked["n"]].append(request)


def check(evidence: Evidence) -> list[Finding]:
    """Everything that is not as it should be."""
    checks = (_unended, _recorded_twice, _completed_twice, _wrong, _keys, _too_early)
    return [finding for find in checks for finding in find(evidence)]


def _unended(evidence: Evidence) -> Iterator[Finding]:
    for plan in evidence.plans:
        run = evidence.runs.get(plan.run)
        if run is None:
            yield Finding("lost", plan.run, "it was submitted and is not in the store")
        elif run.ended_at is None:
            left = [_state(one) for one in evidence.stack_runs[plan.run] if one.ended_at is None]
            yield Finding("stuck", plan.run, f"it is {run.status}; not ended: {'; '.join(left) or 'nothing'}")


def _state(one: StackRun) -> str:
    return (
        f"{one.id} {one.status} due_at {one.due_at} held by {one.worker} until {one.lease_expires_at},"
        f" token {one.token}, wakes {one.wakes}, last commit {one.last_commit}"
    )


def _recorded_twice(evidence: Evidence) -> Iterator[Finding]:
    for plan in evidence.plans:
        run = evidence.runs.get(plan.run)
        if run is None or run.status != "completed":
            continue
        calls = [one for one in evidence.stack_runs[plan.run] if one.operation not in ("task_init", "timer")]
        if len(calls) != plan.calls:
            yield Finding("twice", plan.run, f"{plan.calls} calls were made, and {len(calls)} are stored")
        positions = Counter(one.position for one in evidence.stack_runs[plan.run] if one.position is not None)
        for position in (position for position, count in positions.items() if count > 1):
            yield Finding("twice", plan.run, f"two outcomes were taken at position {position}")


def _completed_twice(evidence: Evidence) -> Iterator[Finding]:
    commits: dict[str, set[str]] = defaultdict(set)
    for run, commit in evidence.completions:
        commits[run].add(commit)
    for run, found in commits.items():
        if len(found) > 1:
            yield Finding("twice", run, f"it was completed by {len(found)} commits: {', '.join(sorted(found))}")


def _wrong(evidence: Evidence) -> Iterator[Finding]:
    for plan in evidence.plans:
        run = evidence.runs.get(plan.run)
        if run is None or run.ended_at is None:
            continue
        if run.status != "completed":
            yield Finding("wrong", plan.run, f"it {run.status}: {run.error}")
        elif type(run.result) is not list or len(run.result) != plan.calls:
            yield Finding("wrong", plan.run, f"its result is {run.result!r}, and no list of {plan.calls} answers")
        else:
            yield from _wrong_past(evidence, plan, run.result)


def _wrong_past(evidence: Evidence, plan: Plan, answers: list[object]) -> Iterator[Finding]:
    """Each answer in the result was given to that call; and every attempt at a call knew exactly those before it."""
    for n, answer in enumerate(answers):
        requests = evidence.by_call[plan.run, n]
        given = [request for request in requests if request.manner != "failed"]
        if not any(values.identical(request.answer, answer) for request in given):
            yield Finding("wrong", plan.run, f"call {n} was never answered {answer!r}")
        before = plan.before(n, answers)
        for request in requests:
            if not values.identical(request.asked["before"], before):
                yield Finding("wrong", plan.run, f"call {n} went out with {request.asked['before']!r}, not {before!r}")


def _keys(evidence: Evidence) -> Iterator[Finding]:
    calls_of: dict[str | None, set[tuple[str, int]]] = defaultdict(set)
    for (run, n), requests in evidence.by_call.items():
        keys = {request.key for request in requests}
        if len(keys) > 1 or None in keys:
            yield Finding("key changed", run, f"call {n} went out under {sorted(map(str, keys))}")
        for key in keys:
            calls_of[key].add((run, n))
    for key, calls in calls_of.items():
        if len(calls) > 1:
            yield Finding("key changed", min(calls)[0], f"the key {key} stood for {sorted(calls)}")


def _too_early(evidence: Evidence) -> Iterator[Finding]:
    leases: dict[tuple[str, str], list[Lease]] = defaultdict(list)
    for lease in evidence.leases:
        leases[lease.worker, lease.id].append(lease)
    for (run, n), requests in evidence.by_call.items():
        ordered = sorted(requests, key=lambda request: request.arrived)
        for earlier, later in pairwise(ordered):
            if earlier.performer is None or earlier.key is None or _was_given_up(earlier, later):
                continue
            held = [*leases[earlier.performer, earlier.key], *leases[earlier.performer, earlier.key.rpartition(".")[0]]]
            until = _end_of_lease(held, earlier.arrived)
            if not held:
                yield Finding(
                    "repeated too early", run, f"call {n} was performed by {earlier.performer} without a claim"
                )
            elif until is not None and later.arrived + TOLERANCE < until:
                early = f"{until - later.arrived:.3f} s before the lease of {earlier.performer} ended"
                message = f"call {n} was repeated by {later.performer} {early} ({_told(ordered)})"
                yield Finding("repeated too early", run, message)


def _told(requests: Sequence[Request]) -> str:
    """All attempts at a call, in seconds since the first."""
    first = requests[0].arrived
    ends = ["never" if request.ended is None else f"{request.ended - first:.3f}" for request in requests]
    return "; ".join(
        f"{request.performer} {request.arrived - first:.3f} to {end} {request.manner}"
        for request, end in zip(requests, ends, strict=True)
    )


def _was_given_up(earlier: Request, later: Request) -> bool:
    """Whether the earlier performer knew that this attempt had failed before the later one began."""
    return earlier.manner in ("failed", "dropped") and earlier.ended is not None and earlier.ended <= later.arrived


def _end_of_lease(held: Iterable[Lease], at: float) -> float | None:
    """The end of the lease that covered the moment: of the first token that was still held then, as last extended.

    ``None`` where none did: a worker that was held up for so long performs what others may have taken over.
    """
    spans: dict[tuple[str, int], tuple[float, float]] = {}
    for lease in held:
        since, until = spans.get((lease.id, lease.token), (lease.since, lease.until))
        spans[lease.id, lease.token] = min(since, lease.since), max(until, lease.until)
    covering = [until for since, until in spans.values() if since - TOLERANCE <= at <= until + TOLERANCE]
    return min(covering, default=None)
