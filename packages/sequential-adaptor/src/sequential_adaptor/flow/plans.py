"""What a set of enabled transitions does in a configuration: which states are left and entered, and in what order.

This is SCXML's algorithm with the rules of XState v5. A plan depends on nothing but the configuration and the
transitions, unless a history state has its say; such a plan is made anew each time.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from sequential_adaptor.flow.actions import Recorded
from sequential_adaptor.flow.chart import ATOMIC, FINAL, HISTORY, Chart, State, Transition
from sequential_adaptor.flow.completion import completed
from sequential_adaptor.flow.entering import Entering
from sequential_adaptor.flow.running import Operation

History = dict[str, list[str]]


@dataclass(frozen=True, slots=True)
class Plan:
    """``states`` are active afterwards; ``remembered`` is what history states learn; ``moved``: they are others."""

    operations: tuple[Operation, ...]
    entered: tuple[str, ...]
    states: list[State]
    remembered: History
    lasting: bool
    moved: bool
    done: bool


def plan(chart: Chart, active: list[State], enabled: Iterable[Transition], history: History) -> Plan:
    """The plan of taking ``enabled`` where ``active`` are the active states in document order."""
    before = Entering(chart, history)
    domains = {transition: before.domain(transition) for transition in enabled}
    taken = without_conflicts(domains, active)
    left = [state for state in active if any(_leaves(state, transition, domains[transition]) for transition in taken)]
    remembered = _remember(left, active)
    entering = Entering(chart, {**history, **remembered})
    for transition in taken:
        entering.add(transition, domains[transition])
    stays = set(active) - set(left)
    entered = sorted(entering.states, key=lambda state: state.index)
    operations = [operation for state in reversed(left) for operation in state.leave]
    operations += [operation for transition in taken for operation in transition.operations]
    done = completed(entered, entering.by_default, stays, operations)
    after = sorted(stays | set(entered), key=lambda state: state.index)
    if done:
        operations += [operation for state in reversed(after) for operation in state.leave]
    lasting = not before.asked_history and not entering.asked_history
    paths = tuple(state.path for state in entered if state.parent is not None)
    return Plan(_joined(operations), paths, after, remembered, lasting, after != active, done)


def without_conflicts(domains: Mapping[Transition, State | None], active: list[State]) -> list[Transition]:
    """Those enabled that can be taken together: one from deeper down preempts, else the first one stands."""
    if len(domains) < 2:
        return list(domains)
    kept: dict[Transition, set[State]] = {}
    for transition, domain in domains.items():
        exits = {state for state in active if _leaves(state, transition, domain)}
        rivals = [other for other, others in kept.items() if exits & others]
        if all(other.source.contains(transition.source) for other in rivals):
            for other in rivals:
                del kept[other]
            kept[transition] = exits
    return list(kept)


def _leaves(state: State, transition: Transition, domain: State | None) -> bool:
    return bool(transition.targets) and (domain is None or domain.contains(state))


def _remember(left: list[State], active: list[State]) -> History:
    remembered: History = {}
    for state in left:
        for child in state.states.values():
            if child.kind == HISTORY:
                found = [other for other in active if _is_remembered(other, state, child)]
                remembered[child.path] = [other.path for other in found]
    return remembered


def _is_remembered(other: State, left: State, history: State) -> bool:
    if history.deep:
        return other.kind in (ATOMIC, FINAL) and left.contains(other)
    return other.parent is left


def _joined(operations: list[Operation]) -> tuple[Operation, ...]:
    """The same with neighbouring records as one."""
    joined: list[Operation] = []
    for operation in operations:
        if joined and isinstance(operation, Recorded) and isinstance(joined[-1], Recorded):
            operation = Recorded(joined.pop().names + operation.names)  # type: ignore[attr-defined]  # checked above
        joined.append(operation)
    return tuple(joined)
