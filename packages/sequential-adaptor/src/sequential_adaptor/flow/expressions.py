"""Values in a machine: literals, and the paths ``{"$event": ...}``, ``{"$context": ...}``, ``{"$input": ...}``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from sequential_adaptor.flow.problems import Findings, at
from sequential_adaptor.flow.running import Reader, Run
from sequential_adaptor.values import JSON

_SCALARS: Final = frozenset({str, int, float, bool, type(None)})
_SOURCES: Final[dict[str, Callable[[Run], JSON]]] = {
    "$event": lambda run: run.event,
    "$context": lambda run: run.context,
    "$input": lambda run: run.input,
}


def fresh(value: JSON) -> JSON:
    """A copy that shares nothing which can be changed."""
    kind = type(value)
    if kind is dict:
        return {key: item if type(item) in _SCALARS else fresh(item) for key, item in value.items()}
    if kind is list:
        return [item if type(item) in _SCALARS else fresh(item) for item in value]
    return value


def look_up(value: JSON, keys: list[str]) -> JSON:
    """The part of ``value`` that a path leads to, or ``None`` where there is none."""
    for key in keys:
        if type(value) is dict:
            value = value.get(key)
        elif type(value) is list and key.isdecimal() and int(key) < len(value):
            value = value[int(key)]
        else:
            return None
    return value


def reader(value: JSON, path: str, findings: Findings) -> Reader:
    """What gives the value during a step; a literal is a fresh copy each time."""
    source = _expression(value, path, findings)
    if source is not None:
        return source
    if type(value) is dict and not _is_literal(value):
        return _object({key: reader(item, at(path, key), findings) for key, item in value.items()})
    if type(value) is list and not _is_literal(value):
        return _list([reader(item, at(path, index), findings) for index, item in enumerate(value)])
    return (lambda run: value) if type(value) in _SCALARS else (lambda run: fresh(value))


def _expression(value: JSON, path: str, findings: Findings) -> Reader | None:
    if type(value) is not dict:
        return None
    name = next((name for name in value if name in _SOURCES), None)
    if name is None:
        return None
    if len(value) > 1 or type(value[name]) is not str:
        findings.problem(path, f"{value!r} is no expression; write {{{name!r}: 'dotted.path'}} and nothing beside it")
    source, keys = _SOURCES[name], str(value[name]).split(".") if value[name] else []
    return lambda run: look_up(source(run), keys)


def _is_literal(value: JSON) -> bool:
    if type(value) is dict:
        return not any(name in _SOURCES for name in value) and all(_is_literal(item) for item in value.values())
    return all(_is_literal(item) for item in value) if type(value) is list else True


def _object(readers: dict[str, Reader]) -> Reader:
    return lambda run: {key: read(run) for key, read in readers.items()}


def _list(readers: list[Reader]) -> Reader:
    return lambda run: [read(run) for read in readers]
