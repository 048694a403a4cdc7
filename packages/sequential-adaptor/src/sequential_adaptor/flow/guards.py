"""Guards: the given functions, and the built-in ``and``, ``or``, ``not``, ``state_in``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from sequential_adaptor.flow.chart import Chart, State
from sequential_adaptor.flow.errors import ActionFailed
from sequential_adaptor.flow.expressions import fresh
from sequential_adaptor.flow.problems import Findings, at
from sequential_adaptor.flow.reading import listed
from sequential_adaptor.flow.running import Guard, Run
from sequential_adaptor.flow.targets import by_id
from sequential_adaptor.outcomes import message_of
from sequential_adaptor.values import JSON

Function = Callable[[Any, Any, Any], Any]
BUILT_IN = ("and", "or", "not", "state_in", "stateIn")


class Guards:
    """Makes the guards of one chart; a given function of a built-in's name is used instead of it."""

    def __init__(self, chart: Chart, given: Mapping[str, Function], findings: Findings) -> None:
        self.chart, self.given, self.findings = chart, given, findings

    def guard(self, config: JSON, path: str) -> Guard | None:
        """The guard as a question to a run; ``None`` where there is none."""
        if config is None:
            return None
        config = {"type": config} if type(config) is str else config
        name = config.get("type") if type(config) is dict else None
        if type(name) is not str:
            self.findings.problem(path, f"{config!r} is no guard; write its name, or {{'type': name, 'params': ...}}")
            return None
        if name in self.given:
            return _named(name, self.given[name], config.get("params"), path)
        if name not in BUILT_IN:
            self.findings.unknown(path, "guard", name, [*self.given, *BUILT_IN[:4]])
            return None
        params = config.get("params")
        return self._built_in(name, {**config, **(params if type(params) is dict else {})}, path)

    def _built_in(self, name: str, params: dict[str, JSON], path: str) -> Guard | None:
        if name in ("state_in", "stateIn"):
            return self._state_in(params.get("state", params.get("stateValue")), path)
        parts = listed(params.get("guards", params.get("guard")))
        if not parts or (name == "not" and len(parts) > 1):
            many = "one guard as 'guard'" if name == "not" else "a list of guards as 'guards'"
            self.findings.problem(path, f"{name!r} needs {many}")
        guards = [self.guard(part, at(path, index)) for index, part in enumerate(parts)]
        return _combined(name, [guard for guard in guards if guard is not None])

    def _state_in(self, value: JSON, path: str) -> Guard:
        states = self._states(self.chart.root, value, path)
        indexes = frozenset(state.index for state in states)
        return lambda run: indexes <= run.configuration.active

    def _states(self, below: State, value: JSON, path: str) -> list[State]:
        """The states that a state value names: ``#id``, a dotted path, or an object of values by region."""
        if type(value) is dict:
            inner = {key: self._states(below, key, path) for key in value}
            found = [self._states(states[0], value[key], path) for key, states in inner.items() if states]
            return [state for states in [*inner.values(), *found] for state in states]
        name = str(value)
        dotted = ".".join(part for part in (below.path, name) if part)
        state = by_id(self.chart, name) if name.startswith("#") else self.chart.at(dotted)
        if state is None:
            paths = [other.path for other in self.chart.states]
            self.findings.unknown(path, "state", name, [*paths, *(f"#{id}" for id in self.chart.ids)])
        return [state] if state is not None else []


def _combined(name: str, guards: list[Guard]) -> Guard:
    if name == "and":
        return lambda run: all(guard(run) for guard in guards)
    if name == "or":
        return lambda run: any(guard(run) for guard in guards)
    return lambda run: not any(guard(run) for guard in guards)


def _named(name: str, function: Function, params: JSON, path: str) -> Guard:
    def guard(run: Run) -> bool:
        try:
            return bool(function(fresh(run.context), fresh(run.event), fresh(params)))
        except Exception as error:
            raise ActionFailed(
                path, f"guard {name!r}", f"raised {type(error).__name__}: {message_of(error)}"
            ) from error

    return guard
