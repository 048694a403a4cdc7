"""Registries: names and their factories, in layers.

The registry that a program sees lies over the installed entry points. A plugin that is being loaded sees a
:class:`Draft` over that: what it registers is kept all together when it has loaded, or not at all.
"""

from __future__ import annotations

import builtins
import threading
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any, Literal, overload

from sequential_adaptor.errors import AlreadyRegistered, PluginError, RegistryError, UnknownName
from sequential_adaptor.ids import check_plugin_name
from sequential_adaptor.registry.creation import create
from sequential_adaptor.registry.entry_points import EntryPoints
from sequential_adaptor.registry.types import TYPES, Factory, Source, check_type, remedy
from sequential_adaptor.runners.base import Runner
from sequential_adaptor.storage.adapter import StorageAdapter

_Key = tuple[str, str]


class Registry:
    """Factories by type and name. Safe to use from several threads."""

    def __init__(self, beneath: Source) -> None:
        self._beneath = beneath
        self._lock = threading.RLock()
        self._factories: dict[_Key, Factory] = {}
        self.plugins: set[str] = set()
        """The modules that :func:`load_plugins` has loaded."""
        self.registries: Mapping[str, Mapping[str, Factory]] = MappingProxyType(
            {type: RegistryView(self, type) for type in TYPES}
        )
        """A live read-only view of each type. Looking at names imports nothing, looking at a factory imports it."""

    def register(self, type: str, name: str, factory: Factory, *, replace: bool = False) -> None:
        """Give a name to a factory. The same factory once more is harmless.

        Raises :class:`AlreadyRegistered` where the name has another factory, unless ``replace`` says that it is meant.
        """
        key = (check_type(type), check_plugin_name(type, name))
        if not callable(factory):
            raise PluginError(f"the factory of {type} {name!r} is not callable: {factory!r}")
        beneath = factory if replace else self._taken_beneath(type, name)
        with self._lock:
            if not replace and self._factories.get(key, beneath) not in (None, factory):
                raise AlreadyRegistered(type, name)
            self._factories[key] = factory

    def get(self, type: str, name: str) -> Factory:
        """The factory of that name. Raises :class:`UnknownType`, :class:`UnknownName`, or :class:`PluginError`."""
        factory = self.find(check_type(type), name)
        if factory is None:
            raise self._unknown(type, name)
        return factory

    def has(self, type: str, name: str) -> bool:
        """Whether there is such a name, working or not. Imports nothing."""
        return name in self.names(check_type(type))

    def list(self, type: str) -> builtins.list[str]:
        """The names of a type, sorted. Imports nothing."""
        return sorted(self.names(check_type(type)))

    @overload
    async def create(
        self, type: Literal["adapter"], name: str, config: Mapping[str, Any] | None = None, /, **options: Any
    ) -> StorageAdapter: ...
    @overload
    async def create(
        self, type: Literal["runner"], name: str, config: Mapping[str, Any] | None = None, /, **options: Any
    ) -> Runner: ...
    @overload
    async def create(self, type: str, name: str, config: Mapping[str, Any] | None = None, /, **options: Any) -> Any: ...
    async def create(self, type: str, name: str, config: Mapping[str, Any] | None = None, /, **options: Any) -> Any:
        """Make one and make it ready: call its factory, then ``init()`` where there is one, awaiting what is async.

        The mapping and the keyword arguments are its options together; a keyword argument wins. An adapter's name may
        be a storage URL. When ``init`` fails, what was made is closed, and the error goes up.
        """
        return await create(self.get, type, name, config, options)

    def names(self, type: str) -> set[str]:
        """The names of a type, its own and those beneath."""
        with self._lock:
            own = {name for kind, name in self._factories if kind == type}
        return own.union(self._beneath.names(type))

    def find(self, type: str, name: str) -> Factory | None:
        """The factory of that name, its own or the one beneath, or ``None``."""
        with self._lock:
            own = self._factories.get((type, name))
        return own if own is not None else self._beneath.find(type, name)

    def _taken_beneath(self, type: str, name: str) -> Factory | None:
        try:
            return self._beneath.find(type, name)
        except PluginError:
            return _unusable

    def _unknown(self, type: str, name: str) -> RegistryError:
        error = UnknownName(type, name, self.list(type), remedy(type, name))
        if isinstance(self._beneath, EntryPoints):
            for title, reason in self._beneath.unreadable().items():
                error.add_note(f"the entry points of {title} cannot be read: {reason!r}")
        return error


class Draft(Registry):
    """What one plugin registers, over the registry that it will be part of once it has loaded."""

    def __init__(self, under: Registry) -> None:
        super().__init__(under)
        self._under = under
        self.plugins = set(under.plugins)
        self._replaced: set[_Key] = set()
        self._kept = False

    def register(self, type: str, name: str, factory: Factory, *, replace: bool = False) -> None:
        with self._lock:
            if self._kept:
                self._under.register(type, name, factory, replace=replace)
                return
            super().register(type, name, factory, replace=replace)
            if replace:
                self._replaced.add((type, name))

    def keep(self) -> None:
        """Move all of it into the registry beneath, or none where a name has been taken there meanwhile."""
        with self._lock, self._under._lock:
            for type, name in self._factories.keys() - self._replaced:
                if self._under._factories.get((type, name)) not in (None, self._factories[type, name]):
                    raise AlreadyRegistered(type, name)
            self._under._factories.update(self._factories)
            self._under.plugins |= self.plugins
            self._factories.clear()
            self._kept = True


class RegistryView(Mapping[str, Factory]):
    """The plugins of one type, as a mapping that follows the registry."""

    def __init__(self, registry: Registry, type: str) -> None:
        self._registry, self._type = registry, type

    def __getitem__(self, name: str) -> Factory:
        try:
            return self._registry.get(self._type, name)
        except UnknownName as error:
            raise KeyError(name) from error

    def __contains__(self, name: object) -> bool:
        return name in self._registry.names(self._type)

    def __iter__(self) -> Iterator[str]:
        return iter(self._registry.list(self._type))

    def __len__(self) -> int:
        return len(self._registry.names(self._type))

    def __repr__(self) -> str:
        return f"<{self._type}: {', '.join(self) or 'none'}>"


def _unusable() -> None:
    """Stands for an entry point that has the name and cannot be loaded: equal to no factory that anybody registers."""
