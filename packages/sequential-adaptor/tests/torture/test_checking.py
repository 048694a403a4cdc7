"""The checker says each thing that can be wrong, and nothing about what is as it should be."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from sequential_adaptor.records import StackRun, TaskRun
from sequential_adaptor.testing.torture.checking import Evidence, Lease, check, late
from sequential_adaptor.testing.torture.service import Request
from sequential_adaptor.testing.torture.workload import Plan

RUN = "torture-0"
NOW = datetime(2024, 1, 1, tzinfo=UTC)


def evidence() -> dict[str, Any]:
    """What is left of a run of two calls that went well, but for one request that was dropped and repeated."""
    answers = [{"serial": 2}, {"serial": 3}]
    requests = [
        Request(f"{RUN}.1", "w1", {"run": RUN, "n": 0, "before": []}, 100.0, "dropped", {"serial": 1}, 100.1),
        Request(f"{RUN}.1", "w1", {"run": RUN, "n": 0, "before": []}, 101.0, "answered", answers[0], 101.1),
        Request(f"{RUN}.2", "w1", {"run": RUN, "n": 1, "before": answers[:1]}, 102.0, "answered", answers[1], 102.1),
    ]
    frame = StackRun(id=RUN, task_run_id=RUN, status="completed", ended_at=NOW)
    calls = [
        StackRun(id=f"{RUN}.{n}", task_run_id=RUN, operation="x", status="completed", position=n, ended_at=NOW)
        for n in (1, 2)
    ]
    return {
        "plans": [Plan(RUN, "chain", 2)],
        "runs": {RUN: TaskRun(id=RUN, status="completed", result=answers, ended_at=NOW)},
        "stack_runs": {RUN: [frame, *calls]},
        "requests": requests,
        "leases": [Lease("w1", RUN, 1, 99.5, 105.0)],
        "completions": [(RUN, "commit-1")],
    }


def found(change: Callable[[dict[str, Any]], object]) -> list[str]:
    """The kinds of what is found when something is changed."""
    given = evidence()
    change(given)
    return sorted({finding.kind for finding in check(Evidence(**given))})


def test_what_went_well_is_fine() -> None:
    """Nothing is found where nothing is wrong: a dropped answer and its repetition are no fault."""
    assert found(lambda given: None) == []


def repeat(given: dict[str, Any], **changes: Any) -> None:
    given["requests"].append(replace(given["requests"][2], **{"performer": "w2", "arrived": 103.0, **changes}))
    given["leases"].append(Lease("w2", RUN, 2, 102.5, 112.0))


FAULTS: dict[str, tuple[str, Callable[[dict[str, Any]], object]]] = {
    "no run": ("lost", lambda given: given["runs"].clear()),
    "not ended": (
        "stuck",
        lambda given: given["runs"].update({RUN: TaskRun(id=RUN, status="suspended")}),
    ),
    "two completions": ("twice", lambda given: given["completions"].append((RUN, "commit-2"))),
    "a call too many": (
        "twice",
        lambda given: given["stack_runs"][RUN].append(StackRun(id=f"{RUN}.3", operation="x", status="completed")),
    ),
    "one position twice": (
        "twice",
        lambda given: given["stack_runs"].update({RUN: [one.replace(position=1) for one in given["stack_runs"][RUN]]}),
    ),
    "failed": (
        "wrong",
        lambda given: given["runs"].update({RUN: given["runs"][RUN].replace(status="failed", error={"type": "E"})}),
    ),
    "another result": (
        "wrong",
        lambda given: given["runs"].update({RUN: given["runs"][RUN].replace(result=[{"serial": 2}, {"serial": 9}])}),
    ),
    "a result too short": (
        "wrong",
        lambda given: given["runs"].update({RUN: given["runs"][RUN].replace(result=[{"serial": 2}])}),
    ),
    "an answer that was taken back": (
        "wrong",
        lambda given: given["runs"].update({RUN: given["runs"][RUN].replace(result=[{"serial": 1}, {"serial": 3}])}),
    ),
    "another key": ("key changed", lambda given: setattr(given["requests"][1], "key", "other.1")),
    "no key": ("key changed", lambda given: setattr(given["requests"][2], "key", None)),
    "one key for two calls": ("key changed", lambda given: setattr(given["requests"][2], "key", f"{RUN}.1")),
    "repeated though answered": ("repeated too early", repeat),
    "repeated though under way": (
        "repeated too early",
        lambda given: (repeat(given), setattr(given["requests"][2], "ended", None)),
    ),
    "repeated before a heartbeat's lease ended": (
        "repeated too early",
        lambda given: (repeat(given, arrived=105.5), given["leases"].append(Lease("w1", RUN, 1, 104.0, 106.0))),
    ),
    "performed without a claim": ("repeated too early", lambda given: given["leases"].clear()),
}


@pytest.mark.parametrize(("kind", "change"), FAULTS.values(), ids=FAULTS.keys())
def test_each_fault_is_found(kind: str, change: Callable[[dict[str, Any]], object]) -> None:
    """Each thing that can be wrong is found under its name."""
    assert kind in found(change)


def test_a_call_may_be_repeated_when_the_lease_has_ended() -> None:
    """What a worker did whose lease is over is done again, by whoever holds the frame then."""
    assert found(lambda given: repeat(given, arrived=105.1)) == []
    given_back = Lease("w1", RUN, 0, 97.0, 99.9)
    assert found(lambda given: (repeat(given), given["leases"].insert(0, given_back))) != []


def test_a_worker_that_let_a_lease_run_out_is_given_the_doubt() -> None:
    """A worker that claims anew what it had lost may still be sending what it began before."""
    lapsed = Lease("w1", RUN, 0, 97.0, 99.0)
    assert found(lambda given: (repeat(given), given["leases"].insert(0, lapsed))) == []


@pytest.mark.parametrize("held_up", ["w1", "w2"])
def test_a_worker_that_was_held_up_is_no_fault(held_up: str) -> None:
    """What is sent when its performer's lease is over already is counted as late; it is no repetition too early."""

    def change(given: dict[str, Any]) -> None:
        repeat(given)
        others = [lease for lease in given["leases"] if lease.worker != held_up]
        given["leases"][:] = [Lease(held_up, RUN, 1, 97.0, 99.0), *others]

    assert found(change) == []
    given = evidence()
    change(given)
    assert late(Evidence(**given)) == (3 if held_up == "w1" else 1)


def test_what_was_answered_with_an_error_is_tried_again() -> None:
    """A failure or a lost answer may be repeated by anybody, as soon as it is known."""

    def change(given: dict[str, Any]) -> None:
        repeat(given, arrived=102.2, answer={"serial": 3})
        given["requests"][2].manner = "failed"

    assert found(change) == []
