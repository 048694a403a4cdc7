"""The held-out vectors: W3C, SCION and XState machines with what each step has to give."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from sequential_adaptor.flow import EndlessLoop, Machine, MachineError


def test_every_vector_holds_straight(vectors: dict[str, Any], steps: ModuleType) -> None:
    assert len(vectors["vectors"]) == 244
    for case in vectors["vectors"]:
        machine, step = steps.load_case(case), None
        for number in range(len(case["steps"]) + 1):
            step = steps.take(case, number, step, machine)
            expected = steps.expectation(case, number)
            assert steps.outcome(step, expected) == expected, f"{case['id']}, step {number}"


def test_every_vector_holds_when_each_step_is_taken_by_a_fresh_process(
    vectors: dict[str, Any], steps_script: Path
) -> None:
    """Process n takes step n of every vector, from nothing but the JSON that process n - 1 wrote."""
    pending: list[tuple[dict[str, Any], Any]] = [(case, None) for case in vectors["vectors"]]
    number = 0
    while pending:
        given = "".join(json.dumps(one) + "\n" for one in pending)
        command = [sys.executable, str(steps_script), str(number)]
        done = subprocess.run(command, input=given, capture_output=True, text=True, check=True, timeout=100)
        outcomes = [json.loads(line) for line in done.stdout.splitlines()]
        assert [wrong for _, wrong in outcomes if wrong is not None] == []
        number += 1
        pending = [
            (case, snapshot)
            for (case, _), (snapshot, _) in zip(pending, outcomes, strict=True)
            if number <= len(case["steps"])
        ]


OFFENDING = {
    "unknown-target": ("states.a.on.GO", "nowhere"),
    "unknown-id-target": ("states.a.on.GO", "#missing"),
    "unknown-child-target": ("states.a.on.GO", ".y"),
    "unknown-initial": ("initial", "zzz"),
    "missing-initial": ("initial", "'a', 'b'"),
    "missing-nested-initial": ("states.a.initial", "'a'"),
    "duplicate-id": ("states.b.id", "same"),
    "unknown-invoke-ondone-target": ("states.a.invoke.onDone", "gone"),
    "unknown-ondone-target": ("states.a.onDone", "gone"),
    "unknown-after-target": ("states.a.after.10", "gone"),
    "unknown-always-target": ("states.a.always", "gone"),
    "history-unknown-target": ("states.a.states.h.target", "gone"),
    "unknown-type": ("states.a.type", "paralel"),
    "final-with-transitions": ("states.a.on", "GO"),
    "unknown-guard": ("states.a.on.GO.guard", "noSuchGuard"),
    "unknown-invoke-src": ("states.a.invoke.src", "noSuchActor"),
    "unknown-delay": ("states.a.after.someday", "someday"),
    "two-targets-one-region": ("states.s.on.GO.target", "p.A.C"),
}


@pytest.mark.parametrize("name", sorted(OFFENDING))
def test_a_bad_machine_is_refused_with_its_path_and_value(vectors: dict[str, Any], name: str) -> None:
    config = next(bad["machine"] for bad in vectors["invalid"] if bad["id"] == f"invalid/{name}")
    with pytest.raises(MachineError) as caught:
        Machine.load(config)
    path, value = OFFENDING[name]
    assert any(problem.path == path and value in problem for problem in caught.value.problems), caught.value
    assert path in str(caught.value)


def test_the_other_two_bad_machines_load_with_a_warning(vectors: dict[str, Any]) -> None:
    others = {bad["id"]: bad["machine"] for bad in vectors["invalid"] if bad["id"][8:] not in OFFENDING}
    assert others.keys() == {"invalid/unreachable-state", "invalid/always-infinite-loop"}
    warnings = Machine.load(others["invalid/unreachable-state"]).warnings
    assert any(warning.path == "states.island" and "island" in warning for warning in warnings)
    step = Machine.load(others["invalid/always-infinite-loop"]).start()
    assert step.status == "error"
    assert isinstance(step.cause, EndlessLoop)
    assert "a -> b -> a" in step.snapshot["error"]["message"]
