"""Laws that hold for every machine, tried on machines made at random."""

from __future__ import annotations

import json
from types import ModuleType
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sequential_adaptor.flow import Machine, Step

SETTINGS = settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
Cases = st.SearchStrategy[dict[str, Any]]


def shown(step: Step) -> Any:
    """Everything that a step says, as JSON, so that types and the order of keys count."""
    return json.dumps([step.snapshot, step.leaves, step.actions, step.invokes, step.stopped, step.tags])


@SETTINGS
@given(data=st.data())
def test_straight_and_restored_at_every_step_are_the_same(
    data: st.DataObject, random_cases: Cases, steps: ModuleType
) -> None:
    case = data.draw(random_cases)
    machine, straight, restored = steps.load_case(case), None, None
    for number in range(len(case["steps"]) + 1):
        straight = steps.take(case, number, straight, machine)
        restored = steps.take(case, number, restored, steps.load_case(case))
        assert shown(straight) == shown(restored)
        restored = json.loads(json.dumps(restored.snapshot))


@SETTINGS
@given(data=st.data())
def test_no_step_changes_the_snapshot_that_it_is_given(
    data: st.DataObject, random_cases: Cases, steps: ModuleType
) -> None:
    case = data.draw(random_cases)
    machine, step = steps.load_case(case), None
    for number in range(len(case["steps"]) + 1):
        before = json.dumps(step.snapshot) if step is not None else ""
        after = steps.take(case, number, step, machine)
        assert step is None or json.dumps(step.snapshot) == before
        step = after


@SETTINGS
@given(data=st.data())
def test_a_caller_who_spoils_a_snapshot_spoils_nothing_else(
    data: st.DataObject, random_cases: Cases, steps: ModuleType
) -> None:
    """What a machine gives away is not its own: the next flow on it runs as the first did."""
    case = data.draw(random_cases)
    machine = steps.load_case(case)
    first = _runs(case, machine, steps)
    for step in first:
        spoil(step.snapshot)
        spoil(step.actions)
        spoil(step.invokes)
    assert [shown(step) for step in _runs(case, machine, steps)] == [
        shown(step) for step in _runs(case, steps.load_case(case), steps)
    ]


@SETTINGS
@given(data=st.data())
def test_the_active_states_are_a_legal_configuration(
    data: st.DataObject, random_cases: Cases, steps: ModuleType
) -> None:
    """One active child per compound state, all regions in a parallel one, and nothing else."""
    case = data.draw(random_cases)
    machine = steps.load_case(case)
    for step in _runs(case, machine, steps):
        if step.snapshot["value"] is not None:
            leaves = legal_leaves(case["machine"], step.snapshot["value"], "")
            assert sorted(leaves) == step.leaves


@SETTINGS
@given(data=st.data())
def test_deadlines_are_kept(data: st.DataObject, random_cases: Cases, steps: ModuleType) -> None:
    """After a step at a time no timer is left that was due by it, and they are in the order in which they are due."""
    case = data.draw(random_cases)
    machine, at = steps.load_case(case), 0
    for step, taken in zip(_runs(case, machine, steps), [{}, *case["steps"]], strict=False):
        at += taken.get("advance", 0)
        deadlines = [timer["at"] for timer in step.snapshot["timers"]]
        assert deadlines == sorted(deadlines)
        if "advance" in taken and deadlines:
            assert deadlines[0] > at / 1000
        assert machine.next_deadline(step.snapshot) == (deadlines[0] if deadlines else None)


@SETTINGS
@given(data=st.data())
def test_advancing_in_two_steps_is_advancing_in_one(
    data: st.DataObject, random_cases: Cases, steps: ModuleType
) -> None:
    case = data.draw(random_cases)
    machine = steps.load_case(case)
    for step in _runs(case, machine, steps):
        at = sum(taken.get("advance", 0) for taken in case["steps"]) / 1000
        by, more = data.draw(st.integers(0, 20)), data.draw(st.integers(0, 20))
        half = machine.advance(step.snapshot, at=at + by / 1000)
        whole = machine.advance(step.snapshot, at=at + (by + more) / 1000)
        rest = machine.advance(half.snapshot, at=at + (by + more) / 1000)
        if whole.status != "error" and rest.status != "error":
            assert [*half.actions, *rest.actions] == whole.actions
            assert rest.snapshot == whole.snapshot


@SETTINGS
@given(data=st.data())
def test_entries_and_exits_of_each_state_alternate(data: st.DataObject, random_cases: Cases, steps: ModuleType) -> None:
    """No state is entered twice without being left, nor left without having been entered."""
    case = data.draw(random_cases)
    inside: set[str] = set()
    for step in _runs(case, steps.load_case(case), steps):
        for action in step.actions:
            if isinstance(action, str) and action[0] in "+-":
                assert (action[1:] in inside) == (action[0] == "-")
                inside ^= {action[1:]}


def _runs(case: dict[str, Any], machine: Machine, steps: ModuleType) -> list[Step]:
    taken: list[Step] = []
    for number in range(len(case["steps"]) + 1):
        taken.append(steps.take(case, number, taken[-1] if taken else None, machine))
    return taken


def spoil(value: Any) -> None:
    """Change everything in a value that can be changed, from the inside out."""
    if isinstance(value, dict | list):
        for item in value.values() if isinstance(value, dict) else value:
            spoil(item)
        value.clear()


def legal_leaves(state: dict[str, Any], value: Any, path: str) -> list[str]:
    regions = {key: child for key, child in state.get("states", {}).items() if child.get("type") != "history"}
    value = {value: {}} if isinstance(value, str) else value
    assert value.keys() <= regions.keys()
    assert len(value) == (len(regions) if state.get("type") == "parallel" else min(len(regions), 1))
    found = [legal_leaves(regions[key], value[key], f"{path}.{key}" if path else key) for key in value]
    return [leaf for leaves in found for leaf in leaves] if regions else [path]
