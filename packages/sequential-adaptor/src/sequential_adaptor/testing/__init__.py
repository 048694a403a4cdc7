"""The conformance kit: how a backend shows that it keeps the laws of the storage interface.

A backend author subclasses :class:`StorageLaws` and gives one fixture, ``new_store``. Needs the extra ``[testing]``;
nothing else in the library needs this package.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sequential_adaptor.testing.laws import NewStore as NewStore
    from sequential_adaptor.testing.laws import StorageLaws as StorageLaws
    from sequential_adaptor.testing.model import Model as Model
    from sequential_adaptor.testing.storage import Storage as Storage
    from sequential_adaptor.testing.template import new_backend as new_backend

_HOMES = {
    "Model": "model",
    "NewStore": "laws",
    "Storage": "storage",
    "StorageLaws": "laws",
    "new_backend": "template",
}

__all__ = sorted(_HOMES)  # pyright: ignore[reportUnsupportedDunderAll]  # names come lazily


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
