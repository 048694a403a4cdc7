"""Actions: the given functions, and the built-in ``assign``, ``raise``, ``cancel``, ``log``.

An action that is named and not given is only recorded: a step says which actions it executed, for others to act on.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import isfinite

from sequential_adaptor import values
from sequential_adaptor.errors import InvalidValue
from sequential_adaptor.flow.errors import ActionFailed
from sequential_adaptor.flow.expressions import fresh, reader
from sequential_adaptor.flow.guards import Function
from sequential_adaptor.flow.problems import Findings, at
from sequential_adaptor.flow.running import Operation, Reader, Run
from sequential_adaptor.outcomes import message_of
from sequential_adaptor.values import JSON

BUILT_IN = ("assign", "raise", "cancel", "log")


class Recorded:
    """Says that actions were executed, and does nothing else."""

    __slots__ = ("names",)

    def __init__(self, names: tuple[str, ...]) -> None:
        self.names = names

    def __call__(self, run: Run) -> None:
        run.actions.extend(self.names)


class Actions:
    """Makes the actions of one chart; a given function of a built-in's name is used instead of it."""

    def __init__(
        self, given: Mapping[str, Function | None], delays: Mapping[str, float | Function], findings: Findings
    ) -> None:
        self.given, self.delays, self.findings = given, delays, findings

    def all(self, configs: list[JSON], path: str) -> tuple[Operation, ...]:
        """The actions of a list, in order."""
        found = [self._action(config, at(path, index)) for index, config in enumerate(configs)]
        return tuple(operation for operation in found if operation is not None)

    def delay(self, given: JSON, path: str) -> Reader | None:
        """What gives a delay in milliseconds: a number, the name of a delay, or an expression."""
        if type(given) is dict:
            return _checked_delay(reader(given, path, self.findings), path)
        value = self.delays.get(given) if type(given) is str else given
        if value is None:
            reason = "no delay {!r}: neither milliseconds nor the name of a delay that is given"
            self.findings.problem(path, reason.format(given))
        elif callable(value):
            return _checked_delay(_called_delay(str(given), value, path), path)
        elif not _is_delay(value):
            self.findings.problem(path, f"{value!r} is no delay; it is milliseconds, 0 or more")
        else:
            return lambda run: value
        return None

    def _action(self, config: JSON, path: str) -> Operation | None:
        if type(config) is str:
            config = {"type": config}
        name = config.get("type") if type(config) is dict else None
        if type(name) is not str:
            self.findings.problem(path, f"{config!r} is no action; write its name, or {{'type': name, 'params': ...}}")
            return None
        params = config.get("params")
        function = self.given.get(name)
        if function is not None:
            return _named(name, function, params, "params" in config, path)
        built_in = name.removeprefix("xstate.")
        if built_in in BUILT_IN and name not in self.given:
            return self._built_in(built_in, {**config, **(params if type(params) is dict else {})}, at(path, "params"))
        return Recorded((name,)) if "params" not in config else _recorded(name, params)

    def _built_in(self, name: str, params: dict[str, JSON], path: str) -> Operation | None:
        if name == "assign":
            return self._assign(params.get("values", params.get("assignment")), path)
        if name == "raise":
            return self._raise(params, path)
        if name == "log":
            return _log(reader(params.get("message", params.get("value", params.get("label"))), path, self.findings))
        id = params.get("id", params.get("sendId"))
        if type(id) is not str:
            self.findings.problem(path, f"{id!r} is no id of a delayed event")
        return _cancel(str(id))

    def _assign(self, given: JSON, path: str) -> Operation | None:
        if type(given) is not dict:
            self.findings.problem(path, f"'assign' needs an object as 'values', not {given!r}")
            return None
        return _assign({key: reader(value, at(path, "values", key), self.findings) for key, value in given.items()})

    def _raise(self, params: dict[str, JSON], path: str) -> Operation | None:
        event = params.get("event")
        event = {"type": event} if type(event) is str else event
        if type(event) is not dict or type(event.get("type")) is not str or not event["type"]:
            self.findings.problem(at(path, "event"), f"{event!r} is no event; write {{'type': 'NAME', ...}}")
            return None
        made = reader(event, at(path, "event"), self.findings)
        if params.get("delay") is None:
            return _raise(made)
        delay = self.delay(params["delay"], at(path, "delay"))
        id = params.get("id") or f"raise.{path}"
        return _raise_later(made, delay, id) if delay is not None else None


def _named(name: str, function: Function, params: JSON, shown: bool, path: str) -> Operation:
    def action(run: Run) -> None:
        run.actions.append({"type": name, "params": fresh(params)} if shown else name)
        try:
            changes = function(fresh(run.context), fresh(run.event), fresh(params))
        except Exception as error:
            raise ActionFailed(
                path, f"action {name!r}", f"raised {type(error).__name__}: {message_of(error)}"
            ) from error
        if changes is not None:
            _change(run, changes, name, path)

    return action


def _change(run: Run, changes: JSON, name: str, path: str) -> None:
    if type(changes) is not dict:
        reason = f"returned {type(changes).__name__}; it returns a dict of changes to the context, or None"
        raise ActionFailed(path, f"action {name!r}", reason)
    try:
        values.check(changes)
    except InvalidValue as error:
        raise ActionFailed(path, f"action {name!r}", f"returned what is not JSON: {error}") from error
    run.context = {**run.context, **fresh(changes)}
    run.changed = True


def _recorded(name: str, params: JSON) -> Operation:
    return lambda run: run.actions.append({"type": name, "params": fresh(params)})


def _assign(readers: dict[str, Reader]) -> Operation:
    def assign(run: Run) -> None:
        changes = {key: read(run) for key, read in readers.items()}
        run.context = {**run.context, **changes}
        run.changed = True
        run.actions.append({"type": "assign", "params": {"values": changes}})

    return assign


def _raise(made: Reader) -> Operation:
    def raise_event(run: Run) -> None:
        event = made(run)
        run.queue.append(event)
        run.actions.append({"type": "raise", "params": {"event": event}})

    return raise_event


def _raise_later(made: Reader, delay: Reader, id: str) -> Operation:
    def raise_later(run: Run) -> None:
        event, milliseconds = made(run), delay(run)
        run.schedule(id, event, milliseconds)
        run.actions.append({"type": "raise", "params": {"event": event, "delay": milliseconds, "id": id}})

    return raise_later


def _cancel(id: str) -> Operation:
    def cancel(run: Run) -> None:
        run.cancel(id)
        run.actions.append({"type": "cancel", "params": {"id": id}})

    return cancel


def _log(message: Reader) -> Operation:
    return lambda run: run.actions.append({"type": "log", "params": {"message": message(run)}})


def _is_delay(value: object) -> bool:
    return type(value) in (int, float) and isfinite(value) and value >= 0  # type: ignore[arg-type,operator]  # a number


def _called_delay(name: str, function: Function, path: str) -> Reader:
    def called(run: Run) -> JSON:
        try:
            return function(fresh(run.context), fresh(run.event), None)
        except Exception as error:
            raise ActionFailed(
                path, f"delay {name!r}", f"raised {type(error).__name__}: {message_of(error)}"
            ) from error

    return called


def _checked_delay(read: Reader, path: str) -> Reader:
    def checked(run: Run) -> JSON:
        value = read(run)
        if not _is_delay(value):
            raise ActionFailed(path, "the delay", f"is {value!r}; it has to be milliseconds, 0 or more")
        return value

    return checked
