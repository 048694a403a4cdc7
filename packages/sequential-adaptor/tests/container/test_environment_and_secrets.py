"""What a command sees, and what nobody sees: sentence 8, in every isolation."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from sequential_adaptor.errors import ConfigurationError
from sequential_adaptor.runners.container import CommandFailed
from sequential_adaptor.runners.container.store import RefusedDirectory


async def test_a_command_gets_path_lang_home_and_pwd_and_nothing_else_from_outside(bench: Any) -> None:
    """A command gets PATH, LANG, HOME and PWD, and nothing else from outside."""
    os.environ["SOMETHING_OF_MINE"] = "x"
    try:
        names = {line.partition("=")[0] for line in (await bench.run("env")).stdout.splitlines()}
    finally:
        del os.environ["SOMETHING_OF_MINE"]
    assert names - {"_", "SHLVL", "OLDPWD"} == {"PATH", "LANG", "HOME", "PWD"}


async def test_home_is_an_empty_folder_outside_of_the_work_directory_the_same_each_time(bench: Any) -> None:
    """HOME is an empty folder outside of the work directory, the same each time."""
    one = await bench.run("echo $HOME; ls -A $HOME; echo leftover > $HOME/.profile")
    two = await bench.run("echo $HOME; ls -A $HOME; cd; pwd")
    home = Path(one.stdout.strip())
    assert two.stdout.split() == [str(home), str(home)]
    assert not home.is_relative_to(bench.work)
    assert one.changed.clean


async def test_secrets_are_in_no_key_no_history_and_no_output(bench: Any) -> None:
    """Secrets are in no key, no history and no output."""
    word = "hunter2-hunter2"
    halves = "printf '%s' $TOKEN | head -c 8; sleep 0.05; printf '%s' $TOKEN | tail -c +9; echo"
    command = f"{halves}; echo $TOKEN >&2; echo ${{#TOKEN}} > n"
    one = await bench.run(command, secrets={"TOKEN": word}, on_line=bench.lines.append)
    await bench.runner.reset()
    two = await bench.run(command, secrets={"TOKEN": "another-secret!"})
    assert (one.stdout, one.stderr) == ("***\n", "***\n")
    assert (two.hash, two.cached) == (one.hash, True)
    assert [str(line) for line in bench.lines] == ["***", "***"]
    assert (bench.work / "n").read_text() == "15\n"
    await bench.runner.dispose()
    for path in (bench.tmp / "state").rglob("*"):
        if path.is_file():
            assert word.encode() not in path.read_bytes(), path


async def test_secrets_are_hidden_in_errors(bench: Any) -> None:
    """Secrets are hidden in errors."""
    with pytest.raises(CommandFailed) as caught:
        await bench.run("echo $TOKEN; echo no $TOKEN >&2; exit 3", secrets={"TOKEN": "hunter2hunter2"})
    assert "hunter2" not in str(caught.value) + caught.value.stdout + caught.value.stderr
    assert "no ***" in str(caught.value)


async def test_a_secret_that_is_written_out_or_declared_too_is_refused(bench: Any) -> None:
    """A secret that is written out, or declared too, is refused."""
    secrets = {"TOKEN": "hunter2hunter2"}
    for options in ({}, {"env": {"X": "hunter2hunter2"}}, {"input": ["hunter2hunter2"]}, {"env": {"TOKEN": "x"}}):
        command = "echo hunter2hunter2" if not options else "true"
        with pytest.raises(ConfigurationError, match="TOKEN"):
            await bench.run(command, secrets=secrets, **options)


async def test_the_state_folder_the_root_and_the_home_folder_are_no_work_directories(bench: Any) -> None:
    """The state folder, the root and the home folder are no work directories."""
    for folder in ("/", Path.home(), Path.home().parent, bench.tmp, bench.tmp / "state", bench.tmp / "state" / "packs"):
        runner = await bench.new(isolation=bench.isolation, workdir=folder)
        with pytest.raises(RefusedDirectory):
            await runner.run("true")
