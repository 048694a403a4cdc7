"""The registry: adapters, runners, services, commands and loaders, by name.

A distribution registers itself by entry points, a program with :func:`register`, a plugin file with
:func:`load_plugins`. Built-ins use the same door as everybody. Listing names imports nothing; the first :func:`create`
imports.
"""

from __future__ import annotations

import builtins
from collections.abc import Awaitable, Callable, Iterable, Mapping
from contextvars import ContextVar
from typing import Any, Literal, TypeVar, overload

from sequential_adaptor.errors import UnknownName
from sequential_adaptor.registry import plugins as _plugins
from sequential_adaptor.registry.creation import merged
from sequential_adaptor.registry.entry_points import EntryPoints
from sequential_adaptor.registry.opening import Opening
from sequential_adaptor.registry.registrations import Registry
from sequential_adaptor.registry.types import TYPES, Factory, remedy
from sequential_adaptor.runners.base import Runner
from sequential_adaptor.storage.adapter import StorageAdapter
from sequential_adaptor.storage.locations import find_storage

__all__ = [
    "TYPES",
    "Factory",
    "Opening",
    "Registry",
    "create",
    "create_adapter",
    "create_runner",
    "get",
    "get_registered_adapters",
    "get_registered_runners",
    "has",
    "list",
    "load_plugins",
    "register",
    "register_adapter",
    "register_runner",
    "registries",
    "with_adapter",
]

R = TypeVar("R")

_installed = Registry(EntryPoints())
# While a plugin loads, the functions below act on its draft, also where it calls them by itself.
_active: ContextVar[Registry] = ContextVar("sequential_adaptor_registry", default=_installed)

registries = _installed.registries


def register(type: str, name: str, factory: Factory, *, replace: bool = False) -> None:
    """Give a name to a factory: a class, a function or an async function. The same factory once more is harmless.

    Raises :class:`AlreadyRegistered` where the name has another factory, unless ``replace`` says that it is meant;
    :class:`UnknownType`; :class:`InvalidId` for a name that cannot be one; :class:`PluginError` if it is not callable.
    """
    _active.get().register(type, name, factory, replace=replace)


def get(type: str, name: str) -> Factory:
    """The factory of that name, imported if need be.

    Raises :class:`UnknownName` with the names there are, or :class:`PluginError` where it is there and does not work.
    """
    return _active.get().get(type, name)


def has(type: str, name: str) -> bool:
    """Whether there is such a name, working or not. Imports nothing."""
    return _active.get().has(type, name)


def list(type: str) -> builtins.list[str]:
    """The names of a type, sorted. Imports nothing."""
    return _active.get().list(type)


@overload
async def create(
    type: Literal["adapter"], name: str, config: Mapping[str, Any] | None = None, /, **options: Any
) -> StorageAdapter: ...
@overload
async def create(
    type: Literal["runner"], name: str, config: Mapping[str, Any] | None = None, /, **options: Any
) -> Runner: ...
@overload
async def create(type: str, name: str, config: Mapping[str, Any] | None = None, /, **options: Any) -> Any: ...
async def create(type: str, name: str, config: Mapping[str, Any] | None = None, /, **options: Any) -> Any:
    """Make one and make it ready: call its factory, then ``init()`` where there is one, awaiting what is async.

    The mapping and the keyword arguments are its options together; a keyword argument wins. An adapter's name may be a
    storage URL. When ``init`` fails, what was made is closed, and the error goes up. Raises :class:`ConfigurationError`
    for an option that there is not, with those there are.
    """
    return await _active.get().create(type, name, config, **options)


async def load_plugins(plugins: Iterable[_plugins.Plugin]) -> None:
    """Load plugins in turn, from files and by module name; each has a function ``register(registry)``, async or not.

    A plugin that fails leaves nothing of itself behind and raises :class:`PluginError` with its cause; those before it
    stay, those after it are not tried. A plugin that has loaded is not loaded twice.
    """
    await _plugins.load_plugins(_active, plugins)


def create_adapter(
    storage: str | None = None, config: Mapping[str, Any] | None = None, /, **options: Any
) -> Opening[StorageAdapter]:
    """An adapter by backend name or storage URL; ``await`` it, or ``async with`` it to have it closed.

    Without a name, storage is found in the order that :func:`~sequential_adaptor.storage.locations.find_storage` says:
    the environment, pyproject.toml, then the folder ``./tasks``. Options win over those of the URL.
    """

    async def make() -> StorageAdapter:
        found = find_storage(storage)
        if not has("adapter", found.backend):
            raise UnknownName("adapter", found.backend, list("adapter"), found.remedy(remedy("adapter", found.backend)))
        return await create("adapter", found.backend, merged(found.config, config, options))

    return Opening(make)


def register_adapter(name: str, factory: Factory, *, replace: bool = False) -> None:
    """``register("adapter", ...)``."""
    register("adapter", name, factory, replace=replace)


def get_registered_adapters() -> builtins.list[str]:
    """``list("adapter")``."""
    return list("adapter")


async def with_adapter(
    storage: str | None, config: Mapping[str, Any] | None, fn: Callable[[StorageAdapter], Awaitable[R]]
) -> R:
    """Open an adapter as :func:`create_adapter` does, return ``await fn(adapter)``, and close it whatever happens."""
    async with create_adapter(storage, config) as adapter:
        return await fn(adapter)


def create_runner(name: str = "fetch", config: Mapping[str, Any] | None = None, /, **options: Any) -> Opening[Runner]:
    """A runner by name; ``await`` it, or ``async with`` it to have it disposed of."""
    return Opening(lambda: create("runner", name, config, **options))


def register_runner(name: str, factory: Factory, *, replace: bool = False) -> None:
    """``register("runner", ...)``."""
    register("runner", name, factory, replace=replace)


def get_registered_runners() -> builtins.list[str]:
    """``list("runner")``."""
    return list("runner")
