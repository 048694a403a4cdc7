"""``sequential flow``: draw and check statecharts."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from sequential_adaptor.cli.console import print_json, say, write
from sequential_adaptor.cli.options import debug_option, json_option, shared_options
from sequential_adaptor.cli.settings import Settings, run_async

if TYPE_CHECKING:
    from sequential_adaptor.flow.chart import Chart


@click.group(short_help="Draw and check statecharts.")
def command() -> None:
    """Draw and check statecharts: Python files with a `graph`, machines as JSON, and runs."""


@command.command(short_help="Draw a machine, or where a run of it stands.")
@click.argument("target", metavar="FILE_OR_RUN")
@click.option("--format", "format_", type=click.Choice(["mermaid", "dot", "svg"]), default="mermaid", show_default=True)
@click.option("--output", type=click.Path(dir_okay=False, path_type=Path), help="A file to write instead.")
@shared_options
def draw(target: str, format_: str, output: Path | None) -> None:
    """Draw the machine of a file; or of a run, with the states that it visited, where it stands, and when."""
    path = Path(target)
    text = _drawn_file(path, format_) if path.exists() else run_async(lambda: _drawn_run(target, format_))
    if Settings.current().as_json:
        print_json({"target": target, "format": format_, "drawing": text})
    elif output is not None:
        output.write_text(text, encoding="utf-8")
        say(f"{output} is written")
    else:
        write(text)


@command.command(short_help="Say what is wrong with a machine.")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@json_option
@debug_option
def check(file: Path) -> None:
    """Say everything that is wrong with a machine, each with its place in it; exits with 1 where it cannot run."""
    from sequential_adaptor.flow import MachineError

    try:
        chart, warnings = _checked(file)
    except MachineError as error:
        if Settings.current().as_json:
            print_json({"machine": error.name, "problems": [*map(str, error.problems)], "warnings": []})
            click.get_current_context().exit(1)
        raise
    if Settings.current().as_json:
        print_json({"machine": chart.name, "problems": [], "warnings": warnings})
        return
    for warning in warnings:
        say(f"warning: {warning}")
    count = len(chart.states) - 1
    wonders = f"{len(warnings) or 'no'} warning{'s' if len(warnings) != 1 else ''}"
    say(f"{file} can run: {count} state{'s' if count != 1 else ''}, {wonders}")


def _drawn_file(path: Path, format_: str) -> str:
    from sequential_adaptor.flow.drawing import draw
    from sequential_adaptor.runners.flow.inspecting import flow_of_file, machine_of_file

    return draw(machine_of_file(path) if path.suffix == ".json" else flow_of_file(path).machine, format_)


async def _drawn_run(run_id: str, format_: str) -> str:
    from sequential_adaptor.cli.failures import CommandFailed
    from sequential_adaptor.errors import RecordNotFound, TaskFunctionNotFound
    from sequential_adaptor.flow.drawing import draw
    from sequential_adaptor.runners.flow.inspecting import flow_in, marks_of
    from sequential_adaptor.runners.flow.watching import view

    async with Settings.current().engine() as engine:
        try:
            found = await view(engine, run_id)
        except RecordNotFound as error:
            raise CommandFailed(f"there is no file and no run {run_id!r}", "Runs: sequential list") from error
        function = await engine.adapter.get_task_function(found.identifier, found.version)
        if function is None:
            raise TaskFunctionNotFound(found.identifier, found.version)
    return draw(flow_in(function).machine, format_, marks_of(found))


def _checked(file: Path) -> tuple[Chart, list[str]]:
    from sequential_adaptor.flow import MachineError
    from sequential_adaptor.flow.loading import read_chart
    from sequential_adaptor.flow.problems import Findings
    from sequential_adaptor.runners.flow.inspecting import flow_of_file, machine_of_file

    if file.suffix != ".json":
        machine = flow_of_file(file).machine
        return machine.chart, [*map(str, machine.warnings)]
    findings = Findings()
    chart = read_chart(machine_of_file(file), findings)
    if findings.problems:
        raise MachineError(chart.name, findings.problems)
    return chart, [*map(str, findings.warnings)]
