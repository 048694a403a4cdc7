"""The five types of plugin, and the entry point group by which a distribution offers each."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Protocol, TypeAlias

from sequential_adaptor.errors import UnknownType

Factory: TypeAlias = Callable[..., Any]
"""What makes a plugin: a class, a function or an async function. It takes its options by keyword, or as one mapping."""

GROUPS = {
    "adapter": "sequential_adaptor.backends",
    "runner": "sequential_adaptor.runners",
    "service": "sequential_adaptor.services",
    "command": "sequential_adaptor.commands",
    "loader": "sequential_adaptor.loaders",
}
TYPES = tuple(GROUPS)

_EXTRAS = {
    ("adapter", "sqlite"): "sqlite",
    ("adapter", "supabase"): "supabase",
    ("command", "torture"): "testing",
}
"""Names that are known and come with an extra of the core."""


class Source(Protocol):
    """Where factories are looked up."""

    def names(self, type: str) -> Iterable[str]:
        """The names there are. Imports nothing."""
        ...

    def find(self, type: str, name: str) -> Factory | None:
        """The factory of that name, imported if need be; ``None`` where there is no such name.

        Raises :class:`PluginError` for one that is there and cannot be had.
        """
        ...


def check_type(type: str) -> str:
    """The type itself, or :class:`UnknownType`."""
    if type not in GROUPS:
        raise UnknownType(type, TYPES)
    return type


def remedy(type: str, name: str) -> str | None:
    """The line that installs a plugin, where it is known."""
    extra = _EXTRAS.get((type, name))
    return f'pip install "sequential-adaptor[{extra}]"' if extra is not None else None
