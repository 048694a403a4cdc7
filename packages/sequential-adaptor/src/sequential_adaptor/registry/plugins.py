"""Loading plugins by file or module name: all of a plugin, or nothing of it."""

from __future__ import annotations

import hashlib
import importlib
import inspect
import os
import sys
from collections.abc import Iterable
from contextvars import ContextVar
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

from sequential_adaptor.errors import ConfigurationError, PluginError
from sequential_adaptor.registry.registrations import Draft, Registry

Plugin = str | os.PathLike[str]


async def load_plugins(active: ContextVar[Registry], plugins: Iterable[Plugin]) -> None:
    """Load each plugin in turn, with a draft over the active registry in its place until the plugin has loaded."""
    if isinstance(plugins, (str, os.PathLike)):
        raise ConfigurationError(f"load_plugins takes a list of files and module names: load_plugins([{plugins!r}])")
    for plugin in plugins:
        draft = Draft(active.get())
        token = active.set(draft)
        try:
            await _load(plugin, draft)
        finally:
            active.reset(token)


async def _load(plugin: Plugin, draft: Draft) -> None:
    name = _module_name(plugin)
    if name in draft.plugins:
        return
    before = set(sys.modules)
    try:
        await _register(_import(plugin, name), draft)
        draft.plugins.add(name)
        draft.keep()
    except BaseException as error:
        _forget(name, before)
        if not isinstance(error, Exception):
            raise
        reason = f"{error.__class__.__name__}: {error}"
        raise PluginError(f"plugin {os.fspath(plugin)!r} did not load, and nothing of it is kept: {reason}") from error


async def _register(module: ModuleType, draft: Draft) -> None:
    register = getattr(module, "register", None)
    if not callable(register):
        raise PluginError("it has no function register(registry)")
    result = register(draft)
    if inspect.isawaitable(result):
        await result


def _module_name(plugin: Plugin) -> str:
    """A module's own name, or one that a file has to itself however it is spelled."""
    if not _is_file(plugin):
        return os.fspath(plugin)
    path = Path(plugin).expanduser().resolve()
    digest = hashlib.sha256(os.fsencode(path)).hexdigest()[:12]
    return f"sequential_plugin_{path.stem}_{digest}"


def _is_file(plugin: Plugin) -> bool:
    return isinstance(plugin, os.PathLike) or plugin.endswith(".py") or os.sep in plugin or "/" in plugin


def _import(plugin: Plugin, name: str) -> ModuleType:
    if name in sys.modules:
        return sys.modules[name]
    if not _is_file(plugin):
        return importlib.import_module(name)
    path = Path(plugin).expanduser().resolve()
    path = path / "__init__.py" if path.is_dir() else path
    spec = spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise PluginError("it is no Python file")
    module = sys.modules[name] = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _forget(name: str, before: set[str]) -> None:
    """Take out of ``sys.modules`` what loading a plugin put there of its own package; libraries it imported stay."""
    package = name.partition(".")[0]
    for new in sorted(sys.modules.keys() - before, reverse=True):
        if new == package or new.startswith(f"{package}."):
            module = sys.modules.pop(new)
            parent, _, leaf = new.rpartition(".")
            if parent in sys.modules and getattr(sys.modules[parent], leaf, None) is module:
                delattr(sys.modules[parent], leaf)
