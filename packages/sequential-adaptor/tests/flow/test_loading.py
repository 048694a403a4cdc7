"""Loading: every way in which people write a machine, and every problem with its path and value, all at once."""

from __future__ import annotations

from typing import Any

import pytest

from sequential_adaptor import SequentialError
from sequential_adaptor.flow import Machine, MachineError


def problems(config: Any, **given: Any) -> list[str]:
    with pytest.raises(MachineError) as caught:
        Machine.load(config, **given)
    return [*caught.value.problems]


def flat(**states: Any) -> dict[str, Any]:
    return {"id": "m", "initial": next(iter(states)), "states": states}


def leads(config: dict[str, Any], *events: str) -> list[str]:
    machine = Machine.load(config)
    step = machine.start()
    for event in events:
        step = machine.send(step.snapshot, event)
    return step.leaves


@pytest.mark.parametrize(
    "given",
    [
        "b",
        {"target": "b"},
        [{"target": "b"}],
        ["b"],
        {"target": ["b"]},
        {"target": "#m.b"},
        {"target": "#b!"},
        ({"target": "b"},),
    ],
)
def test_a_transition_may_be_a_target_an_object_or_a_list(given: Any) -> None:
    assert leads(flat(a={"on": {"GO": given}}, b={"id": "b!"}), "GO") == ["b"]


@pytest.mark.parametrize(
    ("target", "leaf"),
    [("b.y", "b.y"), ("b", "b.x"), ("#m.b.y", "b.y"), ("#b.y", "b.y"), (".i", "a.i"), (".i.k", "a.i.k"), ("#m", "a.h")],
)
def test_targets_are_siblings_paths_children_and_ids(target: str, leaf: str) -> None:
    states = flat(
        a={
            "initial": "h",
            "on": {"GO": target},
            "states": {"h": {}, "i": {"initial": "j", "states": {"j": {}, "k": {}}}},
        },
        b={"id": "b", "initial": "x", "states": {"x": {}, "y": {}}},
    )
    states["states"]["a"]["states"]["i"] = {"initial": "j", "states": {"j": {}, "k": {}}} if target == ".i.k" else {}
    assert leads(states, "GO") == [leaf]


def test_words_of_version_4_mean_what_they_meant() -> None:
    always = {"target": "a", "cond": "yes", "internal": False}
    machine = Machine.load(
        flat(a={"entry": "in", "exit": ["out"], "on": {"GO": always}}), guards={"yes": lambda c, e, p: True}
    )
    assert machine.send(machine.start().snapshot, "GO").actions == ["out", "in"]


def test_numbers_and_names_are_delays() -> None:
    states = flat(a={"after": {1500: "b"}}, b={"after": {"late": "c"}}, c={"after": {"2.5": "a"}})
    machine = Machine.load(states, delays={"late": lambda context, event, params: 20})
    step = machine.start(at=1.0)
    assert machine.next_deadline(step.snapshot) == 2.5
    step = machine.advance(step.snapshot, at=2.5)
    assert machine.next_deadline(step.snapshot) == 2.52
    assert machine.next_deadline(machine.advance(step.snapshot, at=2.52).snapshot) == 2.5225


def test_a_plain_state_with_on_done_invokes_the_function_of_its_own_name() -> None:
    config = flat(work={"onDone": "end", "onError": "sorry"}, end={"type": "final"}, sorry={"type": "final"})
    machine = Machine.load(config, functions=["work"])
    step = machine.start({"n": 1})
    assert [(invoke["id"], invoke["src"], invoke["input"]) for invoke in step.invokes] == [("work", "work", {"n": 1})]
    assert machine.resolve(step.snapshot, "work", 7).snapshot["output"] == 7
    assert machine.reject(step.snapshot, "work", "no").leaves == ["sorry"]
    assert problems(config) == ["states.work: no function 'work'"]


def test_an_invocation_without_an_id_is_called_by_its_path() -> None:
    config = flat(a={"initial": "b", "states": {"b": {"invoke": ["f", {"src": "f"}]}}})
    step = Machine.load(config, functions={"f": None}).start()
    assert [invoke["id"] for invoke in step.invokes] == ["a.b", "a.b:1"]


def test_unknown_keys_are_tolerated_and_slips_are_named() -> None:
    machine = Machine.load(flat(a={"$schema": "x", "colour": 1, "entri": "in", "type": "final"}))
    assert [*machine.warnings] == ["states.a.entri: unknown key 'entri' has no effect; nearest is 'entry'"]


def test_all_problems_are_reported_at_once_with_path_value_and_the_nearest_name() -> None:
    config = flat(
        pay={"on": {"PAID": "shiped", "B": [{"guard": "enuf", "target": "shipped"}, {"target": ".x"}]}},
        shipped={"after": {"soon": "pay", -1: "pay"}, "invoke": {"src": "notifi"}},
        both={"id": "m.pay"},
    )
    found = problems(config, guards={"enough": bool}, functions=["notify"])
    assert found == [
        "states.both.id: 'm.pay' is the id of states.pay too",
        "states.pay.on.PAID: no state 'shiped'; nearest is 'shipped'",
        "states.pay.on.B[1]: no state '.x'",
        "states.pay.on.B[0].guard: no guard 'enuf'; nearest is 'enough'",
        "states.shipped.after.soon: no delay 'soon': neither milliseconds nor the name of a delay that is given",
        "states.shipped.after.-1: -1 is no delay; it is milliseconds, 0 or more",
        "states.shipped.invoke.src: no function 'notifi'; nearest is 'notify'",
    ]


@pytest.mark.parametrize(
    ("states", "path"),
    [
        ({"a": {"type": "history"}}, "states.a.target"),
        ({"a": {"type": "compound"}}, "states.a.type"),
        ({"a": {"type": "parallel"}}, "states.a.type"),
        ({"a": {"type": "atomic", "states": {"b": {}}}}, "states.a.states"),
        ({"a": {"on": {"": "a"}}}, "states.a.on"),
        ({"a": {"on": ["GO"]}}, "states.a.on"),
        ({"a": {"on": {"GO": 7}}}, "states.a.on.GO"),
        ({"a": {"on": {"GO": {"target": 7}}}}, "states.a.on.GO.target"),
        ({"a": {"id": 7}}, "states.a.id"),
        ({"a": "b"}, "states.a"),
        ({"a.b": {}}, "states.a.b"),
        ({"a": {"invoke": {"id": "x"}}}, "states.a.invoke"),
        ({"a": {"invoke": [{"src": "f", "id": "x"}, {"src": "f", "id": "x"}]}}, "states.a.invoke[1].id"),
        ({"a": {"entry": [{"params": {}}]}}, "states.a.entry[0]"),
        ({"a": {"entry": {"type": "assign", "params": {}}}}, "states.a.entry[0].params"),
        ({"a": {"entry": {"type": "raise", "params": {"event": {}}}}}, "states.a.entry[0].params.event"),
        ({"a": {"entry": {"type": "cancel"}}}, "states.a.entry[0].params"),
        ({"a": {"on": {"GO": {"guard": {"type": "state_in", "params": {"state": "b"}}}}}}, "states.a.on.GO.guard"),
        ({"a": {"on": {"GO": {"guard": {"type": "not"}}}}}, "states.a.on.GO.guard"),
        ({"a": {"type": "final", "output": {"$event": 7}}}, "states.a.output"),
        ({"a": {"x": {1, 2}}}, "states.a.x"),
        ({"a": {"x": float("nan")}}, "states.a.x"),
        (
            {"a": {"initial": "b", "states": {"b": {}, "h": {"type": "history", "target": "#m.a"}}}},
            "states.a.states.h.target",
        ),
    ],
)
def test_what_cannot_be_right_is_refused_at_its_place(states: dict[str, Any], path: str) -> None:
    with pytest.raises(MachineError) as caught:
        Machine.load({"id": "m", "initial": next(iter(states)), "states": states}, functions=["f"])
    assert path in [problem.path for problem in caught.value.problems], caught.value
    assert isinstance(caught.value, SequentialError)
    assert isinstance(caught.value, ValueError)


@pytest.mark.parametrize("config", [None, 7, [], "graph", {}, {"states": []}, {"type": "history"}, {"context": 1j}])
def test_what_is_no_machine_is_refused_or_is_the_smallest_one(config: Any) -> None:
    if config == {}:
        assert Machine.load(config).start().status == "active"
    else:
        assert problems(config)


def test_guards_and_actions_have_to_be_plain_functions() -> None:
    async def wait(context: Any, event: Any, params: Any) -> bool:
        return True

    found = problems(flat(a={}), guards={"wait": wait, "one": 1}, actions={"two": 2, "noted": None})
    assert [problem.partition(":")[0] for problem in found] == ["guards.wait", "guards.one", "actions.two"]


def test_warnings_name_what_is_never_reached_and_what_never_ends() -> None:
    config = flat(
        a={
            "initial": "x",
            "states": {"x": {"on": {"GO": "#m.end"}}, "y": {"on": {"GO": "x"}}},
            "on": {"STOP": "stuck"},
        },
        stuck={},
        island={"initial": "p", "states": {"p": {}}},
        end={"type": "final"},
    )
    assert [warning.path for warning in Machine.load(config).warnings] == [
        "states.a.states.y",
        "states.stuck",
        "states.island",
    ]


def test_a_state_that_only_an_unguarded_ring_leaves_is_warned_about() -> None:
    config = flat(a={"always": "b"}, b={"always": [{"target": "c"}]}, c={"always": "a"})
    [warning] = Machine.load(config).warnings
    assert "'a' -> 'b' -> 'c' -> 'a'" in warning
    guarded = flat(a={"always": {"target": "b", "guard": "go"}}, b={"always": "a"})
    assert Machine.load(guarded, guards={"go": bool}).warnings == ()


def test_loading_changes_nothing_in_the_config_and_keeps_nothing_of_it() -> None:
    config = flat(a={"entry": [{"type": "assign", "params": {"values": {"list": [1]}}}]})
    machine = Machine.load(config)
    config["states"]["a"]["entry"][0]["params"]["values"]["list"].append(2)
    assert machine.start().snapshot["context"] == {"list": [1]}
