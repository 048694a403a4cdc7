"""``new_backend`` makes a package that builds, installs, is found by its name, and passes its own tests."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path
from typing import Any

import pytest

from sequential_adaptor.errors import ConfigurationError
from sequential_adaptor.testing import new_backend

pytestmark = pytest.mark.slow


def run(*command: Any, cwd: Path) -> str:
    """What a command prints; its output is in the error when it fails."""
    done = subprocess.run([str(one) for one in command], cwd=cwd, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def fresh_venv(folder: Path) -> Path:
    """The Python of a new virtual environment, which has what this one has; what is installed there is its own."""
    venv.create(folder, with_pip=True)
    python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    site = Path(run(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))", cwd=folder).strip())
    (site / "parent.pth").write_text(f"import site; site.addsitedir({sysconfig.get_path('purelib')!r})\n")
    return python


@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    ("name", "module", "adapter", "tests"),
    [
        ("mongodb", "mongodb", "MongodbAdapter", ["tests"]),
        ("my-store2", "my_store2", "MyStore2Adapter", ["tests/test_installed.py"]),
    ],
)
def test_a_new_backend_works_at_once(name: str, module: str, adapter: str, tests: list[str], tmp_path: Path) -> None:
    """Made, built, installed in an environment of its own, created by name, and green."""
    pytest.importorskip("hatchling", reason="builds a wheel")
    folder = new_backend(name, tmp_path / "package")
    run(sys.executable, "-m", "hatchling", "build", "-t", "wheel", cwd=folder)
    (wheel,) = (folder / "dist").glob("*.whl")
    assert wheel.name == f"sequential_adaptor_{module}-0.1.0-py3-none-any.whl"
    shipped = [path for path in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in path]
    assert shipped
    assert all(path.startswith(f"sequential_adaptor/backends/{module}/") for path in shipped)
    python = fresh_venv(tmp_path / "venv")
    run(python, "-m", "pip", "install", "--quiet", "--no-index", "--no-deps", wheel, cwd=tmp_path)
    found = f"from sequential_adaptor.backends.{module} import {adapter} as one; print(one.__module__, one.atomic)"
    assert run(python, "-c", found, cwd=tmp_path).split() == [f"sequential_adaptor.backends.{module}.adapter", "True"]
    (folder / "src").rename(tmp_path / "hidden")  # what is tested is what was installed
    report = run(python, "-m", "pytest", "-q", "-p", "no:cacheprovider", *tests, cwd=folder)
    assert tests != ["tests"] or ("0 broken, 8 not offered" in report and f"Test{adapter}" in report)


def test_nothing_of_the_template_is_left(tmp_path: Path) -> None:
    """No file of the copy speaks of the template, or is empty where the template's is not."""
    folder = new_backend("mongodb", tmp_path / "new")
    paths = [path for path in folder.rglob("*") if path.is_file()]
    assert {path.name for path in paths} >= {
        "pyproject.toml",
        "README.md",
        "ci.yml",
        "LICENSE",
        "test_laws.py",
        "py.typed",
    }
    for path in paths:
        assert "template" not in (path.read_text(encoding="utf-8") + path.as_posix()).lower().replace(str(tmp_path), "")


@pytest.mark.parametrize(
    "name", ["", "Mongo", "my_store", "-x", "x-", "a--b", "1db", "class", "../x", "folder", "x\n", "é"]
)
def test_a_bad_name_is_refused(name: str, tmp_path: Path) -> None:
    """A name that cannot be a module's, or is taken, is refused before anything is written."""
    with pytest.raises(ConfigurationError, match="backend"):
        new_backend(name, tmp_path / "new")
    assert list(tmp_path.iterdir()) == []


def test_what_is_there_is_not_overwritten(tmp_path: Path) -> None:
    """A target with something in it, or that is a file, is refused; an empty folder is fine."""
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").write_text("mine")
    for target in ("full", "full/mine.txt"):
        with pytest.raises(ConfigurationError, match="there already"):
            new_backend("mongodb", tmp_path / target)
    assert [path.name for path in (tmp_path / "full").iterdir()] == ["mine.txt"]
    (tmp_path / "empty").mkdir()
    assert (new_backend("mongodb", tmp_path / "empty") / "pyproject.toml").is_file()


def test_the_command_makes_one_too(tmp_path: Path) -> None:
    """``sequential new-backend NAME TARGET`` does the same, and says what to do next."""
    command = [sys.executable, "-m", "sequential_adaptor.cli", "new-backend", "mongodb", str(tmp_path / "new")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0
    assert "pytest" in done.stderr
    assert (tmp_path / "new" / "pyproject.toml").is_file()
    again = subprocess.run(command, capture_output=True, text=True, check=False)
    assert again.returncode != 0
    assert "there already" in again.stderr
    assert "Traceback" not in again.stderr


def test_the_folder_is_named_after_the_backend(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a target the package is made beside where one is."""
    monkeypatch.chdir(tmp_path)
    assert new_backend("mongodb") == Path("sequential-adaptor-mongodb")
    assert (tmp_path / "sequential-adaptor-mongodb" / "pyproject.toml").is_file()
