"""A store as a reference: what another adapter, or another process, opens it by."""

from __future__ import annotations

import inspect
import json
import os
import sys
from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

from sequential_adaptor.errors import ConfigurationError
from sequential_adaptor.storage import StorageAdapter


class Storage:
    """One store: the factory of its adapters, and their configuration.

    The factory is an adapter class, or a function that returns an adapter (awaited where it is async). So that a child
    process can open the same store, it is importable by its module and name, and the configuration is JSON; paths
    become text.
    """

    def __init__(self, factory: Callable[..., Any], /, **config: Any) -> None:
        self.factory = factory
        self.config = {name: os.fspath(value) if isinstance(value, Path) else value for name, value in config.items()}

    def __repr__(self) -> str:
        return f"Storage({self.factory.__qualname__}, {self.config})"

    async def make(self) -> StorageAdapter:
        """An adapter for the store, not yet opened by ``init``."""
        made = self.factory(**self.config)
        adapter = await made if inspect.isawaitable(made) else made
        if not isinstance(adapter, StorageAdapter):
            raise ConfigurationError(f"{self} made {adapter!r}, which is no StorageAdapter")
        return adapter

    async def open(self) -> StorageAdapter:
        """One more adapter for the store, ready for use; the caller closes it."""
        adapter = await self.make()
        await adapter.init()
        return adapter

    def to_text(self) -> str:
        """The reference as text, for a child process."""
        module, name = self.factory.__module__, self.factory.__qualname__
        return json.dumps({"module": module, "name": name, "config": self.config, "path": sys.path})

    @classmethod
    def from_text(cls, text: str) -> Storage:
        """The reference that :meth:`to_text` wrote."""
        found: Mapping[str, Any] = json.loads(text)
        sys.path.extend(folder for folder in found["path"] if folder not in sys.path)
        factory: Any = import_module(found["module"])
        for part in found["name"].split("."):
            factory = getattr(factory, part)
        return cls(factory, **found["config"])
