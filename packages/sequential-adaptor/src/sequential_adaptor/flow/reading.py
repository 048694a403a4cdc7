"""From a machine as people write it to states and arrows. Every liberty of the notation ends here.

Accepted: a string, an object or a list of either where a transition stands; ``cond`` and ``internal: false`` of XState
v4; numbers as keys of ``after``; tuples for lists; and the short form, in which a plain state with ``onDone`` or
``onError`` invokes the function of its own name.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sequential_adaptor import values
from sequential_adaptor.errors import InvalidValue
from sequential_adaptor.flow.chart import ATOMIC, COMPOUND, HISTORY, KINDS, After, Chart, Invoke, State, Transition
from sequential_adaptor.flow.keys import check_keys
from sequential_adaptor.flow.problems import Findings, at
from sequential_adaptor.values import JSON

DEFAULT_NAME = "machine"
_OF_SHORT_FORM = ("onDone", "onError", "input", "retry", "timeout", "map")


def read(config: Mapping[str, Any], findings: Findings) -> Chart:
    """The chart of a machine, its targets still names. What cannot be read is noted and left out."""
    plain = _plain(config)
    if type(plain) is not dict:
        findings.problem("", f"a machine is an object, not {type(config).__name__}")
        plain = {}
    try:
        values.check(plain)
    except InvalidValue as error:
        findings.problem(error.path.removeprefix("$").removeprefix("."), error.reason)
        plain = {}
    name = plain.get("id")
    chart = Chart(name if type(name) is str and name else DEFAULT_NAME, plain, [], {})
    if not findings.problems:
        _Reader(chart, findings).state(plain, "", None)
    return chart


def _plain(value: Any) -> JSON:
    """The same with lists for tuples and text for keys that are numbers."""
    if isinstance(value, Mapping):
        return {str(key) if type(key) in (int, float) else key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value


def listed(value: JSON) -> list[JSON]:
    """One or several, as several."""
    if value is None:
        return []
    return value if type(value) is list else [value]


class _Reader:
    def __init__(self, chart: Chart, findings: Findings) -> None:
        self.chart, self.findings = chart, findings

    def state(self, config: JSON, key: str, parent: State | None) -> State:
        where = "" if parent is None else at(parent.where, "states", key)
        if type(config) is not dict:
            self.findings.problem(where, f"a state is an object, not {config!r}")
            config = {}
        check_keys(config, where, self.findings)
        state = self._new(config, key, where, parent)
        for name, child in self._children(config, where).items():
            state.states[name] = self.state(child, name, state)
        state.end = len(self.chart.states)
        self._arrows(state)
        return state

    def _new(self, config: dict[str, JSON], key: str, where: str, parent: State | None) -> State:
        path = f"{parent.path}.{key}" if parent is not None and parent.path else key
        id = self._text(config, "id", where) or (f"{self.chart.name}.{path}" if path else self.chart.name)
        if parent is not None and (not key or "." in key):
            self.findings.problem(where, f"{key!r} cannot be a state's name: it is empty or has a dot")
        kind = self._kind(config, where)
        state = State(key, path, where, id, kind, len(self.chart.states), parent, config)
        self.chart.states.append(state)
        if id in self.chart.ids:
            self.findings.problem(at(where, "id"), f"{id!r} is the id of {self.chart.ids[id].where or 'machine'} too")
        self.chart.ids.setdefault(id, state)
        return state

    def _kind(self, config: dict[str, JSON], where: str) -> str:
        kind = config.get("type")
        if kind is None:
            return COMPOUND if config.get("states") else HISTORY if config.get("history") else ATOMIC
        if kind not in KINDS:
            self.findings.unknown(at(where, "type"), "type", str(kind), KINDS)
            return COMPOUND if config.get("states") else ATOMIC
        return str(kind)

    def _children(self, config: dict[str, JSON], where: str) -> dict[str, JSON]:
        states = config.get("states")
        if states is not None and type(states) is not dict:
            self.findings.problem(at(where, "states"), f"states are an object by name, not {states!r}")
        return states if type(states) is dict else {}

    def _arrows(self, state: State) -> None:
        config, where = state.config, state.where
        for event, given in self._object(config, "on", where).items():
            state.on[event] = self._transitions(state, event, given, at(where, "on", event))
        short = state.kind == ATOMIC and not config.get("invoke") and bool({"onDone", "onError"} & config.keys())
        if short:
            self._invoke(state, {"src": state.key, **_handlers(config)}, where, 0, short=True)
        elif config.get("onDone") is not None:
            event = f"xstate.done.state.{state.id}"
            state.on[event] = self._transitions(state, event, config["onDone"], at(where, "onDone"))
        several = type(config.get("invoke")) is list
        for index, given in enumerate(listed(config.get("invoke"))):
            self._invoke(state, given, at(where, "invoke", *([index] if several else [])), index)
        for delay, given in self._object(config, "after", where).items():
            self._after(state, delay, given, at(where, "after", delay))
        state.always = self._transitions(state, "", config.get("always"), at(where, "always"), absent=True)

    def _transitions(
        self, state: State, event: str, given: JSON, path: str, *, absent: bool = False
    ) -> list[Transition]:
        if given is None and absent:
            return []
        places = {at(path, index): item for index, item in enumerate(given)} if type(given) is list else {path: given}
        found = [self._transition(state, event, item, place) for place, item in places.items()]
        return [transition for transition in found if transition is not None]

    def _transition(self, state: State, event: str, given: JSON, path: str) -> Transition | None:
        if given is None or type(given) is str:
            given = {"target": given}
        if type(given) is not dict:
            self.findings.problem(path, f"{given!r} is no transition: neither a target, an object nor a list of them")
            return None
        names = self._names(given.get("target"), at(path, "target"))
        guard = given.get("guard", given.get("cond"))
        reenter = bool(given.get("reenter", given.get("internal") is False))
        actions = listed(given.get("actions"))
        return Transition(state, event, path, names, guard, actions, reenter, given.get("description"))

    def _names(self, target: JSON, path: str) -> tuple[str, ...] | None:
        names = [name for name in listed(target) if name != ""]
        wrong = [name for name in names if type(name) is not str]
        if wrong:
            self.findings.problem(path, f"{wrong[0]!r} is no target; a target is text")
        return tuple(name for name in names if type(name) is str) or None

    def _invoke(self, state: State, given: JSON, path: str, index: int, *, short: bool = False) -> None:
        given = {"src": given} if type(given) is str else given
        src = given.get("src") if type(given) is dict else None
        if type(src) is not str or not src:
            self.findings.problem(path, f"{given!r} is no invocation; write {{'src': 'name of a function'}}")
            return
        id = self._text(given, "id", path) or ((state.path or self.chart.name) + (f":{index}" if index else ""))
        state.invokes.append(Invoke(id, src, path, given, short))
        for key, event in (("onDone", f"xstate.done.actor.{id}"), ("onError", f"xstate.error.actor.{id}")):
            if given.get(key) is not None:
                found = self._transitions(state, event, given[key], at(path, key))
                state.on[event] = [*state.on.get(event, []), *found]

    def _after(self, state: State, delay: str, given: JSON, path: str) -> None:
        event = f"xstate.after.{delay}.{state.id}"
        state.after.append(After(_milliseconds(delay), event, path))
        state.on[event] = self._transitions(state, event, given, path)

    def _object(self, config: dict[str, JSON], key: str, where: str) -> dict[str, JSON]:
        given = config.get(key)
        if given is not None and type(given) is not dict:
            self.findings.problem(at(where, key), f"{given!r} is no object of transitions")
        return given if type(given) is dict else {}

    def _text(self, config: dict[str, JSON], key: str, where: str) -> str | None:
        given = config.get(key)
        if given is not None and type(given) is not str:
            self.findings.problem(at(where, key), f"{given!r} is no {key}; it is text")
        return given if type(given) is str else None


def _handlers(config: dict[str, JSON]) -> dict[str, JSON]:
    return {key: config[key] for key in _OF_SHORT_FORM if key in config}


def _milliseconds(delay: str) -> float | str:
    try:
        number = float(delay)
    except ValueError:
        return delay
    return int(number) if number.is_integer() else number
