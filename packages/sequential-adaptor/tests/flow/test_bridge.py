"""Machines of the ``transitions`` library: over here, back again, and the same steps on both sides."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from transitions import Machine as TransitionsMachine
from transitions.extensions import HierarchicalMachine

from sequential_adaptor.flow import Machine, NotExpressible

NAMES = [f"s{number}" for number in range(5)]
EVENTS = ["e0", "e1", "e2"]


class Model:
    """Writes down which callbacks ran; its conditions are what they are told to be."""

    def __init__(self, truths: dict[str, bool]) -> None:
        self.truths = truths
        self.calls: list[str] = []

    def __getattr__(self, name: str) -> Any:
        if name.startswith("if_"):
            return lambda *args: self.truths[name]
        if name.startswith(("in_", "out_", "+", "-")):
            return lambda *args: self.calls.append(name)
        raise AttributeError(name)


arrows = st.fixed_dictionaries(
    {
        "trigger": st.sampled_from(EVENTS),
        "source": st.sampled_from(NAMES),
        "dest": st.sampled_from([*NAMES, "=", None]),
        "conditions": st.lists(st.sampled_from(["if_a", "if_b"]), max_size=1),
        "unless": st.lists(st.sampled_from(["if_b"]), max_size=1),
    }
)
truths = st.fixed_dictionaries({"if_a": st.booleans(), "if_b": st.booleans()})
STATES = [{"name": name, "on_enter": [f"in_{name}"], "on_exit": [f"out_{name}"]} for name in NAMES]


def guards_of(truths: dict[str, bool]) -> dict[str, Any]:
    return {name: lambda context, event, params, truth=truth: truth for name, truth in truths.items()}


def driven(machine: Machine, events: list[str]) -> list[tuple[str, list[Any]]]:
    step, found = machine.start(), []
    for event in events:
        step = machine.send(step.snapshot, event)
        found.append((step.leaves[0], step.actions))
    return found


def driven_there(machine: Any, model: Any, events: list[str]) -> list[tuple[str, list[str]]]:
    found = []
    for event in events:
        model.calls.clear()
        if event in machine.events:
            model.trigger(event)
        found.append((model.state, [*model.calls]))
    return found


@settings(max_examples=150, deadline=None)
@given(st.lists(arrows, max_size=12), truths, st.lists(st.sampled_from(EVENTS), max_size=12))
def test_a_flat_machine_takes_the_same_steps_here_there_and_back_again(
    transitions: list[dict[str, Any]], truths: dict[str, bool], events: list[str]
) -> None:
    model = Model(truths)
    options = {"states": STATES, "transitions": transitions, "initial": "s0", "ignore_invalid_triggers": True}
    there = TransitionsMachine(model, **options)
    here = Machine.from_transitions(there, guards=guards_of(truths))
    expected = driven(here, events)
    assert driven_there(there, model, events) == expected
    back = Model(truths)
    assert driven_there(here.to_transitions(back), back, events) == expected


def test_flat_vectors_take_the_same_steps_on_both_sides(vectors: dict[str, Any], steps: ModuleType) -> None:
    """Those of the held-out vectors that the other library has words for; it leaves a final state at no end."""
    compared = 0
    for case in vectors["vectors"]:
        machine, model = steps.load_case(case), Model({})
        try:
            there: Any = machine.to_transitions(model)
        except NotExpressible:
            continue
        step = machine.start()
        for taken in case["steps"]:
            model.calls.clear()
            step = machine.send(step.snapshot, taken["send"])
            if taken["send"]["type"] in there.events:
                model.trigger(taken["send"]["type"])
            assert step.leaves == taken["expect"]["leaves"] == [model.state], case["id"]
            if step.status == "active":
                assert step.actions == taken["expect"]["actions"] == model.calls, case["id"]
        compared += 1
    assert compared == 10


def test_nested_and_parallel_states_come_over() -> None:
    regions = [
        {"name": "x", "initial": "1", "children": ["1", "2"], "transitions": [["next", "1", "2"]]},
        {"name": "y", "initial": "1", "children": ["1", "2"]},
    ]
    states = ["a", {"name": "p", "parallel": regions}, {"name": "c", "initial": "k", "children": ["k", "l"]}]
    arrows = [["go", "a", "p"], ["turn", "p_y_1", "p_y_2"], ["out", "p", "c"], ["home", "c_k", "a"]]
    there = HierarchicalMachine(states=states, transitions=arrows, initial="a")
    machine = Machine.from_transitions(there)
    step, found = machine.start(), []
    for event in ("go", "next", "turn", "out", "home"):
        there.trigger(event)
        step = machine.send(step.snapshot, event)
        state = there.state if isinstance(there.state, list) else [there.state]
        found.append((step.leaves, [name.replace("_", ".") for name in state]))
    assert [here for here, _ in found] == [other for _, other in found]
    assert found[1][0] == ["p.x.2", "p.y.1"]


def test_automatic_triggers_stay_behind_and_final_states_end_the_flow() -> None:
    there = TransitionsMachine(states=["a", {"name": "z", "final": True}], transitions=[["end", "a", "z"]], initial="a")
    machine = Machine.from_transitions(there)
    step = machine.start()
    assert machine.events(step.snapshot) == ["end"]
    assert machine.send(step.snapshot, "end").status == "done"


def test_what_cannot_come_over_is_named_all_at_once() -> None:
    there = TransitionsMachine(
        states=["a", {"name": "z", "final": True}],
        transitions=[{"trigger": "x", "source": "*", "dest": "a", "prepare": "look"}],
        initial="a",
        auto_transitions=False,
        finalize_event="tidy",
    )
    with pytest.raises(NotExpressible) as caught:
        Machine.from_transitions(there)
    assert [problem.path for problem in caught.value.problems] == [
        "machine",
        "states.a.on.x",
        "states.z.on.x",
        "states.z",
    ]


def test_what_the_other_library_has_no_word_for_is_named_all_at_once() -> None:
    inner = {"initial": "y", "states": {"y": {}}}
    states = {
        "a": {**inner, "after": {5: "b"}, "on": {"*": "b"}},
        "b": {"always": "a", "invoke": "f", "entry": [{"type": "log"}]},
    }
    machine = Machine.load({"initial": "a", "context": {"n": 1}, "states": states}, functions=["f"])
    with pytest.raises(NotExpressible) as caught:
        machine.to_transitions()
    paths = {problem.path for problem in caught.value.problems}
    assert paths >= {
        "context",
        "states.a",
        "states.a.after",
        "states.a.on.*",
        "states.b.always",
        "states.b.invoke",
        "states.b.entry[0]",
    }
