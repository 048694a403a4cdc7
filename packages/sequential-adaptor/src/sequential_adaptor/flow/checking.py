"""What cannot be right in a chart, and what is hardly meant: shape, targets, reachability."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations

from sequential_adaptor.flow.chart import ATOMIC, COMPOUND, FINAL, HISTORY, PARALLEL, Chart, State, Transition
from sequential_adaptor.flow.problems import Findings, at
from sequential_adaptor.flow.reachable import reachable


def check(chart: Chart, findings: Findings) -> None:
    """Note every problem of the chart; warnings only where there is none, since they rest on its being whole."""
    for state in chart.states:
        _shape(state, findings)
        _history(state, findings)
        _invokes(state, findings)
        _targets(state.history_targets, at(state.where, "target"), findings)
        for transition in state.transitions:
            _targets(transition.targets or (), at(transition.path, "target"), findings)
    if not findings.problems:
        _warn(chart, findings)


def _shape(state: State, findings: Findings) -> None:
    path = at(state.where, "type")
    if state.kind in (COMPOUND, PARALLEL) and not state.regions:
        findings.problem(path, f"{state.kind!r} without states")
    if state.kind in (ATOMIC, FINAL, HISTORY) and state.states:
        findings.problem(at(state.where, "states"), f"a state of type {state.kind!r} has no states")
    if state.kind in (FINAL, HISTORY):
        for key in ("on", "after", "always", "invoke", "onDone"):
            if state.config.get(key):
                reason = f"a state of type {state.kind!r} has no {key!r}: {state.config[key]!r} would never happen"
                findings.problem(at(state.where, key), reason)
    for event in state.on:
        if event == "":
            findings.problem(at(state.where, "on"), "'' is no event; write 'always' beside 'on'")


def _history(state: State, findings: Findings) -> None:
    if state.kind != HISTORY:
        return
    given = state.config.get("history")
    if given not in (None, True, "shallow", "deep"):
        findings.unknown(at(state.where, "history"), "history", str(given), ("shallow", "deep"))
    seen, todo = {state}, list(state.history_targets)
    while todo:
        target = todo.pop()
        if target in seen:
            reason = f"no default: {state.path!r} leads back to itself; give it a 'target'"
            findings.problem(at(state.where, "target"), reason)
            return
        seen.add(target)
        todo += target.history_targets if target.kind == HISTORY else [target.initial] if target.initial else []


def _invokes(state: State, findings: Findings) -> None:
    seen: set[str] = set()
    for invoke in state.invokes:
        if invoke.id in seen:
            findings.problem(at(invoke.path, "id"), f"{invoke.id!r} is the id of another invocation of this state")
        seen.add(invoke.id)


def _targets(targets: tuple[State, ...], path: str, findings: Findings) -> None:
    for one, other in combinations(targets, 2):
        common = next((state for state in one.ancestors() if state.contains(other)), None)
        remembering = [state.parent for state in (one, other) if state.kind == HISTORY]
        if common is not None and (common.kind != PARALLEL or common in remembering):
            reason = f"{one.path!r} and {other.path!r} cannot both be entered: they are in one region"
            findings.problem(path, reason)


def _line(state: State) -> Iterator[State]:
    yield state
    yield from state.ancestors()


def _warn(chart: Chart, findings: Findings) -> None:
    reached = reachable(chart)
    for state in chart.states:
        if state not in reached:
            if state.parent in reached:
                findings.warning(state.where, f"unreachable state {state.path!r}: nothing leads to it")
        elif state.kind == ATOMIC and not _has_way_out(state):
            findings.warning(state.where, f"dead end {state.path!r}: it is not final, and nothing leads out")
        _warn_of_handlers(state, findings)
    for loop in _loops(chart):
        names = " -> ".join(repr(state.path or chart.name) for state in loop)
        findings.warning(at(loop[0].where, "always"), f"endless loop: {names}, with nothing to stop it")


def _warn_of_handlers(state: State, findings: Findings) -> None:
    if state.kind == ATOMIC and state.config.get("onDone") is not None and state.config.get("invoke"):
        reason = f"never happens: {state.path!r} has no states; write it into its 'invoke'"
        findings.warning(at(state.where, "onDone"), reason)
    if state.config.get("onError") is not None and not any(invoke.short for invoke in state.invokes):
        findings.warning(at(state.where, "onError"), "never happens; only an invocation has 'onError'")


def _has_way_out(leaf: State) -> bool:
    for state in _line(leaf):
        if any(_leaves(transition, state) for transition in state.transitions):
            return True
        if state.kind == PARALLEL and any(_leads_out(below, state) for below in _below(state)):
            return True
    return False


def _leaves(transition: Transition, state: State) -> bool:
    return any(target is not state for target in transition.targets or ())


def _leads_out(below: State, state: State) -> bool:
    targets = (target for transition in below.transitions for target in transition.targets or ())
    return any(target is not state and not state.contains(target) for target in targets)


def _below(state: State) -> Iterator[State]:
    for child in state.states.values():
        yield child
        yield from _below(child)


def _loops(chart: Chart) -> Iterator[list[State]]:
    """Rings of atomic states, each with an unguarded ``always`` to the next and nothing that could stop it."""
    following = {state: target for state in chart.states for target in _hurries_on_to(state)}
    seen: set[State] = set()
    for start in following:
        trail: list[State] = []
        state: State | None = start
        while state is not None and state not in seen:
            seen.add(state)
            trail.append(state)
            state = following.get(state)
        if state in trail:
            yield [*trail[trail.index(state) :], state]


def _hurries_on_to(state: State) -> tuple[State, ...]:
    """The one state that an atomic state always goes on to at once, if there is one."""
    first = state.always[0] if state.always else None
    if first is None or state.kind != ATOMIC or first.guard_config is not None or first.targets == (state,):
        return ()
    return first.targets if first.targets is not None and len(first.targets) == 1 else ()
