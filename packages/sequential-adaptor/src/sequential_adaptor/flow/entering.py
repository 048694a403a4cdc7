"""Which states a transition enters: its targets, what they begin with, and regions of parallel states on the way."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from sequential_adaptor.flow.chart import COMPOUND, HISTORY, PARALLEL, Chart, State, Transition


class Entering:
    """The states to enter, in the order in which they are found. ``by_default``: those whose initial actions run.

    ``asked_history`` says that the outcome depends on what was active before.
    """

    def __init__(self, chart: Chart, history: Mapping[str, list[str]]) -> None:
        self.chart, self.history = chart, history
        self.states: dict[State, None] = {}
        self.by_default: set[State] = set()
        self.asked_history = False

    def add(self, transition: Transition, domain: State | None) -> None:
        """Enter what the transition leads to, and nothing outside ``domain``: what is there was not left."""
        others = set(self.states)
        self._add(transition, domain)
        for state in [state for state in self.states if state not in others]:
            if domain is not None and not domain.contains(state):
                del self.states[state]

    def _add(self, transition: Transition, domain: State | None) -> None:
        source = transition.source
        for target in transition.targets or ():
            if target.kind != HISTORY and (target is not source or domain is not source or transition.reenter):
                self._enter_by_default(target)
            self._below(target)
        within = None if source.parent is None and transition.reenter else domain
        for target in self.effective(transition.targets or ()):
            ancestors = _up_to(target, domain)
            if domain is not None and domain.kind == PARALLEL:
                ancestors.append(domain)
            self._above(ancestors, within)

    def domain(self, transition: Transition) -> State | None:
        """The state inside which everything happens; ``None`` where the root itself is entered again."""
        targets, source = self.effective(transition.targets or ()), transition.source
        if not transition.reenter and all(target is source or source.contains(target) for target in targets):
            return source
        others = [*targets[1:], source]
        for ancestor in (targets[0] if targets else source).ancestors():
            if all(ancestor.contains(other) for other in others):
                return ancestor
        return None if transition.reenter else self.chart.root

    def effective(self, targets: Iterable[State]) -> list[State]:
        """The targets, with what history states stand for in their place."""
        found: dict[State, None] = {}
        for target in targets:
            standing_for = self.effective(self._recalled(target)) if target.kind == HISTORY else [target]
            found.update(dict.fromkeys(standing_for))
        return list(found)

    def _recalled(self, state: State) -> list[State]:
        self.asked_history = True
        remembered = self.history.get(state.path)
        if remembered:
            found = [self.chart.at(path) for path in remembered]
            return [other for other in found if other is not None]
        return list(state.history_targets)

    def _enter_by_default(self, state: State) -> None:
        self.states[state] = None
        self.by_default.add(state)

    def _below(self, state: State) -> None:
        """What comes with a state that is entered as a target: its initial state or all its regions."""
        if state.kind == HISTORY:
            self._from_history(state)
        elif state.kind == COMPOUND and state.initial is not None:
            if state.initial.kind != HISTORY:
                self._enter_by_default(state.initial)
            self._below(state.initial)
            self._above(_up_to(state.initial, state), None)
        elif state.kind == PARALLEL:
            self._regions(state, by_default=True)

    def _from_history(self, state: State) -> None:
        recalled, parent = self._recalled(state), state.parent
        if parent is not None and recalled == [parent.initial] and not self._has_own_say(state):
            self.by_default.add(parent)
        for found in recalled:
            self.states[found] = None
            self._below(found)
        for found in recalled:
            self._above(_up_to(found, parent), None)

    def _has_own_say(self, history: State) -> bool:
        return bool(self.history.get(history.path)) or "target" in history.config

    def _above(self, ancestors: list[State], within: State | None) -> None:
        for ancestor in ancestors:
            if within is None or within.contains(ancestor):
                self.states[ancestor] = None
            if ancestor.kind == PARALLEL:
                self._regions(ancestor, by_default=False)

    def _regions(self, parallel: State, *, by_default: bool) -> None:
        for region in parallel.regions:
            if not any(region.contains(state) for state in self.states):
                self.states[region] = None
                if by_default:
                    self.by_default.add(region)
                self._below(region)


def _up_to(state: State, top: State | None) -> list[State]:
    """The proper ancestors of ``state`` below ``top``."""
    found: list[State] = []
    for ancestor in state.ancestors() if state is not top else ():
        if ancestor is top:
            break
        found.append(ancestor)
    return found
