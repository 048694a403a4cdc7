"""How a task's own modules see the world: their builtins, what they print, and what ``import`` gives them."""

from __future__ import annotations

import builtins
import sys
from collections.abc import Callable, Mapping, Sequence
from types import ModuleType
from typing import Any

import sequential_adaptor.task as host_names
from sequential_adaptor.runners.fetch import virtual
from sequential_adaptor.runners.fetch.program import Program, Source

_HOST_NAMES = {name: getattr(host_names, name) for name in host_names.__all__}


class OwnModules:
    """The modules of one session: ``loaded`` has them by name; ``imported`` holds what they import from elsewhere.

    They share ``builtins``.
    """

    def __init__(self, program: Program, write: Callable[[str], None]) -> None:
        self.loaded: dict[str, ModuleType] = {}
        self.imported: set[str] = set()
        self._program = program
        self.builtins = {**vars(builtins), "__import__": self._import, "print": _printer(write)}

    def new(self, source: Source) -> ModuleType:
        """An empty module for a source, with the host names in it."""
        module = ModuleType(source.module_name)
        name = source.name or ""
        module.__dict__.update(
            _HOST_NAMES,
            __builtins__=self.builtins,
            __file__=source.filename,
            __package__=name if source.is_package else name.rpartition(".")[0],
        )
        if source.is_package:
            module.__path__ = []
        self.loaded[source.module_name] = module
        self._program.shared[source.module_name].instances.add(module)
        return module

    def _import(
        self,
        name: str,
        globals: Mapping[str, Any] | None = None,
        locals: Mapping[str, Any] | None = None,
        fromlist: Sequence[str] | None = (),
        level: int = 0,
    ) -> ModuleType:
        if level:
            name = _absolute(name, str((globals or {}).get("__package__") or ""), level)
        if self._is_own(name.partition(".")[0]):
            leaf = self._own(name)
            for item in fromlist or ():
                if f"{name}.{item}" in self._program.modules:
                    self._own(f"{name}.{item}")
            return leaf if fromlist or level else self._own(name.partition(".")[0])
        if level:
            raise ImportError(f"no module {name!r} is stored with the task")
        self.imported.add(name)
        module = builtins.__import__(name, globals, locals, fromlist or (), 0)
        return virtual.module(module)

    def _is_own(self, top: str) -> bool:
        return any(name == top or name.startswith(f"{top}.") for name in self._program.modules)

    def _own(self, name: str) -> ModuleType:
        """The module of that name, run at its first import; the packages above it first."""
        module_name = f"{self._program.module_name}.{name}"
        if (found := self.loaded.get(module_name)) is not None:
            return found
        parent, _, child = name.rpartition(".")
        above = self._own(parent) if parent else None
        if (found := self.loaded.get(module_name)) is not None:  # the package has imported it
            return found
        source = self._program.modules.get(name)
        module = self._run(source) if source is not None else self._empty_package(name, module_name)
        if above is not None:
            setattr(above, child, module)
        return module

    def _run(self, source: Source) -> ModuleType:
        module = self.new(source)
        try:
            exec(source.code, module.__dict__)
        except BaseException:
            del self.loaded[source.module_name]
            raise
        return module

    def _empty_package(self, name: str, module_name: str) -> ModuleType:
        if not any(other.startswith(f"{name}.") for other in self._program.modules):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        module = ModuleType(module_name)
        module.__path__ = []
        self.loaded[module_name] = module
        return module


def _absolute(name: str, package: str, level: int) -> str:
    parts = package.split(".") if package else []
    if len(parts) < level:
        raise ImportError("attempted relative import beyond the top of what is stored with the task")
    kept = parts[: len(parts) - level + 1]
    return ".".join([*kept, name] if name else kept)


def _printer(write: Callable[[str], None]) -> Callable[..., None]:
    def print(
        *values: object, sep: str | None = " ", end: str | None = "\n", file: Any = None, flush: bool = False
    ) -> None:
        if file is None or file is sys.stdout or file is sys.stderr:
            write((" " if sep is None else sep).join(map(str, values)) + ("\n" if end is None else end))
        else:
            builtins.print(*values, sep=sep, end=end, file=file, flush=flush)

    return print
