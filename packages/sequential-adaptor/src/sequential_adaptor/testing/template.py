"""A new backend: a copy of the template package with its names filled in."""

from __future__ import annotations

import keyword
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from sequential_adaptor.errors import ConfigurationError

_NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
_TAKEN: Final = frozenset({"folder", "sqlite", "supabase", "template"})
_LEFT_OUT: Final = frozenset({"__pycache__", ".hypothesis", ".pytest_cache", ".mypy_cache", ".ruff_cache", "dist"})


def new_backend(name: str, target: str | os.PathLike[str] | None = None) -> Path:
    """Make a package for a backend of that name, as in ``my-store``, which works and passes its tests.

    ``target`` is a folder that is new or empty, by default ``./sequential-adaptor-<name>``; returns it. Raises
    :class:`ConfigurationError` for a name that cannot be a module's, or is taken, and for a folder that is not empty.
    """
    _check_name(name)
    folder = Path(target or f"sequential-adaptor-{name}")
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ConfigurationError(f"{folder} is there already and is not an empty folder; name another")
    template = _template()
    for path in _files(template):
        copy = folder / _renamed(path.relative_to(template).as_posix().removesuffix(".in"), name)
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_text(_renamed(path.read_text(encoding="utf-8"), name), encoding="utf-8")
    return folder


def _check_name(name: str) -> None:
    if _NAME.fullmatch(name) is None or keyword.iskeyword(name):
        raise ConfigurationError(f"{name!r} cannot name a backend: use a-z, 0-9 and single dashes, as in 'my-store'")
    if name in _TAKEN:
        raise ConfigurationError(f"{name!r} is the name of a backend that exists; choose another")


def _template() -> Path:
    """The template as it was built into the library; in a clone, the package beside this one."""
    built_in = Path(__file__).with_name("backend_template")
    return built_in if built_in.is_dir() else Path(__file__).parents[4] / "sequential-adaptor-template"


def _files(template: Path) -> Iterator[Path]:
    for path in sorted(template.rglob("*")):
        if path.is_file() and not _LEFT_OUT & set(path.relative_to(template).parts):
            yield path


def _renamed(text: str, name: str) -> str:
    """The text with the template's names replaced: of the class, of the module, and of the backend everywhere else."""
    text = text.replace("TemplateAdapter", "".join(part.capitalize() for part in name.split("-")) + "Adapter")
    text = re.sub(r"\bbackends([./])template\b", rf"backends\g<1>{name.replace('-', '_')}", text)
    return re.sub(r"\btemplate\b", name, text)
