"""Configurations: the sets of states that can be active at once, and what each of them does with an event.

They are made when a run first gets there, and kept: the second time an event meets a configuration, everything that
does not depend on the context is a look-up.
"""

from __future__ import annotations

from typing import Final, TypeAlias

from sequential_adaptor.flow.chart import ATOMIC, COMPOUND, FINAL, PARALLEL, Chart, State, Transition
from sequential_adaptor.flow.expressions import fresh
from sequential_adaptor.flow.matching import candidates
from sequential_adaptor.flow.plans import Plan
from sequential_adaptor.flow.running import Run
from sequential_adaptor.values import JSON

LIMIT: Final = 4096
"""How many configurations, and events per configuration, are kept: a bound on memory, never on the machine."""

Choice: TypeAlias = tuple[tuple["Choice", ...], tuple[Transition, ...]]
"""What a part of the chart can do with an event: the choices of its regions and, where they take none, its own."""


class Configuration:
    """One set of active states, with all their ancestors. ``leaves`` are the sorted paths of those without children."""

    def __init__(self, chart: Chart, states: list[State]) -> None:
        self.chart = chart
        self.states = states
        self.active = frozenset(state.index for state in states)
        leaves = [state for state in states if state.kind in (ATOMIC, FINAL)]
        self.leaves = sorted(state.path for state in leaves if state.parent is not None)
        self.eventless = tuple(found for found in map(_eventless, leaves) if found)
        self.plans: dict[object, Plan] = {}
        self._choices: dict[str, Choice | None] = {}
        self._value = _value(chart.root, self.active) if states else None

    @property
    def value(self) -> JSON:
        """The state value as XState writes it: a name, or an object of values by region."""
        return fresh(self._value)

    def select(self, run: Run) -> list[Transition]:
        """The transitions that the run's event enables: in each region the deepest first, then by document order."""
        event: str = run.event["type"]
        try:
            choice = self._choices[event]
        except KeyError:
            choice = self._learn(event)
        return _pick(choice, run) if choice is not None else []

    def select_eventless(self, run: Run) -> list[Transition]:
        """The eventless transitions that are enabled, one for each leaf that has one."""
        enabled: dict[Transition, None] = {}
        for transitions in self.eventless:
            for transition in transitions:
                if transition.guard is None or transition.guard(run):
                    enabled[transition] = None
                    break
        return list(enabled)

    def _learn(self, event: str) -> Choice | None:
        if len(self._choices) >= LIMIT:
            self._choices.clear()
        self._choices[event] = choice = _choice(self.chart.root, self.active, event)
        return choice


def _pick(choice: Choice, run: Run) -> list[Transition]:
    regions, own = choice
    found = [transition for region in regions for transition in _pick(region, run)] if regions else []
    if not found:
        for transition in own:
            if transition.guard is None or transition.guard(run):
                return [transition]
    return found


def _choice(state: State, active: frozenset[int], event: str) -> Choice | None:
    own = candidates(state, event)
    inner = [_choice(child, active, event) for child in state.regions if child.index in active]
    choices = [choice for choice in inner if choice is not None]
    if len(choices) == 1:
        regions, first = choices[0]
        return regions, (*first, *own)
    return (tuple(choices), own) if choices or own else None


def _eventless(leaf: State) -> tuple[Transition, ...]:
    return tuple(transition for state in (leaf, *leaf.ancestors()) for transition in state.always)


def _value(state: State, active: frozenset[int]) -> JSON:
    if state.kind == COMPOUND:
        child = next(child for child in state.regions if child.index in active)
        return child.key if child.kind in (ATOMIC, FINAL) else {child.key: _value(child, active)}
    return {child.key: _value(child, active) for child in state.regions} if state.kind == PARALLEL else {}


class Configurations:
    """The configurations of one chart that were met so far."""

    def __init__(self, chart: Chart) -> None:
        self.chart = chart
        self._by_states: dict[frozenset[int], Configuration] = {}
        self._by_value: dict[object, Configuration] = {}

    def of(self, states: list[State]) -> Configuration:
        """The configuration of these states, ancestors included, in document order."""
        key = frozenset(state.index for state in states)
        found = self._by_states.get(key)
        if found is None:
            if len(self._by_states) >= LIMIT:
                self._by_states.clear()
            found = self._by_states[key] = Configuration(self.chart, states)
        return found

    def read(self, value: JSON) -> Configuration:
        """The configuration of a state value, or ``ValueError`` where the chart has no such."""
        try:
            return self._by_value[value if type(value) is str else tuple(value.items())]
        except (KeyError, TypeError, AttributeError):
            return self._read(value)

    def _read(self, value: JSON) -> Configuration:
        key = _key(value)
        found = self._by_value.get(key)
        if found is None:
            if len(self._by_value) >= LIMIT:
                self._by_value.clear()
            states = [self.chart.root, *_states(self.chart.root, value)] if value is not None else []
            found = self._by_value[key] = self.of(sorted(states, key=lambda state: state.index))
        return found


def _key(value: JSON) -> object:
    return tuple((name, _key(item)) for name, item in value.items()) if type(value) is dict else value


def _states(state: State, value: JSON) -> list[State]:
    """The active states below ``state``, checked against the chart as they are read."""
    value = {value: {}} if type(value) is str else value
    if type(value) is not dict:
        raise ValueError(f"{value!r} is no state value")
    wanted = {COMPOUND: 1, PARALLEL: len(state.regions)}.get(state.kind, 0)
    children = [child for child in state.regions if child.key in value]
    if len(children) != len(value) or len(children) != wanted:
        raise ValueError(f"{value!r} is no value of state {state.path or state.id!r}")
    return [found for child in children for found in (child, *_states(child, value[child.key]))]
