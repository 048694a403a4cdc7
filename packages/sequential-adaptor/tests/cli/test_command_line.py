"""The command line as a whole: finding commands, plug-ins, wrong usage, starting a project."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import click
import pytest

from sequential_adaptor import registry
from sequential_adaptor.cli.loading import OURS, load
from sequential_adaptor.registry.entry_points import EntryPoints

DOCUMENTED = (
    "init new publish run submit work list show history describe delete send cancel keystore config doctor demo".split()
)


@pytest.fixture
def plugins(monkeypatch: pytest.MonkeyPatch) -> registry.Registry:
    """A registry of this test's own, over what is installed."""
    own = registry.Registry(EntryPoints())
    for name in ("has", "get", "list"):
        monkeypatch.setattr(registry, name, getattr(own, name))
    return own


def test_the_documented_commands_are_there_and_shown() -> None:
    assert set(DOCUMENTED) <= OURS
    assert set(DOCUMENTED) <= set(registry.list("command"))


@pytest.mark.parametrize("name", DOCUMENTED)
def test_each_command_has_help_and_a_line_that_fits(sequential: Any, name: str) -> None:
    shown = sequential(name, "--help")
    assert shown.code == 0
    assert shown.out.startswith(f"Usage: sequential {name}")
    summary = load(name).get_short_help_str(limit=64)
    assert summary in sequential("--help").out
    assert not summary.endswith("...")


@pytest.mark.parametrize(
    "name", [name for name in DOCUMENTED if name not in ("new", "config", "init", "demo", "keystore")]
)
def test_commands_take_a_storage_url(name: str) -> None:
    assert "--storage" in [option for parameter in load(name).params for option in parameter.opts]


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys; from sequential_adaptor.cli.main import run; assert run(['--help']) == 0;"
        "heavy = {'httpx', 'rich', 'transitions', 'asyncio', 'sqlite3', 'aiosqlite'} & set(sys.modules);"
        "sys.exit(repr(heavy) if heavy - {'asyncio'} else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_the_version_is_the_packages(sequential: Any) -> None:
    from importlib.metadata import version

    assert sequential("--version").out == f"sequential-adaptor {version('sequential-adaptor')}\n"


def test_no_command_and_unknown_commands_and_options_are_wrong_usage(sequential: Any) -> None:
    unknown = sequential("shwo")
    assert (unknown.code, unknown.out) == (2, "")
    assert "sequential show" in unknown.err
    option = sequential("list", "--colour")
    assert (option.code, "--help" in option.err) == (2, True)
    assert sequential().code == 2


def test_a_plugins_command_stands_beside_ours(sequential: Any, plugins: registry.Registry) -> None:
    @click.command(short_help="Say hello.")
    def hello() -> None:
        click.echo("hello from a plug-in")

    plugins.register("command", "hello", hello)
    plugins.register("command", "later", lambda: hello)
    shown = sequential("--help").out
    assert "Of plug-ins:" in shown
    assert "Say hello." in shown
    assert sequential("hello").out == sequential("later").out == "hello from a plug-in\n"


PLUGIN = """
import click

class Shouter:
    def shout(self, text):
        return text.upper()

def register(registry):
    registry.register("service", "shouter", Shouter)
    registry.register("command", "hey", click.Command("hey", callback=lambda: print("hey")))
"""


def test_a_plugin_file_brings_services_and_commands_wherever_it_is_named(start: Any, finish: Any, folder: Path) -> None:
    """Real processes: a plug-in that a command has loaded stays with its process."""
    (folder / "my_services.py").write_text(PLUGIN)
    task = "async def main(input):\n    return await call_host_tool('shouter', 'shout', [input])\n"
    (folder / "loud.py").write_text(task)
    plugin = ("--plugin", "my_services.py")
    ran = finish(start("run", "loud.py", "--input", '"falsy"', *plugin))
    assert (ran.code, ran.out) == (0, '"FALSY"\n')
    assert finish(start("submit", "loud", "--input", '"later"', "--id", "later")).code == 0
    assert finish(start(*plugin, "work", "--until-idle")).code == 0
    assert finish(start("show", "later", "--json")).json()["result"] == "LATER"
    assert finish(start(*plugin, "hey")).out == "hey\n"
    assert "  hey " in finish(start(*plugin, "--help")).out


def test_a_plugin_that_does_not_load_ends_the_command_before_it_begins(start: Any, finish: Any) -> None:
    failed = finish(start("run", "echo.py", "--plugin", "nowhere.py"))
    assert (failed.code, failed.out) == (1, "")
    assert "nowhere.py" in failed.err
    assert "Traceback" not in failed.err


def test_a_broken_plugin_breaks_nothing_else_and_says_why_when_it_is_called(
    sequential: Any, plugins: registry.Registry
) -> None:
    def broken() -> click.Command:
        raise RuntimeError("its licence has run out")

    plugins.register("command", "broken", broken)
    plugins.register("command", "wrong", lambda: "no command")
    shown = sequential("--help")
    assert shown.code == 0
    assert re.search(r"broken +\(does not work: RuntimeError", shown.out)
    assert sequential("config").code == 0
    called = sequential("broken")
    assert (called.code, "its licence has run out" in called.err) == (1, True)
    assert (sequential("wrong").code, "not a click.Command" in sequential("wrong").err) == (1, True)


def test_an_unexpected_error_is_one_line_unless_debug(sequential: Any, plugins: registry.Registry) -> None:
    @click.command()
    def faulty() -> None:
        raise KeyError("x")

    plugins.register("command", "faulty", faulty)
    result = sequential("faulty")
    assert (result.code, result.err.splitlines()[0]) == (1, "Error: KeyError: 'x'")
    assert "--debug" in result.err
    with pytest.raises(KeyError):
        sequential("--debug", "faulty")


def test_init_makes_a_folder_that_runs_and_overwrites_nothing(sequential: Any, folder: Path) -> None:
    assert sequential("init", "project").code == 0
    project = folder / "project"
    assert tomllib.loads((project / "pyproject.toml").read_text())["tool"]["sequential"] == {
        "storage": "folder:./tasks"
    }
    (project / "hello.py").write_text("# mine")
    before = (project / "pyproject.toml").read_text()
    assert sequential("init", "project").code == 0
    assert (project / "hello.py").read_text() == "# mine"
    assert (project / "pyproject.toml").read_text() == before


def test_init_adds_to_a_pyproject_that_is_there(sequential: Any, folder: Path) -> None:
    (folder / "pyproject.toml").write_text('[project]\nname = "ü"\n\n[tool.x]\ny = 1', encoding="utf-8")
    assert sequential("init", "--storage", "folder:./elsewhere").code == 0
    found = tomllib.loads((folder / "pyproject.toml").read_text(encoding="utf-8"))
    assert found == {"project": {"name": "ü"}, "tool": {"x": {"y": 1}, "sequential": {"storage": "folder:./elsewhere"}}}
    assert sequential("config", "--json").json()["adapter"] == "folder"
    assert (folder / "elsewhere").is_dir()


def test_init_writes_no_password_and_no_broken_file(sequential: Any, folder: Path) -> None:
    secret = sequential("init", "--storage", "postgresql://me:pass@host/db")
    assert (secret.code, "SEQUENTIAL_STORAGE" in secret.err) == (1, True)
    assert not (folder / "pyproject.toml").exists()
    (folder / "pyproject.toml").write_text("[tool")
    broken = sequential("init")
    assert (broken.code, "pyproject.toml" in broken.err) == (1, True)
    assert (folder / "pyproject.toml").read_text() == "[tool"


def test_new_writes_a_task_that_runs_and_overwrites_nothing(sequential: Any, folder: Path) -> None:
    assert sequential("new", "first").code == 0
    run = sequential("run", "first.py", "--input", '{"names": ["Ada"]}')
    assert run.json() == ["Hello, Ada!"]
    again = sequential("new", "first.py")
    assert (again.code, "exists already" in again.err) == (1, True)
    assert sequential("new", "no spaces please").code == 2


def test_a_reader_that_closes_early_is_no_error() -> None:
    command = f'"{sys.executable}" -m sequential_adaptor.cli --help | head -1'
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, timeout=60, check=False)
    assert (done.stdout.startswith("Usage"), done.stderr) == (True, "")


@pytest.mark.parametrize(
    ("command", "code"),
    [
        ("run echo.py --input 1 >&-", 0),
        ("list --json >&- 2>&-", 0),
        ("run echo.py --input - <&-", 2),
        ("keystore set key <&- >&-", 0),
        ("show nothing <&- >&-", 1),
    ],
)
def test_a_stream_that_is_closed_is_an_empty_one(command: str, code: int) -> None:
    """Some supervisors and ssh start a program without."""
    line = f'"{sys.executable}" -m sequential_adaptor.cli {command}'
    done = subprocess.run(["sh", "-c", line], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, "NoneType" in done.stderr) == (code, False)
