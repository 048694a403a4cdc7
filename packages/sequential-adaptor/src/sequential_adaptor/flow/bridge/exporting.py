"""From a flat machine to one of ``transitions``; whatever that library has no word for is named.

Names of guards, entry and exit actions and actions become names of methods on the model: conditions, ``on_enter`` and
``on_exit``, ``before``. ``before`` runs before the state is left, where a statechart's action runs after that.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from sequential_adaptor.flow.chart import FINAL, HISTORY, PARALLEL, Chart, State, Transition
from sequential_adaptor.flow.errors import NotExpressible
from sequential_adaptor.flow.problems import Findings, at
from sequential_adaptor.flow.reading import listed
from sequential_adaptor.values import JSON

if TYPE_CHECKING:
    from transitions import Machine

_BUILT_IN = frozenset({"assign", "raise", "cancel", "log"})


def export(chart: Chart, model: Any) -> Machine:
    """A real machine on ``model`` (by default one of its own), or :class:`NotExpressible`."""
    findings = Findings()
    declaration = _Writer(chart, findings).declaration()
    if findings.problems:
        raise NotExpressible("transitions", findings.problems)
    from transitions import Machine

    return Machine(
        model=Machine.self_literal if model is None else model,
        name=chart.name,
        auto_transitions=False,
        ignore_invalid_triggers=True,
        **declaration,
    )


class _Writer:
    def __init__(self, chart: Chart, findings: Findings) -> None:
        self.chart, self.findings = chart, findings

    def declaration(self) -> dict[str, Any]:
        root = self.chart.root
        if root.kind == PARALLEL or not root.states:
            self.findings.problem("type", f"a machine of type {root.kind!r}")
        for state in self.chart.states:
            self._check(state)
        return {
            "states": [self._state(state) for state in root.states.values()],
            "transitions": [arrow for state in root.states.values() for arrow in self._arrows(state)],
            "initial": root.initial.key if root.initial is not None else None,
        }

    def _check(self, state: State) -> None:
        if state.parent is not None and state.states:
            self.findings.problem(state.where, f"{state.key!r} has states of its own")
        if state.kind == HISTORY:
            self.findings.problem(at(state.where, "type"), f"{state.key!r} is a history state")
        for key in ("always", "after", "invoke", "onDone", "onError", "output"):
            if state.config.get(key):
                self.findings.problem(at(state.where, key), f"{key!r}, here {state.config[key]!r}")
        if state.parent is None and state.config.get("context"):
            self.findings.problem("context", "a context; the model's own attributes are that")
        for event in state.on:
            if "*" in event:
                self.findings.problem(at(state.where, "on", event), f"the wildcard {event!r}")

    def _state(self, state: State) -> dict[str, Any]:
        return {
            "name": state.key,
            "on_enter": self._names(state.config.get("entry"), at(state.where, "entry")),
            "on_exit": self._names(state.config.get("exit"), at(state.where, "exit")),
            "final": state.kind == FINAL,
        }

    def _arrows(self, state: State) -> Iterator[dict[str, Any]]:
        """The state's own first, then those of the machine, which are asked where none of its own is taken."""
        if state.kind == FINAL:
            return
        for transition in (*state.transitions, *self.chart.root.transitions):
            yield self._arrow(state, transition)

    def _arrow(self, state: State, transition: Transition) -> dict[str, Any]:
        target = transition.targets[0] if transition.targets else None
        stays = target is state and transition.source is state and not transition.reenter
        if transition.targets is not None and len(transition.targets) > 1:
            self.findings.problem(transition.path, f"several targets, {list(transition.names or ())!r}")
        if target is self.chart.root:
            self.findings.problem(transition.path, "the machine itself as a target")
        conditions, unless = self._guards(transition.guard_config, at(transition.path, "guard"))
        return {
            "trigger": transition.event,
            "source": state.key,
            "dest": None if target is None or stays else target.key,
            "conditions": conditions,
            "unless": unless,
            "before": self._names(transition.actions_config, at(transition.path, "actions")),
        }

    def _guards(self, config: JSON, path: str) -> tuple[list[str], list[str]]:
        """Conditions and their opposites: names, ``not`` of a name, and ``and`` of such."""
        if config is None or isinstance(config, str):
            return [config] if config is not None else [], []
        params = config.get("params") or {}
        if config.get("type") == "and":
            parts = [self._guards(part, path) for part in listed(params.get("guards", config.get("guards")))]
            return [name for part in parts for name in part[0]], [name for part in parts for name in part[1]]
        inner = params.get("guard", config.get("guard"))
        if config.get("type") == "not" and isinstance(inner, str):
            return [], [inner]
        if params or config.get("type") in ("or", "not", "state_in"):
            self.findings.problem(path, f"the guard {config!r}; a condition is the name of a method")
        return [str(config.get("type"))], []

    def _names(self, given: JSON, path: str) -> list[str]:
        found = []
        for index, action in enumerate(listed(given)):
            name = action if isinstance(action, str) else action.get("type")
            if name in _BUILT_IN or not isinstance(action, str):
                self.findings.problem(at(path, index), f"the action {action!r}; a callback is the name of a method")
            found.append(str(name))
        return found
