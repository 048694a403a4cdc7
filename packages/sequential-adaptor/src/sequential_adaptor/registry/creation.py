"""Making a plugin: options to its factory, then ``init()``, and closing what could not be made ready."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from sequential_adaptor.errors import ConfigurationError, PluginError
from sequential_adaptor.registry.calling import arguments
from sequential_adaptor.registry.types import Factory
from sequential_adaptor.storage.locations import is_storage_url, parse_storage

Lookup = Callable[[str, str], Factory]


async def create(
    get: Lookup, type: str, name: str, config: Mapping[str, Any] | None, options: Mapping[str, Any]
) -> Any:
    """What ``get(type, name)`` makes of these options, made ready."""
    options = merged(config, options)
    if type == "adapter" and is_storage_url(name):
        location = parse_storage(name)
        name, options = location.backend, merged(location.config, options)
    what = f"{type} {name!r}"
    factory = get(type, name)
    positional, named = arguments(what, factory, options)
    made = await _awaited(factory(*positional, **named))
    if made is None:
        raise PluginError(f"the factory of {what} returned None")
    await _make_ready(what, made)
    return made


def merged(*configs: Mapping[str, Any] | None) -> dict[str, Any]:
    """Options of several sources, where a later one wins."""
    options: dict[str, Any] = {}
    for config in configs:
        if config is not None and not isinstance(config, Mapping):
            raise ConfigurationError(f"a config is a mapping of options by name, not a {config.__class__.__name__}")
        options.update(config or {})
    return options


async def _make_ready(what: str, made: Any) -> None:
    init = getattr(made, "init", None)
    if not callable(init):
        return
    try:
        await _awaited(init())
    except BaseException as error:
        error.add_note(f"while {what} was made ready")
        await close_after(error, made)
        raise


async def close(made: Any) -> None:
    """Give back what something holds, by its ``close()`` or ``dispose()``, where it has one."""
    for name in ("close", "dispose"):
        closing = getattr(made, name, None)
        if callable(closing):
            await _awaited(closing())
            return


async def close_after(error: BaseException, made: Any) -> None:
    """Close it because of an error, and let no second error hide the first."""
    try:
        await close(made)
    except Exception as second:
        error.add_note(f"and closing it failed: {second!r}")


async def _awaited(value: Any) -> Any:
    return await value if inspect.isawaitable(value) else value
