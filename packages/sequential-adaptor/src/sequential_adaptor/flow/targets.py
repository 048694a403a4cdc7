"""From names to states: where each arrow, initial state and history default leads."""

from __future__ import annotations

from sequential_adaptor.flow.chart import COMPOUND, HISTORY, PARALLEL, Chart, State, Transition, find
from sequential_adaptor.flow.problems import Findings, at
from sequential_adaptor.flow.reading import listed
from sequential_adaptor.values import JSON


def resolve(chart: Chart, findings: Findings) -> None:
    """Fill in every target; a name without a state is noted."""
    for state in chart.states:
        _initial(chart, state, findings)
        if state.kind == HISTORY:
            _history(chart, state, findings)
        for transition in state.transitions:
            _transition(chart, transition, findings)


def by_id(chart: Chart, name: str) -> State | None:
    """The state of ``#id``, or of ``#id.and.a.path`` below it; the longest id that fits wins."""
    id, path = name.removeprefix("#"), ""
    while id not in chart.ids and "." in id:
        id, _, key = id.rpartition(".")
        path = f"{key}.{path}" if path else key
    found = chart.ids.get(id)
    return find(found, path) if found is not None else None


def _transition(chart: Chart, transition: Transition, findings: Findings) -> None:
    if transition.names is None:
        return
    found = [_target(chart, transition, name, findings) for name in transition.names]
    targets = dict.fromkeys(state for state in found if state is not None)
    # One that another is inside of is entered with it.
    transition.targets = tuple(state for state in targets if not any(state.contains(other) for other in targets))


def _target(chart: Chart, transition: Transition, name: str, findings: Findings) -> State | None:
    source, path = transition.source, transition.path
    if name.startswith("#"):
        found, choices = by_id(chart, name), [f"#{id}" for id in chart.ids]
    elif name.startswith("."):
        found, choices = find(source, name[1:]), [f".{key}" for key in source.states]
    elif source.parent is None:
        found, choices = None, [f".{key}" for key in source.states]
    else:
        found, choices = find(source.parent, name), _paths_below(source.parent)
    if found is None:
        findings.unknown(path, "state", name, choices)
    return found


def _paths_below(parent: State) -> list[str]:
    prefix = len(parent.path) + 1 if parent.path else 0
    return [path for child in parent.states.values() for path in _paths(child, prefix)]


def _paths(state: State, prefix: int) -> list[str]:
    return [state.path[prefix:], *(path for child in state.states.values() for path in _paths(child, prefix))]


def _initial(chart: Chart, state: State, findings: Findings) -> None:
    given, path = state.config.get("initial"), at(state.where, "initial")
    if type(given) is dict:
        state.initial_actions = listed(given.get("actions"))
        given = given.get("target")
    names = listed(given)
    if state.kind != COMPOUND:
        return
    if not names:
        choices = ", ".join(repr(key) for key in state.states)
        findings.problem(path, f"{_named(state)} has states and no initial one (states: {choices})")
    elif len(names) > 1:
        findings.problem(path, f"{names!r}: only one state can be the initial one")
    else:
        state.initial = _child(chart, state, names[0], path, findings)


def _child(chart: Chart, state: State, name: JSON, path: str, findings: Findings) -> State | None:
    name = str(name)
    found = by_id(chart, name) if name.startswith("#") else state.states.get(name.removeprefix("."))
    if found is None:
        findings.unknown(path, "state", name, state.states)
    elif found.parent is not state:
        findings.problem(path, f"{name!r} is not directly below {_named(state)}; the initial state has to be")
        return None
    return found


def _history(chart: Chart, state: State, findings: Findings) -> None:
    """Where a history state leads while there is no history: its target, else what its parent begins with."""
    parent, path = state.parent, at(state.where, "target")
    if parent is None:
        findings.problem("type", "the machine itself cannot be a history state")
        return
    names = [str(name) for name in listed(state.config.get("target"))]
    if names:
        found = [by_id(chart, name) if name[:1] == "#" else find(parent, name.removeprefix(".")) for name in names]
        for name, target in zip(names, found, strict=True):
            if target is None:
                findings.unknown(path, "state", name, [*parent.states, *(f"#{id}" for id in chart.ids)])
            elif not parent.contains(target):
                findings.problem(path, f"{name!r} is not inside {_named(parent)}, of which this is the history")
        state.history_targets = tuple(target for target in found if target is not None)
    elif parent.kind == PARALLEL:
        state.history_targets = (parent,)
    elif parent.initial is not None:
        state.history_targets = (parent.initial,)


def _named(state: State) -> str:
    return repr(state.path) if state.path else "the machine"
