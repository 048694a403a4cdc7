"""From a machine of ``transitions``, flat or hierarchical, to a machine as XState writes it.

A transition with the same source and destination leaves and enters the state, as it does there; one with ``dest=None``
stays. Callbacks become actions of the same name: ``before`` and ``after`` run between leaving and entering. Conditions
become guards of the same name, ``unless`` their opposite.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from sequential_adaptor.flow.errors import NotExpressible
from sequential_adaptor.flow.problems import Findings, at
from sequential_adaptor.values import JSON

if TYPE_CHECKING:
    from transitions import Machine

Path = tuple[str, ...]


def config_of(machine: Machine) -> dict[str, JSON]:
    """The machine as JSON, or :class:`NotExpressible` with everything that has no counterpart."""
    reader = _Reader(machine)
    config = reader.machine()
    if reader.findings.problems:
        raise NotExpressible("a statechart", reader.findings.problems)
    return config


class _Reader:
    def __init__(self, machine: Any) -> None:
        self.given = machine
        self.findings = Findings()
        separator = getattr(getattr(machine, "state_cls", None), "separator", None)
        self.separator: str | None = separator if isinstance(separator, str) else None
        self.states: dict[Path, dict[str, JSON]] = {}

    def machine(self) -> dict[str, JSON]:
        config: dict[str, JSON] = {"id": (self.given.name or "machine").removesuffix(": ") or "machine"}
        self._refuse(self.given, "machine", ("prepare_event", "finalize_event", "on_exception"))
        config["states"] = {name: self._state(state, (name,)) for name, state in self.given.states.items()}
        self._begin(config, self.given.initial, ())
        for path, events in self._events(self.given, ()):
            for event in events:
                self._event(event, path)
        self._finish()
        return config

    def _state(self, state: Any, path: Path) -> dict[str, JSON]:
        found: dict[str, JSON] = {}
        self.states[path] = found
        for key, callbacks in (("entry", state.on_enter), ("exit", state.on_exit)):
            if callbacks:
                found[key] = [_name(callback) for callback in callbacks]
        if getattr(state, "tags", None):
            found["tags"] = list(state.tags)
        if getattr(state, "final", False):
            found["type"] = "final"
        if getattr(state, "states", None):
            found["states"] = {name: self._state(inner, (*path, name)) for name, inner in state.states.items()}
            self._begin(found, state.initial, path)
        return found

    def _begin(self, config: dict[str, JSON], initial: Any, path: Path) -> None:
        """One initial state makes a compound state, all of them a parallel one."""
        names = [initial] if isinstance(initial, str) else [str(getattr(name, "name", name)) for name in initial or ()]
        where = at("states", *path)
        if not names:
            self.findings.problem(where, "no initial state, so nothing says where it begins")
        elif len(names) == 1:
            config["initial"] = self._split(names[0])[0]
            if len(self._split(names[0])) > 1:
                self.findings.problem(where, f"the initial state {names[0]!r} is not directly below; give each its own")
        elif {self._split(name)[0] for name in names} == config["states"].keys():
            config["type"] = "parallel"
        else:
            self.findings.problem(
                where, f"{names!r} begin together, and others do not: neither one region nor all of them"
            )

    def _events(self, scope: Any, path: Path) -> Iterator[tuple[Path, Iterable[Any]]]:
        yield path, scope.events.values()
        for name, state in scope.states.items():
            if getattr(state, "events", None) is not None and getattr(state, "states", None):
                yield from self._events(state, (*path, name))

    def _event(self, event: Any, scope: Path) -> None:
        for sources, transitions in event.transitions.items():
            for transition in transitions:
                if not self._is_automatic(event.name, transition.dest):
                    self._transition(event.name, transition, (*scope, *self._split(_text(sources))), scope)

    def _is_automatic(self, name: str, dest: str | None) -> bool:
        """Whether this is one of the ``to_<state>`` triggers that the library adds by itself."""
        return bool(self.given.auto_transitions) and dest is not None and name == f"to_{dest}"

    def _transition(self, event: str, transition: Any, source: Path, scope: Path) -> None:
        path = at("states", *source, "on", event)
        self._refuse(transition, path, ("prepare",))
        found: dict[str, JSON] = {}
        if transition.dest is not None:
            target = self._target(transition.dest, scope)
            found["target"] = f"#{self._id(target)}"
            if target[: len(source)] == source:
                found["reenter"] = True
        callbacks = (
            *self.given.before_state_change,
            *transition.before,
            *transition.after,
            *self.given.after_state_change,
        )
        if callbacks:
            found["actions"] = [_name(callback) for callback in callbacks]
        guards = [_guard(condition) for condition in transition.conditions]
        if guards:
            found["guard"] = guards[0] if len(guards) == 1 else {"type": "and", "params": {"guards": guards}}
        self.states[source].setdefault("on", {}).setdefault(event, []).append(found)

    def _target(self, dest: str, scope: Path) -> Path:
        path = self._split(dest)
        return (*scope, *path) if (*scope, *path) in self.states else path

    def _id(self, path: Path) -> str:
        id = "/".join(path)
        self.states[path]["id"] = id
        return id

    def _finish(self) -> None:
        for path, state in self.states.items():
            if state.get("type") == "final" and state.get("on"):
                self.findings.problem(at("states", *path), "it is final, and transitions lead out of it")

    def _refuse(self, given: Any, path: str, names: Iterable[str]) -> None:
        for name in names:
            if getattr(given, name, None):
                self.findings.problem(path, f"{name!r} callbacks: a statechart has no such moment")

    def _split(self, name: str) -> Path:
        return tuple(name.split(self.separator)) if self.separator else (name,)


def _guard(condition: Any) -> JSON:
    name = _name(condition.func)
    return name if condition.target else {"type": "not", "params": {"guard": name}}


def _name(callback: Any) -> str:
    return callback if isinstance(callback, str) else str(getattr(callback, "__name__", callback))


def _text(source: Any) -> str:
    return source if isinstance(source, str) else str(getattr(source, "name", source))
