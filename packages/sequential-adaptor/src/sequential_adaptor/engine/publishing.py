"""From what people hand to ``publish`` to source that can be stored."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sequential_adaptor.errors import ConfigurationError


@dataclass(frozen=True, slots=True)
class Source:
    """Code, the modules beside it that it imports, and the name of its entry where that was said."""

    code: str
    modules: dict[str, str]
    entry: str | None = None


def source_of(given: str | Path | Callable[..., Any], *, is_python: bool = True) -> Source:
    """The source of a function (its whole module), a file (a ``Path``, or text that ends in ``.py``), or text."""
    if callable(given):
        return _of_function(given)
    if isinstance(given, Path) or (given.endswith(".py") and "\n" not in given):
        path = Path(given)
        return _of_file(path) if is_python or path.suffix == ".py" else Source(_text_of(path), {})
    return Source(given, {})


def _of_function(function: Callable[..., Any]) -> Source:
    name = getattr(function, "__qualname__", "")
    if not inspect.iscoroutinefunction(function) or "." in name or name == "<lambda>":
        raise ConfigurationError(
            f"{name or function!r} cannot be published: a task is an async function at the top of its module; publish"
            " such a function, a path, or source text"
        )
    path = inspect.getsourcefile(function)
    if path is None or not Path(path).is_file():
        raise ConfigurationError(f"the module of {name} has no source file; publish its source as text")
    found = _of_file(Path(path))
    return Source(found.code, found.modules, name)


def _text_of(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")  # some editors begin a file with a mark, as Python lets them
    except FileNotFoundError:
        raise ConfigurationError(f"there is no file {str(path)!r} to publish") from None
    except UnicodeDecodeError as error:
        raise ConfigurationError(f"{str(path)!r} is not UTF-8 text: {error}") from error


def _of_file(path: Path) -> Source:
    code = _text_of(path)
    modules: dict[str, str] = {}
    _collect(code, path, "", path.parent, modules)
    return Source(code, modules)


def _collect(code: str, path: Path, package: str, root: Path, modules: dict[str, str]) -> None:
    """What code in a package imports of the modules and packages in the folder ``root``, and they in turn."""
    for name in _imported(code, path, package):
        if name.partition(".")[0] not in modules and _is_installed(root, name.partition(".")[0]):
            continue
        for known in _with_packages_above(name):
            found = _file_of(root, known)
            if found is not None and known not in modules and found != path:
                modules[known] = _text_of(found)
                own = known if found.name == "__init__.py" else known.rpartition(".")[0]
                _collect(modules[known], found, own, root, modules)


def _is_installed(root: Path, top: str) -> bool:
    """Whether a package beside a task (`pip install --target`) is no source of its own: a copy of this library would
    not know the task that it runs in, and compiled modules cannot be stored.
    """
    if top == __name__.partition(".")[0]:
        return True
    files = (file for suffix in (".so", ".pyd") for file in (root / top).rglob(f"*{suffix}"))
    return next(files, None) is not None


def _with_packages_above(name: str) -> list[str]:
    """``a.b.c``: ``a``, ``a.b``, ``a.b.c``."""
    parts = name.split(".")
    return [".".join(parts[: count + 1]) for count in range(len(parts))]


def _file_of(root: Path, name: str) -> Path | None:
    beside = root.joinpath(*name.split("."))
    files = beside / "__init__.py", beside.with_name(f"{beside.name}.py")
    return next((file for file in files if file.is_file()), None)


def parsed(code: str, name: str) -> ast.AST:
    """The tree of Python code; what is no Python is refused before it is stored, and cannot fail a run later."""
    try:
        tree: ast.AST = compile(code, name, "exec", ast.PyCF_ONLY_AST | ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
        return tree
    except (SyntaxError, ValueError) as error:
        where = f", line {error.lineno}" if isinstance(error, SyntaxError) else ""
        reason = error.msg if isinstance(error, SyntaxError) else error
        raise ConfigurationError(f"{name}{where}: {reason}; mend it before it is published") from error


def _imported(code: str, path: Path, package: str) -> list[str]:
    """The full names of what may be modules."""
    names = []
    for node in ast.walk(parsed(code, str(path))):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and (base := _base(node, package)):
            names += [base, *(f"{base}.{alias.name}" for alias in node.names if alias.name != "*")]
    return names


def _base(node: ast.ImportFrom, package: str) -> str:
    """What is imported from; empty where that is above the folder of the task."""
    if not node.level:
        return node.module or ""
    parts = package.split(".") if package else []
    kept = parts[: len(parts) - node.level + 1] if len(parts) >= node.level else []
    return ".".join([*kept, node.module] if node.module else kept) if kept else ""
