"""How a factory is handed its options: by keyword, or as one mapping, whichever it accepts."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from inspect import Parameter
from typing import Any, get_origin

from sequential_adaptor.errors import ConfigurationError, nearest
from sequential_adaptor.registry.types import Factory

Arguments = tuple[tuple[Any, ...], dict[str, Any]]

_BY_KEYWORD = (Parameter.POSITIONAL_OR_KEYWORD, Parameter.KEYWORD_ONLY)
_BY_POSITION = (Parameter.POSITIONAL_ONLY, Parameter.POSITIONAL_OR_KEYWORD)
_REST = (Parameter.VAR_POSITIONAL, Parameter.VAR_KEYWORD)
_MAPPING_NAMES = ("config", "options", "settings")
_MAPPING_TYPES = ("Mapping", "MutableMapping", "dict", "Dict")


def arguments(what: str, factory: Factory, options: Mapping[str, Any]) -> Arguments:
    """Positional and keyword arguments for a factory; :class:`ConfigurationError` says which options there are."""
    try:
        parameters = tuple(inspect.signature(factory).parameters.values())
    except ValueError:  # some built-in classes tell nobody what they take
        return (), dict(options)
    if _takes_mapping(parameters, options):
        return (dict(options),), {}
    _check_names(what, parameters, options)
    return (), dict(options)


def _takes_mapping(parameters: Sequence[Parameter], options: Mapping[str, Any]) -> bool:
    if not parameters or not _is_mapping(parameters[0]) or not all(map(_is_optional, parameters[1:])):
        return False
    if not options:
        return not _is_optional(parameters[0])
    return not _takes_keywords(parameters, options)


def _is_mapping(parameter: Parameter) -> bool:
    """Whether a parameter looks like the one that takes all options: by its annotation, its name, or its kind."""
    if parameter.kind not in _BY_POSITION:
        return False
    return (
        parameter.kind is Parameter.POSITIONAL_ONLY
        or parameter.name in _MAPPING_NAMES
        or _names_mapping(parameter.annotation)
    )


def _names_mapping(annotation: Any) -> bool:
    if isinstance(annotation, str):
        return annotation.split("[")[0].split(".")[-1].split("|")[0].strip() in _MAPPING_TYPES
    kind = get_origin(annotation) or annotation
    return isinstance(kind, type) and kind is not Parameter.empty and issubclass(kind, Mapping)


def _is_optional(parameter: Parameter) -> bool:
    return parameter.default is not Parameter.empty or parameter.kind in _REST


def _takes_keywords(parameters: Sequence[Parameter], options: Mapping[str, Any]) -> bool:
    return _is_open(parameters) or options.keys() <= set(_names(parameters))


def _check_names(what: str, parameters: Sequence[Parameter], options: Mapping[str, Any]) -> None:
    names = _names(parameters)
    choices = f"(options: {', '.join(names) or 'none'})"
    for name in options:
        if name not in names and not _is_open(parameters):
            near = nearest(str(name), names)
            hint = f". Did you mean {near!r}?" if near is not None else ""
            raise ConfigurationError(f"{what} has no option {name!r} {choices}{hint}")
    for parameter in parameters:
        if not _is_optional(parameter) and parameter.name not in options:
            raise ConfigurationError(f"{what} needs the option {parameter.name!r} {choices}")


def _names(parameters: Sequence[Parameter]) -> list[str]:
    return [parameter.name for parameter in parameters if parameter.kind in _BY_KEYWORD]


def _is_open(parameters: Sequence[Parameter]) -> bool:
    return any(parameter.kind is Parameter.VAR_KEYWORD for parameter in parameters)
