"""Holds what is stored against what the service saw and the workers wrote down. Pure: from what was to what is
wrong."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from sequential_adaptor import values
from sequential_adaptor.records import StackRun, TaskRun
from sequential_adaptor.testing.torture.report import Finding
from sequential_adaptor.testing.torture.service import Request
from sequential_adaptor.testing.torture.workload import Plan


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
    _leases: dict[tuple[str, str], list[Lease]] = field(default_factory=lambda: defaultdict(list))

    def __post_init__(self) -> None:
        for request in self.requests:
            self.by_call[request.asked["run"], request.asked["n"]].append(request)
        for lease in self.leases:
            self._leases[lease.worker, lease.id].append(lease)

    def leases_for(self, request: Request) -> list[Lease]:
        """What its performer ever held that a call under this key is covered by: the call itself, or its frame."""
        if request.performer is None or request.key is None:
            return []
        frame = request.key.rpartition(".")[0]
        return [*self._leases[request.performer, request.key], *self._leases[request.performer, frame]]

    def cover(self, request: Request) -> Lease | None:
        """What its performer held when it came in, from the claim to the last heartbeat; ``None`` if nothing.

        Where the performer had let a lease on the same run out before, nothing is certain: it may still have been at
        what it began then.
        """
        whole: dict[tuple[str, int], Lease] = {}
        for lease in self.leases_for(request):
            known = whole.get((lease.id, lease.token), lease)
            since, until = min(known.since, lease.since), max(known.until, lease.until)
            whole[lease.id, lease.token] = Lease(lease.worker, lease.id, lease.token, since, until)
        covering = [lease for lease in whole.values() if lease.since <= request.arrived < lease.until]
        held = min(covering, key=lambda lease: lease.until, default=None)
        if held is None or any(one.id == held.id and one.until <= held.since for one in whole.values()):
            return None
        return held


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
        if not any(request.was_done and values.identical(request.answer, answer) for request in requests):
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
    for (run, n), requests in evidence.by_call.items():
        ordered = sorted(requests, key=lambda request: request.arrived)
        for request in ordered:
            if request.performer is not None and not evidence.leases_for(request):
                yield Finding(
                    "repeated too early", run, f"call {n} was performed by {request.performer} without a claim"
                )
        for earlier, later in pairwise(ordered):
            held, own = evidence.cover(earlier), evidence.cover(later)
            if held is None or own is None or _was_given_up(earlier, later) or later.arrived >= held.until:
                continue
            early = f"{held.until - later.arrived:.3f} s before the lease of {held.worker} ended"
            tokens = f"token {held.token} of {held.id} and token {own.token} of {own.id}"
            message = f"call {n} was repeated by {later.performer} {early} ({tokens}; {_told(ordered)})"
            yield Finding("repeated too early", run, message)


def late(evidence: Evidence) -> int:
    """How many requests came when their performer's lease was over: it was held up between looking and sending."""
    claimed = [request for request in evidence.requests if evidence.leases_for(request)]
    return sum(evidence.cover(request) is None for request in claimed)


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
    over = not earlier.was_done or earlier.manner == "dropped"
    return over and earlier.ended is not None and earlier.ended <= later.arrived
