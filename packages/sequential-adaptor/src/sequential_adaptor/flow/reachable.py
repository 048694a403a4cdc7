"""Which states can be entered at all, guards taken as open."""

from __future__ import annotations

from sequential_adaptor.flow.chart import COMPOUND, HISTORY, PARALLEL, Chart, State


def reachable(chart: Chart) -> set[State]:
    """The states that some run of the machine can be in, and the history states that some arrow leads to."""
    found: set[State] = set()
    begun: set[State] = set()
    todo = [chart.root]
    while todo:
        state = todo.pop()
        if state in begun:
            continue
        begun.add(state)
        todo += _begins_with(state)
        for entered in (state, *state.ancestors()):
            if entered not in found:
                found.add(entered)
                todo += entered.regions if entered.kind == PARALLEL else []
                for transition in entered.transitions:
                    todo += transition.targets or ()
    return found


def _begins_with(state: State) -> list[State]:
    """What is entered by default where ``state`` is a target; only ancestors are entered without that."""
    if state.kind == COMPOUND and state.initial is not None:
        return [state.initial]
    return list(state.history_targets) if state.kind == HISTORY else []
