# /// script
# dependencies = ["nox[uv]>=2025.2.9"]
# ///
"""Everything that has to pass, on every Python that is installed: ``pip install nox && nox``.

Sessions test what is built and installed, never the source tree: the wheel of the core, the wheel of the one package
under test, and no other backend. Those whose Python is not installed are skipped, and named. ``nox --list`` lists them;
``nox -s "tests-3.12(sequential-adaptor)" -- -k journal`` runs some tests of one package on one Python.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path

import nox

ROOT = Path(__file__).parent
PYTHONS = ["3.11", "3.12", "3.13", "3.14"]
CORE = "sequential-adaptor"
PACKAGES = sorted(path.parent.name for path in ROOT.glob("packages/*/pyproject.toml"))
SHARED = nox.project.load_toml(ROOT / "pyproject.toml")
# Every run tries the same examples in the same order, so that what turns red is what changed. Others are tried each
# night, and by ``nox -- --randomly-seed=default --hypothesis-seed=random``.
SEEDS = ["--randomly-seed=1", "--hypothesis-seed=1"]

nox.options.default_venv_backend = "uv|virtualenv"
nox.options.download_python = "never"
nox.options.error_on_missing_interpreters = False


def find_pyenv() -> None:
    """Let the interpreters of pyenv be found: its shims answer for versions that are not selected, and fail."""
    root = Path(os.environ.get("PYENV_ROOT", "~/.pyenv")).expanduser()
    found = [str(path) for path in sorted(root.glob("versions/*/bin"))]
    kept = [folder for folder in os.environ.get("PATH", "").split(os.pathsep) if Path(folder) != root / "shims"]
    os.environ["PATH"] = os.pathsep.join([*kept, *found])


find_pyenv()


# ---- what must pass


@nox.session
def lint(session: nox.Session) -> None:
    """Format, lint, and the schema of the workflow files."""
    session.install(*group("lint"))
    session.run("ruff", "format", "--check", ".")
    session.run("ruff", "check", ".")
    workflows = sorted(str(path) for path in ROOT.glob(".github/workflows/*.yml"))
    session.run("check-jsonschema", "--builtin-schema", "vendor.github-workflows", *workflows)
    session.run("pre-commit", "validate-config", ".pre-commit-config.yaml")


@nox.session
@nox.parametrize("package", PACKAGES, ids=PACKAGES)
def types(session: nox.Session, package: str) -> None:
    """mypy --strict and pyright on the installed wheels."""
    session.install(*wheels(package, extra="test"), *group("types"))
    module = module_of(package)
    session.run("mypy", "--config-file", "pyproject.toml", "-p", module)
    config = Path(session.create_tmp()) / "pyrightconfig.json"
    config.write_text(json.dumps(pyright_settings(session, module, config.parent)))
    session.run("pyright", "--project", str(config), "--pythonpath", str(Path(session.bin) / "python"))


@nox.session(python=PYTHONS)
@nox.parametrize("package", PACKAGES, ids=PACKAGES)
def tests(session: nox.Session, package: str) -> None:
    """The tests of one package, with the core and that package installed from wheels, and no other backend.

    Those marked slow run on the oldest Python that is installed, the others on each.
    """
    session.install(*wheels(package, extra="test"), *group("tests"))
    folder = f"packages/{package}/tests"
    install_parts(session, folder)
    chosen = [] if session.python == first_installed() else ["-m", "not slow"]
    spread = ["-n", "2", "--dist", "worksteal"]
    session.run("pytest", *spread, folder, *chosen, *SEEDS, *session.posargs, env=clean_environment())


@nox.session(python=PYTHONS)
def namespace(session: nox.Session) -> None:
    """Two toy backends, as wheels and as editable installs and both, are found both ways."""
    session.install(*group("tests"), "uv")
    session.run("pytest", "-n", "2", "tests/namespace", *session.posargs, env=clean_environment())


@nox.session
def together(session: nox.Session) -> None:
    """What runs do on each backend, with all packages installed side by side."""
    session.install(*all_wheels(extra="test"), *group("tests"))
    folders = [f"packages/{CORE}/tests/{name}" for name in ("history", "queues", "schedules", "syncing")]
    chosen = ["-n", "2", "--dist", "worksteal", "-k", "sqlite or template or supabase or sync", *SEEDS]
    session.run("pytest", *folders, *chosen, *session.posargs, env=clean_environment())


@nox.session
def docs(session: nox.Session) -> None:
    """The examples in the docs run, and the reference builds from the docstrings."""
    session.install(*all_wheels(extra="test"), *group("docs"), *group("tests"))
    install_parts(session, f"packages/{CORE}-supabase/tests", "postgrest")
    pages = ["README.md", "docs", *(f"packages/{package}/README.md" for package in PACKAGES)]
    examples = ["python", "-m", "pytest", "-p", "no:randomly", "-p", "docs.run_examples", *pages]
    session.run(*examples, *session.posargs, env=clean_environment())
    session.run("python", "docs/build_reference.py", str(Path(session.create_tmp()) / "reference"))


@nox.session
def build(session: nox.Session) -> None:
    """A source distribution of each package, a wheel from it, and what an index would say about both."""
    session.install(*group("build"), *group("tests"))
    session.run("pytest", "tests/packages", *session.posargs)
    shutil.rmtree(ROOT / "dist", ignore_errors=True)
    for package in PACKAGES:
        session.run("python", "-m", "build", "--installer=uv", "--outdir", "dist", f"packages/{package}", silent=True)
    built = sorted(str(path) for path in Path("dist").iterdir())
    session.run("twine", "check", "--strict", *built)
    session.run("check-wheel-contents", *[path for path in built if path.endswith(".whl")])


# ---- on demand


@nox.session(default=False)
def benchmarks(session: nox.Session) -> None:
    """Every benchmark, or those whose names are given: ``nox -s benchmarks -- import_cost``."""
    session.install(*all_wheels(extra="test"))
    for path in sorted(ROOT.glob("packages/*/benchmarks/*.py")):
        if not session.posargs or path.stem in session.posargs:
            session.run("python", str(path))


@nox.session(default=False)
def soak(session: nox.Session) -> None:
    """Kill workers by the hundred: 10,000 tasks on SQLite, 1,000 on the folder, then 1,000 runs of every kind on both.

    ``nox -s soak -- --seed 7``
    """
    session.install(*all_wheels(extra="test"))
    folder = Path(session.create_tmp())
    in_folder, in_sqlite = "folder:{}/tasks", "sqlite:///{}/tasks.db"
    for workload, url, tasks, kills in (
        ("calls", in_folder, 1_000, 100),
        ("calls", in_sqlite, 10_000, 500),
        ("mixed", in_folder, 1_000, 60),
        ("mixed", in_sqlite, 1_000, 60),
    ):
        about = [f"--workload={workload}", "--storage", url.format(folder), f"--tasks={tasks}", f"--kills={kills}"]
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        session.run("sequential", "torture", *about, *session.posargs)


@nox.session(default=False)
def soak_supabase(session: nox.Session) -> None:
    """4,000 tasks by connection, pooler and REST at once, while each of these fails.

    ``nox -s soak_supabase -- --seed 7``
    """
    package = f"{CORE}-supabase"
    session.install(*wheels(package, extra="test"))
    install_parts(session, f"packages/{package}/tests", "debian", "postgrest")
    environment = {**clean_environment(), "PYTHONPATH": f"packages/{package}/tests"}
    session.run("python", "-m", "parts.soak", *session.posargs, env=environment)


# ---- parts


def group(name: str) -> list[str]:
    """The requirements of one of the dependency groups in pyproject.toml."""
    return list(nox.project.dependency_groups(SHARED, name))


def install_parts(session: nox.Session, folder: str, *names: str) -> None:
    """Servers that the tests in a folder run against, where its ``parts/install.py`` installs some (by apt and npm)."""
    if (ROOT / folder / "parts" / "install.py").exists():
        session.run("python", f"{folder}/parts/install.py", *names)


def module_of(package: str) -> str:
    """The module a package is about: ``sequential_adaptor``, or ``sequential_adaptor.backends.sqlite``."""
    backend = package.removeprefix(f"{CORE}-")
    return "sequential_adaptor" if package == CORE else f"sequential_adaptor.backends.{backend}"


def wheels(package: str, extra: str | None = None) -> list[str]:
    """The wheels of the core and of one package, as requirements; ``extra`` is one of the package's own."""
    wanted = f"{package}[{extra}] @ {wheel(package).as_uri()}" if extra else f"{package} @ {wheel(package).as_uri()}"
    return [wanted] if package == CORE else [wanted, f"{CORE} @ {wheel(CORE).as_uri()}"]


def all_wheels(extra: str | None = None) -> list[str]:
    """The wheels of all packages, as requirements."""
    suffix = f"[{extra}]" if extra else ""
    return [f"{package}{suffix} @ {wheel(package).as_uri()}" for package in PACKAGES]


@cache
def first_installed() -> str | None:
    """The oldest Python that is installed: the one on which the slow tests run too."""
    return next((python for python in PYTHONS if shutil.which(f"python{python}")), None)


@cache
def wheel(package: str) -> Path:
    """The wheel of a package, built once for all sessions of this run."""
    folder = ROOT / ".nox" / ".wheels" / package
    shutil.rmtree(folder, ignore_errors=True)
    command = [builder(), "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--wheel-dir"]
    subprocess.run([*command, str(folder), str(ROOT / "packages" / package)], check=True)
    return next(folder.glob("*.whl"))


@cache
def builder() -> str:
    """A Python with what wheels are built with."""
    folder = ROOT / ".nox" / ".builder"
    python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    if not python.exists():
        subprocess.run([sys.executable, "-m", "virtualenv", "--quiet", str(folder)], check=True)
        subprocess.run([str(python), "-m", "pip", "install", "--quiet", *group("wheels")], check=True)
    return str(python)


def pyright_settings(session: nox.Session, module: str, folder: Path) -> dict[str, object]:
    """The settings of pyproject.toml for the installed package: by itself, pyright would leave its folder out."""
    site = session.run("python", "-c", "import sysconfig; print(sysconfig.get_path('purelib'))", silent=True)
    package = Path(str(site).strip(), *module.split(".")).resolve(strict=True)
    return {**SHARED["tool"]["pyright"], "include": [os.path.relpath(package, folder)], "exclude": []}


def clean_environment() -> dict[str, str | None]:
    """An environment that says nothing about storage or services."""
    said = ("SEQUENTIAL_", "SUPABASE_", "SERVICE_", "DATABASE_URL")
    return {name: None for name in os.environ if name.startswith(said)}
