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
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ConfigurationError(f"there is no file {str(path)!r} to publish") from None
    except UnicodeDecodeError as error:
        raise ConfigurationError(f"{str(path)!r} is not UTF-8 text: {error}") from error


def _of_file(path: Path) -> Source:
    code = _text_of(path)
    modules: dict[str, str] = {}
    _collect(code, path, modules)
    return Source(code, modules)


def _collect(code: str, path: Path, modules: dict[str, str]) -> None:
    """The modules in the same folder that the code imports, and those that they import in turn."""
    for name in _imported(code, path):
        beside = path.with_name(f"{name}.py")
        if name not in modules and name != path.stem and beside.is_file():
            modules[name] = beside.read_text(encoding="utf-8")
            _collect(modules[name], beside, modules)


def parsed(code: str, name: str) -> ast.AST:
    """The tree of Python code; what is no Python is refused before it is stored, and cannot fail a run later."""
    try:
        tree: ast.AST = compile(code, name, "exec", ast.PyCF_ONLY_AST | ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
        return tree
    except (SyntaxError, ValueError) as error:
        where = f", line {error.lineno}" if isinstance(error, SyntaxError) else ""
        reason = error.msg if isinstance(error, SyntaxError) else error
        raise ConfigurationError(f"{name}{where}: {reason}; mend it before it is published") from error


def _imported(code: str, path: Path) -> list[str]:
    names = []
    for node in ast.walk(parsed(code, str(path))):
        if isinstance(node, ast.Import):
            names += [alias.name.partition(".")[0] for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            names.append(node.module.partition(".")[0])
    return names
