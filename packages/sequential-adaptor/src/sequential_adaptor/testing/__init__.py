"""What tests need: time that is skipped, histories replayed on today's code, and the laws of storage.

- :class:`SkippingEngine` carries a workflow of 30 days through in milliseconds.
- :func:`replay` says where runs that were recorded would part from what today's code does.
- A backend author subclasses :class:`StorageLaws` and gives one fixture, ``new_store``; this needs the extra
  ``[testing]``.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sequential_adaptor.testing.laws import NewStore as NewStore
    from sequential_adaptor.testing.laws import StorageLaws as StorageLaws
    from sequential_adaptor.testing.memory import MemoryAdapter as MemoryAdapter
    from sequential_adaptor.testing.model import Model as Model
    from sequential_adaptor.testing.replaying import ReplayDiverged as ReplayDiverged
    from sequential_adaptor.testing.replaying import read_histories as read_histories
    from sequential_adaptor.testing.replaying import record_histories as record_histories
    from sequential_adaptor.testing.replaying import replay as replay
    from sequential_adaptor.testing.replaying import write_histories as write_histories
    from sequential_adaptor.testing.skipping import SkippingEngine as SkippingEngine
    from sequential_adaptor.testing.skipping import Stalled as Stalled
    from sequential_adaptor.testing.skipping import skipped_time as skipped_time
    from sequential_adaptor.testing.storage import Storage as Storage
    from sequential_adaptor.testing.template import new_backend as new_backend

_HOMES = {
    "MemoryAdapter": "memory",
    "Model": "model",
    "NewStore": "laws",
    "ReplayDiverged": "replaying",
    "SkippingEngine": "skipping",
    "Stalled": "skipping",
    "Storage": "storage",
    "StorageLaws": "laws",
    "new_backend": "template",
    "read_histories": "replaying",
    "record_histories": "replaying",
    "replay": "replaying",
    "skipped_time": "skipping",
    "write_histories": "replaying",
}

__all__ = sorted(_HOMES)  # pyright: ignore[reportUnsupportedDunderAll]  # names come lazily


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
