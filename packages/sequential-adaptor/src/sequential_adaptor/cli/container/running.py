"""``run`` and ``exec``"""

from __future__ import annotations

import os
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from sequential_adaptor.cli.console import print_json, say
from sequential_adaptor.cli.container.formats import counted
from sequential_adaptor.cli.container.options import command_options, opened, place_options
from sequential_adaptor.cli.failures import FAILED, report
from sequential_adaptor.cli.parsing import JsonValue
from sequential_adaptor.cli.settings import Settings, run_async
from sequential_adaptor.values import JSON

if TYPE_CHECKING:
    from sequential_adaptor.runners.container import CommandFailed, ContainerRunner, Layer, Line

_TIMED_OUT = 124
_WORDS = {"ignore_unknown_options": True, "allow_interspersed_args": False}


@click.command("run", short_help="Run a command and keep what it changed as a layer.", context_settings=_WORDS)
@click.argument("command", nargs=-1, metavar="COMMAND...", type=click.UNPROCESSED)
@click.option("--file", "-f", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="A script instead.")
@click.option("--input", "-i", "input", type=JsonValue(), metavar="JSON", help="Its input: one line on standard input.")
@click.option("--no-cache", is_flag=True, help="Run it even where its layer is there.")
@click.option("--salt", default="", metavar="TEXT", help="Tell apart what would else be the same.")
@click.option("--keep-failed", is_flag=True, help="Leave what a command that failed has done.")
@command_options
@place_options
@click.pass_context
def run(
    context: click.Context,
    /,
    command: tuple[str, ...],
    file: Path | None,
    input: JSON,
    no_cache: bool,
    salt: str,
    keep_failed: bool,
    **options: Any,
) -> None:
    """Run a command and keep what it changed as a layer.

    The same command on the same layer is not run: its layer is brought back, with its output. Options stand before the
    command, which is one text for the shell, or words. A script of cells ("# %% title") is run cell by cell; there,
    the options of a command do not hold. Ends with the exit code of the command.
    """
    settings = Settings.current()
    settings.way_on = "It left no layer, and the work directory is as before."
    code = _code(command, file)
    about = {**_about(options), "cache": not no_cache, "salt": salt}

    async def work() -> Layer:
        async with opened(**_place(options), keep_failed=keep_failed) as runner:
            return await _carried(runner, code, input, about)

    layer = _ended(context, lambda: run_async(work))
    if settings.as_json:
        print_json(layer.result)


@click.command("exec", short_help="Run a command that leaves no layer.", context_settings=_WORDS)
@click.argument("command", nargs=-1, required=True, metavar="COMMAND...", type=click.UNPROCESSED)
@command_options
@place_options
@click.pass_context
def execute(context: click.Context, /, command: tuple[str, ...], **options: Any) -> None:
    """Run a command on the head. What it changes in the work directory is thrown away.

    Ends with the exit code of the command.
    """
    code, about = _code(command, None), _about(options)

    async def work() -> tuple[int, JSON]:
        async with opened(**_place(options)) as runner:
            done = await runner.exec(code, on_line=_show, **about)
            return done.exit_code, done.as_json()

    exit_code, found = _ended(context, lambda: run_async(work))
    if Settings.current().as_json:
        print_json(found)
    context.exit(exit_code)


async def _carried(runner: ContainerRunner, code: str, input: JSON, about: dict[str, Any]) -> Layer:
    """The last layer of a command, or of a script, step by step."""
    from sequential_adaptor.runners.base import Suspended
    from sequential_adaptor.runners.container.scripts import read_script

    script = read_script(code)
    if script.is_single:
        only = await runner.run(code, input, on_line=_show, **about)
        assert not isinstance(only, Suspended)  # it is one command
        _tell(only)
        return only
    position = await runner.begin(script)
    while True:
        say(f"-- {position.calls[0].operation.removeprefix('step:')}")
        layer, after = await runner.advance(position.state, input, on_line=_show)
        _tell(layer)
        if after is None:
            return layer
        position = after


def _code(command: tuple[str, ...], file: Path | None) -> str:
    if bool(command) == (file is not None):
        raise click.UsageError("give a command, or a script with --file")
    if file is not None:
        return file.read_text(encoding="utf-8")
    return command[0] if len(command) == 1 else shlex.join(command)


def _place(options: dict[str, Any]) -> dict[str, Any]:
    """What is for the runner."""
    return {
        "state_dir": options["state_dir"],
        "workdir": options["workdir"],
        "isolation": options["isolation"],
        "network": True if options["network"] else None,
        "binds": options["bind"],
        "inherit": options["inherit"],
        "shell": options["shell"],
        "on_dirty": options["on_dirty"],
    }


def _about(options: dict[str, Any]) -> dict[str, Any]:
    """What is for the command."""
    return {
        "env": dict(_assignment(each) for each in options["env"]),
        "secrets": {name: _secret(name) for name in options["secret"]},
        "timeout": options["timeout"],
        "stdin": sys.stdin.buffer.read() if options["stdin"] else None,
        "ignore": options["ignore"],
    }


def _assignment(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals:
        raise click.BadParameter(f"{text!r} has no '='. To take it over from here: --inherit {text}")
    return name, value


def _secret(name: str) -> str:
    value = os.environ.get(name)
    if value is None:
        raise click.BadParameter(f"there is no variable {name} here to take over as a secret")
    return value


def _show(line: Line) -> None:
    """A line of the command's own output, where it belongs; beside JSON all of it is on standard error."""
    stream = sys.stderr if line.stream == "stderr" or Settings.current().as_json else sys.stdout
    stream.write(f"{line}\n")
    stream.flush()


def _tell(layer: Layer) -> None:
    how = "there already, not run" if layer.cached else f"{layer.seconds or 0:.2f} s"
    say(f"layer {layer.short}: {counted(layer.changed)}, {how}")


def _ended(context: click.Context, work: Any) -> Any:
    """What came of it; a command that failed ends us with its own exit code."""
    from sequential_adaptor.runners.container import CommandFailed

    try:
        return work()
    except CommandFailed as error:
        if Settings.current().debug:
            raise
        if Settings.current().as_json:
            print_json(_failure_as_json(error))
        report(error)
        context.exit(_exit_code(error))


def _exit_code(error: CommandFailed) -> int:
    if isinstance(error, TimeoutError):
        return _TIMED_OUT
    return error.exit_code or FAILED


def _failure_as_json(error: CommandFailed) -> JSON:
    return {
        "error": {"type": type(error).__name__, "message": str(error)},
        "exit_code": error.exit_code,
        "stdout": error.stdout,
        "stderr": error.stderr,
    }
