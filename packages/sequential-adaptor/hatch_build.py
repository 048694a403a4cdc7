"""Puts the template for backend authors into the distributions: ``sequential new-backend`` copies it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

_LEFT_OUT = {"__pycache__", ".hypothesis", ".pytest_cache", ".mypy_cache", ".ruff_cache", "dist"}


class TemplateHook(BuildHookInterface[Any]):
    """In a clone the template is the package beside this one; a source distribution brings its own copy."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        if version == "editable":
            return  # the clone is at hand
        root = Path(self.root)
        beside = root.parent / "sequential-adaptor-template"
        template = beside if beside.is_dir() else root / "backend_template"
        target, suffix = "sequential_adaptor/testing/backend_template", ".in"  # no module of the library
        if self.target_name == "sdist":
            target, suffix = "backend_template", ""
        for path in sorted(template.rglob("*")):
            inside = path.relative_to(template)
            if path.is_file() and not _LEFT_OUT & set(inside.parts):
                build_data["force_include"][str(path)] = f"{target}/{inside.as_posix()}{suffix}"
