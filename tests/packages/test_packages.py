"""What every package of this repository has, and says alike."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
CORE = ROOT / "packages" / "sequential-adaptor"
PACKAGES = sorted(path.parent for path in ROOT.glob("packages/*/pyproject.toml"))
PYTHONS = ["3.11", "3.12", "3.13", "3.14"]

each_package = pytest.mark.parametrize("package", PACKAGES, ids=lambda package: package.name)


def project(package: Path) -> dict[str, Any]:
    table: dict[str, Any] = tomllib.loads((package / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return table


@each_package
def test_the_distribution_is_named_like_its_folder(package: Path) -> None:
    assert project(package)["name"] == package.name


@each_package
def test_the_licence_is_the_same(package: Path) -> None:
    assert project(package)["license"] == "MIT"
    assert (package / "LICENSE").read_text(encoding="utf-8") == (CORE / "LICENSE").read_text(encoding="utf-8")


@each_package
def test_the_readme_begins_with_its_name(package: Path) -> None:
    assert (package / "README.md").read_text(encoding="utf-8").startswith(f"# {package.name}\n")


@each_package
def test_the_changelog_has_the_version(package: Path) -> None:
    version = project(package)["version"]
    assert f"\n## {version}\n" in (package / "CHANGELOG.md").read_text(encoding="utf-8")


@each_package
def test_the_pythons_are_those_that_are_tested(package: Path) -> None:
    table = project(package)
    assert table["requires-python"] == f">={PYTHONS[0]}"
    named = re.findall(r"Programming Language :: Python :: (3\.\d+)", "\n".join(table["classifiers"]))
    assert named in (PYTHONS, [])
    workflow = (ROOT / ".github" / "workflows" / "ci.yml").read_text(encoding="utf-8")
    assert f"python: {PYTHONS}".replace("'", '"') in workflow
    assert f"PYTHONS = {PYTHONS}".replace("'", '"') in (ROOT / "noxfile.py").read_text(encoding="utf-8")


@each_package
def test_an_extra_of_the_core_names_each_backend(package: Path) -> None:
    extras = project(CORE)["optional-dependencies"]
    backend = package.name.removeprefix(f"{CORE.name}-")
    if package not in (CORE, CORE.with_name(f"{CORE.name}-template")):
        version = ".".join(project(package)["version"].split(".")[:2])
        assert any(each.startswith(f"{package.name}>={version}") for each in extras[backend])
