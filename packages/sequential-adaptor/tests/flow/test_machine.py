"""The kernel's rules one by one: order, context, time, invocations, errors, snapshots."""

from __future__ import annotations

import json
from typing import Any

import pytest

from sequential_adaptor.errors import InvalidValue
from sequential_adaptor.flow import EndlessLoop, EventError, Machine, SnapshotError, Step


def loaded(config: dict[str, Any], **given: Any) -> tuple[Machine, Step]:
    machine = Machine.load({"id": "m", **config}, **given)
    return machine, machine.start(at=0.0)


def assign(**values: Any) -> dict[str, Any]:
    return {"type": "assign", "params": {"values": values}}


def raised(event: Any, **more: Any) -> dict[str, Any]:
    return {"type": "raise", "params": {"event": event, **more}}


REGIONS = {
    "type": "parallel",
    "entry": "+m",
    "exit": "-m",
    "states": {
        "p": {
            "initial": "p1",
            "entry": "+p",
            "exit": "-p",
            "on": {"UP": ".p2", "BOTH": {"actions": "p"}},
            "states": {
                "p1": {"entry": "+p1", "exit": "-p1", "on": {"GO": "p2"}},
                "p2": {"entry": "+p2", "exit": "-p2"},
            },
        },
        "q": {
            "initial": "q1",
            "entry": "+q",
            "exit": "-q",
            "states": {
                "q1": {"entry": "+q1", "exit": "-q1", "on": {"GO": "q2", "BOTH": {"actions": "q"}}},
                "q2": {"entry": "+q2", "exit": "-q2"},
            },
        },
    },
}


def test_entering_is_in_document_order_and_leaving_the_other_way_round() -> None:
    machine, step = loaded(REGIONS)
    assert step.actions == ["+m", "+p", "+p1", "+q", "+q1"]
    assert step.entered == ["p", "p.p1", "q", "q.q1"]
    assert machine.send(step.snapshot, "GO").actions == ["-q1", "-p1", "+p2", "+q2"]
    assert machine.send(step.snapshot, "UP").actions == ["-p1", "+p2"]
    assert machine.send(step.snapshot, "BOTH").actions == ["p", "q"]


def test_an_event_that_nobody_waits_for_changes_nothing() -> None:
    machine, step = loaded(REGIONS)
    after = machine.send(step.snapshot, "NOBODY")
    assert (after.snapshot, after.actions, after.invokes) == (step.snapshot, [], [])


def test_the_inner_state_is_asked_first_and_a_forbidden_event_goes_no_further() -> None:
    inner = {"x": {"on": {"A": "y", "B": {}, "C": {"guard": "no", "target": "y"}}}, "y": {}}
    machine, step = loaded(
        {
            "initial": "o",
            "states": {"o": {"initial": "x", "states": inner, "on": {"A": "z", "B": "z", "C": "z"}}, "z": {}},
        },
        guards={"no": lambda context, event, params: False},
    )
    assert [machine.send(step.snapshot, event).leaves for event in "ABC"] == [["o.y"], ["o.x"], ["z"]]


def test_exact_descriptors_come_before_wildcards_and_longer_ones_before_shorter() -> None:
    on = {"*": "any", "a.*": "some", "a.b.*": "more", "a.b.c": "exact"}
    machine, step = loaded({"initial": "s", "states": {"s": {"on": on}, **{name: {} for name in on.values()}}})
    leaves = {
        event: machine.send(step.snapshot, event).leaves[0] for event in ("a.b.c", "a.b.x", "a.b", "a", "ab", "b")
    }
    assert leaves == {"a.b.c": "exact", "a.b.x": "more", "a.b": "more", "a": "some", "ab": "any", "b": "any"}


def test_eventless_transitions_come_before_raised_events() -> None:
    states = {
        "a": {"entry": raised("R"), "always": {"target": "b", "actions": "hurry"}},
        "b": {"on": {"R": "c"}},
        "c": {},
    }
    _, step = loaded({"initial": "a", "states": states})
    assert step.leaves == ["c"]
    assert [action for action in step.actions if isinstance(action, str)] == ["hurry"]


def test_expressions_look_into_event_context_and_input() -> None:
    values = {
        "a": {"$event": "deep.list.1"},
        "b": [{"$context": "n"}, 1],
        "c": {"$input": ""},
        "d": {"$event": "no.such"},
    }
    machine = Machine.load(
        {
            "initial": "s",
            "context": {"n": {"$input": "n"}},
            "states": {"s": {"on": {"E": {"actions": assign(**values)}}}},
        }
    )
    step = machine.send(machine.start({"n": 0}).snapshot, {"type": "E", "deep": {"list": [1, [2]]}})
    assert step.snapshot["context"] == {"n": 0, "a": [2], "b": [0, 1], "c": {"n": 0}, "d": None}


def test_all_values_of_one_assign_see_the_context_before_it() -> None:
    _, step = loaded(
        {
            "initial": "s",
            "context": {"x": 1, "y": 2},
            "states": {"s": {"entry": [assign(x={"$context": "y"}, y={"$context": "x"})]}},
        }
    )
    assert step.snapshot["context"] == {"x": 2, "y": 1}


def test_actions_get_context_event_and_params_and_give_changes() -> None:
    seen = []

    def note(context: Any, event: Any, params: Any) -> dict[str, Any]:
        seen.append((context, event["type"], params))
        return {"n": context["n"] + params["by"]}

    actions = [{"type": "note", "params": {"by": 2}}, {"type": "note", "params": {"by": 3}}, "plain"]
    machine, step = loaded(
        {"initial": "s", "context": {"n": 0}, "states": {"s": {"on": {"E": {"actions": actions}}}}},
        actions={"note": note},
    )
    step = machine.send(step.snapshot, "E")
    assert seen == [({"n": 0}, "E", {"by": 2}), ({"n": 2}, "E", {"by": 3})]
    assert step.actions == [*actions[:2], "plain"]
    assert step.snapshot["context"] == {"n": 5}


def test_what_guards_and_actions_do_to_their_arguments_is_seen_by_nobody() -> None:
    def spoil(context: Any, event: Any, params: Any) -> None:
        context["deep"]["n"] = 7
        event["type"] = params["x"] = 0
        event.clear()

    do = {"type": "spoil", "params": {"x": 1}}
    machine, step = loaded(
        {
            "initial": "s",
            "context": {"deep": {"n": 0}},
            "states": {"s": {"on": {"E": {"guard": "look", "actions": do}}}},
        },
        actions={"spoil": spoil},
        guards={"look": lambda context, event, params: not spoil(context, event, {})},
    )
    for _ in range(2):
        step = machine.send(step.snapshot, {"type": "E", "y": [1]})
        assert step.actions == [do]
        assert step.snapshot["context"] == {"deep": {"n": 0}}


@pytest.mark.parametrize("given", [5, ["x"], "x", {"n": float("inf")}, {1: 2}, {"n": (1,)}])
def test_an_action_that_gives_no_changes_in_json_is_an_error(given: Any) -> None:
    machine, step = loaded(
        {"initial": "s", "states": {"s": {"on": {"E": {"actions": "odd"}}}}}, actions={"odd": lambda c, e, p: given}
    )
    after = machine.send(step.snapshot, "E")
    assert after.status == "error"
    assert after.snapshot["error"]["where"] == "states.s.on.E.actions[0]"
    assert json.loads(json.dumps(after.snapshot)) == after.snapshot


@pytest.mark.parametrize("part", ["guard", "actions"])
def test_what_raises_leaves_the_snapshot_as_it_was_and_ends_the_flow_with_its_cause(part: str) -> None:
    def fail(context: Any, event: Any, params: Any) -> Any:
        raise KeyError("boom")

    entry = [assign(n=1), "first"]
    machine, step = loaded(
        {
            "initial": "s",
            "context": {"n": 0},
            "states": {
                "s": {"after": {9: "t"}, "invoke": "f", "on": {"E": {"target": "t", part: "fail"}}},
                "t": {"entry": entry},
            },
        },
        guards={"fail": fail},
        actions={"fail": fail},
        functions=["f"],
    )
    after = machine.send(step.snapshot, "E")
    error = {
        "type": "KeyError",
        "message": "'boom'",
        "where": f"states.s.on.E.{part}{'[0]' if part == 'actions' else ''}",
    }
    ended = {"status": "error", "error": error, "timers": [], "invocations": {}}
    assert after.snapshot == {**step.snapshot, **ended}
    assert (after.actions, after.invokes, after.leaves) == ([], [], ["s"])
    assert [stopped["id"] for stopped in after.stopped] == ["s"]
    assert isinstance(after.cause.__cause__ if after.cause else None, KeyError)
    assert machine.send(after.snapshot, "E").snapshot == after.snapshot
    assert machine.next_deadline(after.snapshot) is None


def test_an_endless_loop_is_stopped_and_shown() -> None:
    states = {"a": {"on": {"GO": "b"}}, "b": {"always": "c"}, "c": {"always": "d"}, "d": {"always": "b"}}
    machine = Machine.load({"initial": "a", "states": states}, max_steps=500)
    after = machine.send(machine.start().snapshot, "GO")
    assert isinstance(after.cause, EndlessLoop)
    assert after.leaves == ["a"]
    assert sorted(after.cause.loop[:-1]) == ["b", "c", "d"]
    assert after.cause.loop[0] == after.cause.loop[-1]


def test_timers_without_end_at_one_instant_are_an_endless_loop() -> None:
    machine, step = loaded({"initial": "a", "states": {"a": {"after": {0: "b"}}, "b": {"after": {0: "a"}}}})
    assert isinstance(machine.advance(step.snapshot, at=0.0).cause, EndlessLoop)


def test_many_timers_due_at_one_instant_are_no_loop() -> None:
    later = raised({"type": "TICK"}, delay=10)
    tick = {"actions": {"type": "count"}}
    config = {"initial": "a", "context": {"n": 0}, "states": {"a": {"entry": [later] * 50, "on": {"TICK": tick}}}}
    counting = {"count": lambda context, event, params: {"n": context["n"] + 1}}
    machine = Machine.load(config, actions=counting, max_steps=20)
    assert machine.advance(machine.start().snapshot, at=1.0).snapshot["context"] == {"n": 50}


def test_timers_fire_at_their_own_deadlines_in_order() -> None:
    states = {"a": {"after": {1000: "b"}}, "b": {"after": {500: "c"}}, "c": {"after": {10_000: "a"}}}
    machine, step = loaded({"initial": "a", "states": states})
    assert machine.advance(step.snapshot, at=0.999).leaves == ["a"]
    after = machine.advance(step.snapshot, at=5.0)
    assert (after.leaves, machine.next_deadline(after.snapshot)) == (["c"], 11.5)


def test_what_is_due_happens_before_an_event_that_comes_later() -> None:
    states = {"a": {"after": {1000: "b"}, "on": {"E": "early"}}, "b": {"on": {"E": "late"}}, "early": {}, "late": {}}
    machine, step = loaded({"initial": "a", "states": states})
    assert machine.send(step.snapshot, "E", at=0.5).leaves == ["early"]
    assert machine.send(step.snapshot, "E", at=1.5).leaves == ["late"]


def test_a_delayed_event_is_cancelled_by_its_id_and_a_left_state_takes_its_timers_along() -> None:
    states = {
        "a": {
            "entry": raised("R", delay=1000, id="r"),
            "on": {"STOP": {"actions": {"type": "cancel", "params": {"id": "r"}}}, "GO": "b"},
            "after": {2000: "c"},
        },
        "b": {"on": {"R": "c"}},
        "c": {},
    }
    machine, step = loaded({"initial": "a", "states": states})
    assert len(step.snapshot["timers"]) == 2
    assert [timer["at"] for timer in machine.send(step.snapshot, "STOP").snapshot["timers"]] == [2.0]
    gone = machine.send(step.snapshot, "GO")
    assert [timer["id"] for timer in gone.snapshot["timers"]] == ["r"]
    assert machine.advance(gone.snapshot, at=1.0).leaves == ["c"]


def test_invocations_start_when_the_step_is_stable_and_end_with_their_state() -> None:
    states = {
        "a": {"invoke": "f", "always": "b"},
        "b": {"invoke": {"id": "job", "src": "f", "input": {"n": 0}}, "on": {"GO": "c"}},
        "c": {},
    }
    machine, step = loaded({"initial": "a", "states": states}, functions=["f"])
    assert step.invokes == [{"id": "job", "src": "f", "input": {"n": 0}, "token": 2}]
    assert machine.invocations(json.loads(json.dumps(step.snapshot))) == step.invokes
    after = machine.send(step.snapshot, "GO")
    assert (after.stopped, machine.invocations(after.snapshot)) == (step.invokes, [])


def test_a_late_result_does_nothing() -> None:
    states = {
        "a": {"invoke": {"id": "job", "src": "f", "onDone": "b"}, "on": {"AGAIN": {"target": "a", "reenter": True}}},
        "b": {},
    }
    machine, step = loaded({"initial": "a", "states": states}, functions=["f"])
    again = machine.send(step.snapshot, "AGAIN")
    [old], [new] = step.invokes, again.invokes
    assert machine.resolve(again.snapshot, "job", 1, token=old["token"]).leaves == ["a"]
    done = machine.resolve(again.snapshot, "job", 1, token=new["token"])
    assert done.leaves == ["b"]
    assert machine.resolve(done.snapshot, "job", 2).snapshot == done.snapshot
    assert machine.reject(done.snapshot, "nobody", "x").snapshot == done.snapshot


@pytest.mark.parametrize(
    ("error", "stored"),
    [
        (ValueError("no"), {"type": "ValueError", "message": "no"}),
        ("no", {"type": "Error", "message": "no"}),
        ({"type": "X", "message": "no", "code": 0}, {"type": "X", "message": "no", "code": 0}),
        ({"code": 7}, {"code": 7, "message": ""}),
        (None, {"type": "Error", "message": "null"}),
    ],
)
def test_an_error_arrives_with_its_message_and_unhandled_ends_the_flow(error: Any, stored: Any) -> None:
    states = {
        "a": {"invoke": {"src": "f", "onError": {"target": "b", "actions": assign(e={"$event": "error"})}}},
        "b": {"invoke": "f"},
    }
    machine, step = loaded({"initial": "a", "states": states}, functions=["f"])
    handled = machine.reject(step.snapshot, "a", error)
    assert handled.snapshot["context"] == {"e": stored}
    assert machine.reject(handled.snapshot, "b", error).snapshot["error"] == stored


@pytest.mark.parametrize("output", [0, False, "", [], {}, None, "å\U0001f600", 10**700, -0.0])
def test_outputs_survive_whatever_they_are(output: Any) -> None:
    states = {"a": {"invoke": {"src": "f", "onDone": "z"}}, "z": {"type": "final", "output": {"$event": "output"}}}
    machine, step = loaded({"initial": "a", "states": states, "output": {"was": {"$event": "output"}}}, functions=["f"])
    done = machine.resolve(step.snapshot, "a", output).snapshot
    assert (done["status"], repr(done["output"])) == ("done", repr({"was": output}))


def test_a_value_that_is_not_json_is_refused_with_its_path() -> None:
    machine, step = loaded({"initial": "a", "states": {"a": {"invoke": "f"}}}, functions=["f"])
    with pytest.raises(InvalidValue, match=r"\$\.x\[0\]"):
        machine.resolve(step.snapshot, "a", {"x": [float("nan")]})
    with pytest.raises(InvalidValue):
        machine.send(step.snapshot, {"type": "E", "x": {1}})
    with pytest.raises(InvalidValue):
        machine.start(object())


@pytest.mark.parametrize("event", [None, 7, "", "*", {}, {"type": ""}, {"type": 7}, "xstate.done.actor.a", ["E"]])
def test_what_is_no_event_is_refused(event: Any) -> None:
    machine, step = loaded({"initial": "a", "states": {"a": {}}})
    with pytest.raises(EventError):
        machine.send(step.snapshot, event)


@pytest.mark.parametrize(
    "spoiled",
    [
        {},
        {"status": "active"},
        None,
        [],
        {"value": "nowhere"},
        {"value": {"a": {}}},
        {"value": {"p": "p1"}},
        {"value": {"p": "p1", "q": "q1", "r": {}}},
        {"value": {"p": "p1", "q": {}}},
        {"value": {"p": "p1", "q": 7}},
        {"value": ["p"]},
        {"machine": "other"},
    ],
)
def test_a_snapshot_that_is_not_this_machines_is_refused(spoiled: Any) -> None:
    machine, step = loaded(REGIONS)
    whole = spoiled and set(spoiled) <= {"value", "machine"}
    with pytest.raises(SnapshotError):
        machine.send({**step.snapshot, **spoiled} if whole else spoiled, "GO")


def test_done_runs_all_exits_and_ends_everything() -> None:
    states = {"a": {"exit": "-a", "on": {"END": "z"}}, "z": {"type": "final", "exit": "-z"}}
    machine, step = loaded(
        {"initial": "a", "states": states, "invoke": "f", "exit": "-m", "entry": raised("X", delay=9000)},
        functions=["f"],
    )
    done = machine.send(step.snapshot, "END")
    assert done.status == "done"
    assert done.actions == ["-a", "-z", "-m"]
    assert (done.snapshot["timers"], done.snapshot["invocations"], [s["id"] for s in done.stopped]) == ([], {}, ["m"])
    assert machine.send(done.snapshot, "END").snapshot == done.snapshot


def test_history_brings_back_what_was_active() -> None:
    inner = {"x": {"on": {"N": "y"}}, "y": {}, "h": {"type": "history"}}
    machine, step = loaded(
        {
            "initial": "a",
            "states": {"a": {"initial": "x", "states": inner, "on": {"OUT": "b"}}, "b": {"on": {"BACK": "a.h"}}},
        }
    )
    for event in ("N", "OUT", "BACK"):
        step = machine.send(json.loads(json.dumps(step.snapshot)), event)
    assert step.leaves == ["a.y"]


def test_a_history_default_inside_one_region_leaves_the_other_regions_alone() -> None:
    regions = {
        "A": {"initial": "a1", "states": {"a1": {"on": {"N": "a2"}}, "a2": {"on": {"T": "#m.H.h"}}}},
        "K": {"initial": "k1", "states": {"k1": {"on": {"N": "k2"}}, "k2": {}}},
    }
    history = {"type": "history", "history": "deep", "target": "q.A.a1"}
    states = {"H": {"initial": "q", "states": {"q": {"type": "parallel", "states": regions}, "h": history}}}
    machine, step = loaded({"initial": "H", "states": states})
    step = machine.send(machine.send(step.snapshot, "N").snapshot, "T")
    assert step.leaves == ["H.q.A.a1", "H.q.K.k2"]
    assert step.entered == ["H.q.A.a1"]


@pytest.mark.parametrize("target", [["p", "p.A.x"], ["p.A.x", "p"], ["p.A.x"], ["p.A.x", "p.A.x"]])
def test_a_target_that_another_is_inside_of_is_entered_with_it(target: list[str]) -> None:
    regions = {"A": {"initial": "w", "states": {"w": {}, "x": {}}}, "B": {"initial": "y", "states": {"y": {}}}}
    machine, step = loaded(
        {
            "initial": "s",
            "states": {"s": {"on": {"GO": {"target": target}}}, "p": {"type": "parallel", "states": regions}},
        }
    )
    assert machine.send(step.snapshot, "GO").leaves == ["p.A.x", "p.B.y"]


def test_deadlines_of_timers_in_a_row_add_up_exactly() -> None:
    machine, step = loaded({"initial": "a", "states": {"a": {"after": {5: "b"}}, "b": {"after": {5: "a"}}}})
    for milliseconds in range(5, 1000, 5):
        assert machine.next_deadline(step.snapshot) == milliseconds / 1000
        step = machine.advance(step.snapshot, at=milliseconds / 1000)


def test_an_invocation_that_took_the_place_of_another_is_not_stopped_with_that_ones_state() -> None:
    job = {"id": "job", "src": "f"}
    regions = {
        "A": {"initial": "a", "states": {"a": {"invoke": job, "on": {"OUT": "b"}}, "b": {}}},
        "K": {"initial": "k", "states": {"k": {"on": {"IN": "l"}}, "l": {"invoke": job}}},
    }
    machine, step = loaded({"type": "parallel", "states": regions}, functions=["f"])
    step = machine.send(step.snapshot, "IN")
    assert ([one["token"] for one in step.stopped], [one["token"] for one in step.invokes]) == ([1], [2])
    step = machine.send(step.snapshot, "OUT")
    assert step.stopped == []
    assert [one["token"] for one in machine.invocations(step.snapshot)] == [2]


def test_tags_meta_descriptions_and_events_of_where_it_stands() -> None:
    states = {"a": {"tags": "busy", "meta": {"x": 1}, "description": "at work", "on": {"GO": "b", "*": {}}}, "b": {}}
    machine, step = loaded({"initial": "a", "states": states, "on": {"ROOT": {}}})
    assert (step.tags, step.meta, step.descriptions) == (["busy"], {"a": {"x": 1}}, {"a": "at work"})
    assert machine.events(step.snapshot) == ["GO", "*", "ROOT"]
    assert machine.matches(step.snapshot, "a")
    assert not machine.matches(step.snapshot, "#m.b")
    assert machine.look(step.snapshot).leaves == ["a"]


def test_machines_with_more_configurations_than_are_kept_stay_right(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sequential_adaptor.flow.configurations.LIMIT", 3)
    monkeypatch.setattr("sequential_adaptor.flow.stepping.LIMIT", 3)
    ring = {
        "initial": "0",
        "states": {str(n): {"on": {f"E{m}": str((n + m) % 7) for m in range(1, 5)}} for n in range(7)},
    }
    machine, step = loaded({"type": "parallel", "states": {"a": ring, "b": ring}})
    total = 0
    for round in range(100):
        number = round % 4 + 1
        total += number
        step = machine.send(step.snapshot, f"E{number}")
        assert step.leaves == [f"a.{total % 7}", f"b.{total % 7}"]
        kept = machine._configurations
        assert max(len(kept._by_value), len(kept._by_states)) <= 3
