"""Doing something to a module as soon as it has been imported, or at once where it has been already."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Sequence
from importlib.machinery import ModuleSpec
from types import ModuleType

Change = Callable[[ModuleType], None]

_lock = threading.Lock()
_changes: dict[str, Change] = {}


def when_imported(name: str, change: Change) -> None:
    """Call ``change`` with the module, once in this process."""
    with _lock:
        if name in _changes:
            return
        _changes[name] = change
        if not any(isinstance(finder, _Finder) for finder in sys.meta_path):
            sys.meta_path.insert(0, _Finder())
        loaded = sys.modules.get(name)
    if loaded is not None:
        change(loaded)


class _Finder:
    # Not derived from importlib.abc.MetaPathFinder, which takes longer to import than all of this.
    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname not in _changes:
            return None
        for finder in sys.meta_path:
            find = getattr(finder, "find_spec", None)
            if finder is self or find is None or (spec := find(fullname, path, target)) is None:
                continue
            return _changing(spec, _changes[fullname])
        return None


def _changing(spec: ModuleSpec, change: Change) -> ModuleSpec:
    loader = spec.loader
    if loader is None:
        return spec
    execute = loader.exec_module

    def exec_module(module: ModuleType) -> None:
        execute(module)
        change(module)

    # On the instance: the loader stays what it is for everybody who asks the module about it.
    loader.exec_module = exec_module  # type: ignore[method-assign]  # meant
    return spec
