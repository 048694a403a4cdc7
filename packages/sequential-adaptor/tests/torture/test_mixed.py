"""The mixed torture: a small one, and its checker, which finds each thing that can be wrong."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from sequential_adaptor.engine.rules import RETRIED
from sequential_adaptor.records import StackRun, TaskRun
from sequential_adaptor.testing.torture import torture_mixed
from sequential_adaptor.testing.torture.checking import Lease
from sequential_adaptor.testing.torture.mixed.checking import Evidence, check
from sequential_adaptor.testing.torture.mixed.workload import (
    CALLS,
    CLEAN_UP,
    ENTER,
    EVENTS,
    REFUSED,
    Plan,
    plans,
)
from sequential_adaptor.testing.torture.service import Request

NOW = datetime(2024, 1, 1, tzinfo=UTC)


@pytest.mark.slow
async def test_a_folder_survives_everything_at_once(tmp_path: Path) -> None:
    """24 runs with their children, 3 workers, 4 kills, events, cancels, a limit: nothing lost, stuck, twice, wrong or
    over the limit."""
    seen: list[tuple[int, int, int]] = []
    report = await torture_mixed(
        f"folder:{tmp_path / 'store'}",
        tasks=24,
        workers=3,
        kills=4,
        seed=11,
        cancels=0.2,
        lease=1.0,
        progress=lambda *now: seen.append(now),
    )
    assert report.ok, str(report)
    assert report.kills >= 2
    assert seen[-1][0] == seen[-1][1] > 24


def test_a_seed_decides_who_is_cancelled_and_when() -> None:
    """The same seed makes the same plans; another one others; and there is one of every kind."""
    assert plans("a", 80, 1, 0.2) == plans("a", 80, 1, 0.2) != plans("a", 80, 2, 0.2)
    found = plans("a", 80, 1, 0.2)
    assert {plan.kind for plan in found} | {"single"} == set(CALLS)
    assert {plan.cancel for plan in found} == {None, "soft", "force"}


def a_run(number: int, kind: str, begin: float, result: Any, **fields: Any) -> dict[str, Any]:
    """A run that went well: its plan, its records, and the requests of its calls, a second apart."""
    id = f"mixed-{number}"
    rows = [StackRun(id=id, task_run_id=id, status="completed", ended_at=NOW)]
    requests = []
    for sequence in range(1, CALLS[kind] + 1):
        n = CLEAN_UP if sequence == CALLS[kind] else sequence - 1
        rows.append(
            StackRun(
                id=f"{id}.{sequence}",
                task_run_id=id,
                parent_stack_run_id=id,
                sequence=sequence,
                position=sequence,
                operation="torture.ask",
                status="completed",
                input={"run": id, "n": n, "before": []},
                ended_at=NOW,
            )
        )
        at = begin + sequence
        asked = {"run": id, "n": n, "before": []}
        requests.append(Request(f"{id}.{sequence}", "w1", asked, at, "answered", {"serial": at}, at + 0.1))
    given = [request.answer for request in requests]
    run = TaskRun(
        id=id,
        task_identifier="mixed",
        status="completed",
        input={"run": id, "kind": kind},
        result=result(id, given),
        ended_at=NOW,
    )
    plan = Plan(id, kind, None, 0.0, 0.0, fields.get("key"), 0)
    lease = Lease("w1", id, 1, begin, begin + 99)
    return {"plan": plan, "run": run, "rows": rows, "requests": requests, "lease": lease}


def a_fork(original: dict[str, Any]) -> dict[str, Any]:
    """The fork of a run, and the requests that are its own."""
    plan, rows = original["plan"], original["rows"]
    asked = [{"run": plan.fork, "n": n, "before": []} for n in (1, CLEAN_UP)]
    requests = [
        Request(f"{plan.fork}.{3 + n}", "w1", one, 150.0 + n, "answered", {"serial": 150.0 + n}, 150.1 + n)
        for n, one in enumerate(asked)
    ]
    first = original["run"].result[0]
    run = original["run"].replace(id=plan.fork, result=[first, plan.fork, {"serial": 150.0}])
    own = [row.replace(id=row.id.replace(plan.run, plan.fork), task_run_id=plan.fork) for row in rows]
    return {"run": run, "rows": own, "requests": requests, "lease": Lease("w1", plan.fork, 1, 100.0, 199.0)}


def evidence() -> dict[str, Any]:
    """Four runs of the queue, one after the other two at a time; one that waited for an event, one for several; one
    that was retried; one that was forked, and its fork; and two times of the schedule."""
    runs = [a_run(n, "limited", 100.0 + 10 * (n // 2), lambda id, given: given[:2]) for n in range(4)]
    runs.append(a_run(4, "before", 100.0, lambda id, given: id))
    runs.append(a_run(5, "order", 100.0, lambda id, given: list(range(EVENTS))))
    runs.append(retried := a_run(6, "retried", 100.0, lambda id, given: [given[0], given[1]]))
    retried["rows"].append(
        StackRun(id="mixed-6.retried1", task_run_id="mixed-6", operation=RETRIED, status="completed")
    )
    for request in (one for one in retried["requests"] if one.asked["n"] == 1):
        request.asked["n"] = REFUSED
    runs.append(forked := a_run(7, "forked", 100.0, lambda id, given: [given[0], id, given[1]]))
    plans = [one["plan"] for one in runs]
    runs.append(a_fork(forked))
    return {
        "plans": plans,
        "runs": {one["run"].id: one["run"] for one in runs},
        "rows": {one["run"].id: one["rows"] for one in runs},
        "requests": [request for one in runs for request in one["requests"]],
        "leases": [one["lease"] for one in runs],
        "completions": [(one["run"].id, "commit") for one in runs],
        "starts": {},
        "cancelled": set(),
        "forks": {"mixed-7-1"},
        "ticks": {"tick-1": "pruned", "tick-2": "completed"},
    }


def found(change: Callable[[dict[str, Any]], object]) -> set[str]:
    given = evidence()
    change(given)
    return {finding.kind for finding in check(Evidence(**given))}


def change_run(id: str, **fields: Any) -> Callable[[dict[str, Any]], object]:
    return lambda given: given["runs"].update({id: given["runs"][id].replace(**fields)})


def at_once(given: dict[str, Any]) -> None:
    for request in given["requests"]:
        request.arrived = 100.0 + request.asked["n"]
        request.ended = request.arrived + 0.1


def same_key(given: dict[str, Any]) -> None:
    given["plans"] = [Plan(plan.run, plan.kind, None, 0.0, 0.0, "key", 0) for plan in given["plans"]]


def without_clean_up(given: dict[str, Any]) -> None:
    row = given["rows"]["mixed-0"][-1]
    given["rows"]["mixed-0"][-1] = row.replace(input={**row.input, "n": ENTER})


def refuse(given: dict[str, Any]) -> None:
    for request in (one for one in given["requests"] if one.asked["n"] == REFUSED):
        request.manner = "refused"


FAULTS: dict[str, tuple[str, Callable[[dict[str, Any]], object]]] = {
    "no run": ("lost", lambda given: given["runs"].pop("mixed-0")),
    "not ended": ("stuck", change_run("mixed-0", status="suspended", ended_at=None)),
    "failed": ("wrong", change_run("mixed-0", status="failed", error={"type": "E", "message": "m"})),
    "cancelled by nobody": ("wrong", change_run("mixed-0", status="cancelled", error={"type": "CancelledError"})),
    "another answer": ("wrong", change_run("mixed-0", result=[{"serial": 1}, {"serial": 2}])),
    "another's event": ("wrong", change_run("mixed-4", result="mixed-5")),
    "events out of order": ("wrong", change_run("mixed-5", result=[1, 0, 2, 3, 4])),
    "an event twice": ("wrong", change_run("mixed-5", result=[0, 0, 1, 2, 3])),
    "no clean-up": ("wrong", without_clean_up),
    "the fork of another": ("wrong", change_run("mixed-7-1", result=[{"serial": 101.0}, "mixed-7", {"serial": 150.0}])),
    "a fork without its past": ("wrong", change_run("mixed-7-1", result=[None, "mixed-7-1", {"serial": 150.0}])),
    "not refused any more": ("wrong", change_run("mixed-6", result=[{"serial": 101.0}, None])),
    "refused to the end": ("wrong", refuse),
    "not retried": ("wrong", change_run("mixed-6", status="failed", error={"type": "E", "message": "m"})),
    "retried twice": ("twice", lambda given: given["rows"]["mixed-6"].append(given["rows"]["mixed-6"][-1])),
    "no fork": ("lost", lambda given: given["runs"].pop("mixed-7-1")),
    "a time without a run": ("lost", lambda given: given["ticks"].update({"tick-1": None})),
    "a time whose run goes on": ("stuck", lambda given: given["ticks"].update({"tick-1": "suspended"})),
    "a time whose run failed": ("wrong", lambda given: given["ticks"].update({"tick-1": "failed"})),
    "before its time": ("wrong", lambda given: given["starts"].update({"mixed-0": 102.0})),
    "a call too many": ("twice", lambda given: given["rows"]["mixed-0"].append(given["rows"]["mixed-0"][1])),
    "two completions": ("twice", lambda given: given["completions"].append(("mixed-0", "another"))),
    "all at once": ("over a limit", at_once),
    "two of a key": ("over a limit", same_key),
    "another key": ("key changed", lambda given: setattr(given["requests"][0], "key", given["requests"][5].key)),
    "without a claim": ("repeated too early", lambda given: given["leases"].clear()),
}


@pytest.mark.parametrize(("kind", "change"), FAULTS.values(), ids=FAULTS.keys())
def test_each_fault_is_found(kind: str, change: Callable[[dict[str, Any]], object]) -> None:
    """Each thing that can be wrong is found under its name."""
    assert kind in found(change)


def test_what_went_well_is_fine() -> None:
    """Nothing is found where nothing is wrong, nor where somebody has asked for it."""
    assert found(lambda given: None) == set()
    ended = change_run("mixed-0", status="cancelled", error={"type": "CancelledError"}, result=None)
    assert found(lambda given: (ended(given), given["cancelled"].add("mixed-0"))) == set()
