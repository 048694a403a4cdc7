"""Backends of several distributions share one namespace, however each of them is installed.

Two toy backends are made by the recipe of a real one, and installed with the core into environments of
their own: as wheels, as editable installs, mixed, and in two folders of ``sys.path``. Each must be found by its entry
point and by an import.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CORE = ROOT / "packages" / "sequential-adaptor"
RECIPE = ROOT / "packages" / "sequential-adaptor-sqlite" / "pyproject.toml"

ADAPTER = """
class Adapter:
    name = {name!r}
"""

FIND = """
import asyncio, importlib, sequential_adaptor as s
from sequential_adaptor.backends import folder
for name in ("toy_one", "toy_two"):
    assert name in s.list("adapter"), s.list("adapter")
    by_entry_point = s.get("adapter", name)
    by_import = importlib.import_module(f"sequential_adaptor.backends.{name}").Adapter
    assert by_entry_point is by_import and by_import.name == name
    assert type(asyncio.run(s.create("adapter", name))) is by_import
assert folder.FolderAdapter is s.get("adapter", "folder")
"""

LAYOUTS = {
    "all wheels": {"core": "wheel", "toy_one": "wheel", "toy_two": "wheel"},
    "all editable": {"core": "editable", "toy_one": "editable", "toy_two": "editable"},
    "core editable, backends wheels": {"core": "editable", "toy_one": "wheel", "toy_two": "wheel"},
    "core a wheel, backends editable": {"core": "wheel", "toy_one": "editable", "toy_two": "editable"},
    "one backend editable": {"core": "wheel", "toy_one": "editable", "toy_two": "wheel"},
    "core and one backend editable": {"core": "editable", "toy_one": "wheel", "toy_two": "editable"},
    "a backend in another folder of sys.path": {"core": "wheel", "toy_one": "folder", "toy_two": "wheel"},
    "the core editable, a backend in another folder": {"core": "editable", "toy_one": "folder", "toy_two": "wheel"},
}


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The folders of the core and of two toy backends, built by the recipe of a real one."""
    folder = tmp_path_factory.mktemp("toys")
    return {"core": CORE, **{name: toy(folder, name) for name in ("toy_one", "toy_two")}}


def toy(folder: Path, name: str) -> Path:
    """A backend with the pyproject.toml of the SQLite one, but for its names and its driver."""
    distribution = f"sequential-adaptor-{name.replace('_', '-')}"
    recipe = RECIPE.read_text(encoding="utf-8")
    recipe = re.sub(r"^dependencies = .*$", 'dependencies = ["sequential-adaptor>=0.1"]', recipe, flags=re.MULTILINE)
    recipe = recipe.replace("SQLiteAdapter", "Adapter").replace("adaptor-sqlite", f"adaptor-{name.replace('_', '-')}")
    recipe = re.sub(r"\bsqlite\b(?=[\s:\"])", name, recipe)
    package = folder / distribution / "src" / "sequential_adaptor" / "backends" / name
    package.mkdir(parents=True)
    (package / "__init__.py").write_text(ADAPTER.format(name=name))
    (package / "py.typed").touch()
    for file in ("README.md", "LICENSE"):
        (folder / distribution / file).write_text("toy\n")
    (folder / distribution / "pyproject.toml").write_text(recipe, encoding="utf-8")
    return folder / distribution


@pytest.fixture(scope="module")
def wheels(sources: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The wheel of each."""
    folder = tmp_path_factory.mktemp("wheels")
    for name, source in sources.items():
        uv("build", "--wheel", "--out-dir", str(folder / name), str(source))
    return {name: next((folder / name).glob("*.whl")) for name in sources}


@pytest.fixture
def environment(tmp_path: Path) -> Iterator[Path]:
    """An empty virtual environment."""
    uv("venv", "--python", sys.executable, str(tmp_path / "environment"))
    return tmp_path / "environment"


@pytest.mark.timeout(300)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_both_backends_are_found_both_ways(
    sources: dict[str, Path], wheels: dict[str, Path], environment: Path, tmp_path: Path, layout: str
) -> None:
    ways = LAYOUTS[layout]
    # one command for all that goes to one place, as one says it from a clone
    targets = [
        part for name in ways if ways[name] != "folder" for part in requirement(ways[name], sources[name], wheels[name])
    ]
    uv("pip", "install", "--python", str(environment), *targets)
    beside = [str(wheels[name]) for name in ways if ways[name] == "folder"]
    if beside:
        uv("pip", "install", "--python", str(environment), "--no-deps", "--target", str(tmp_path / "beside"), *beside)
    variables = {**os.environ, "PYTHONPATH": str(tmp_path / "beside") if beside else ""}
    python = next(environment.glob("bin/python"), environment / "Scripts" / "python.exe")
    subprocess.run([python, "-W", "error", "-c", FIND], check=True, cwd=tmp_path, env=variables, timeout=60)


def requirement(way: str, source: Path, wheel: Path) -> list[str]:
    return ["--editable", str(source)] if way == "editable" else [str(wheel)]


@pytest.mark.parametrize("name", ["toy_one", "toy_two"])
def test_the_wheel_of_a_backend_holds_only_its_own_folder(wheels: dict[str, Path], name: str) -> None:
    import zipfile

    files = zipfile.ZipFile(wheels[name]).namelist()
    own = [file for file in files if ".dist-info/" not in file]
    assert sorted(own) == [f"sequential_adaptor/backends/{name}/{file}" for file in ("__init__.py", "py.typed")]


@pytest.mark.parametrize(
    "package", sorted(path.parent for path in ROOT.glob("packages/*/pyproject.toml")), ids=lambda p: p.name
)
def test_no_package_makes_the_shared_folder_its_own(package: Path) -> None:
    assert not (package / "src" / "sequential_adaptor" / "backends" / "__init__.py").exists()
    assert package == CORE or not (package / "src" / "sequential_adaptor" / "__init__.py").exists()
    leaf = (
        CORE.name.replace("-", "_") if package == CORE else f"sequential_adaptor/backends/{package.name.split('-')[-1]}"
    )
    assert (package / "src" / leaf / "py.typed").exists()


def uv(*arguments: str) -> None:
    subprocess.run([sys.executable, "-m", "uv", "--quiet", *arguments], check=True, timeout=240)
