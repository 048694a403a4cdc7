"""Registries of their own, and distributions that exist only on a test's ``sys.path``."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol

import pytest

import sequential_adaptor.registry as registry_package
from sequential_adaptor.registry import Registry
from sequential_adaptor.registry.entry_points import EntryPoints


class Install(Protocol):
    def __call__(
        self, name: str, entry_points: str, modules: Mapping[str, str] | None = None, *, folder: str = "site"
    ) -> Path: ...


@pytest.fixture
def registry() -> Registry:
    """A registry that nobody else uses, over what is installed."""
    return Registry(EntryPoints())


@pytest.fixture
def public(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The public functions, with nothing registered, and whatever a test registers forgotten again."""
    installed = registry_package._installed
    monkeypatch.setattr(installed, "_factories", {})
    monkeypatch.setattr(installed, "plugins", set())
    return registry_package


@pytest.fixture
def modules() -> Iterator[set[str]]:
    """The modules there were before the test; those it adds are taken out again."""
    before = set(sys.modules)
    yield before
    for name in sys.modules.keys() - before:
        del sys.modules[name]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, modules: set[str]) -> Install:
    """Install a distribution: its metadata and its modules, as an installer leaves them."""

    def install(
        name: str, entry_points: str, modules: Mapping[str, str] | None = None, *, folder: str = "site"
    ) -> Path:
        site = tmp_path / folder
        if str(site) not in sys.path:
            site.mkdir()
            monkeypatch.syspath_prepend(site)
        metadata = site / f"{name.replace('-', '_')}-1.0.dist-info"
        metadata.mkdir()
        (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        (metadata / "entry_points.txt").write_text(entry_points)
        for module, source in (modules or {}).items():
            (site / f"{module}.py").write_text(source)
        return site

    return install
