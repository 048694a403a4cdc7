"""``sequential publish``: store a version of a task function."""

from __future__ import annotations

import click

from sequential_adaptor.cli.console import print_json, say
from sequential_adaptor.cli.options import shared_options
from sequential_adaptor.cli.parsing import Task
from sequential_adaptor.cli.settings import Settings, run_async
from sequential_adaptor.records import TaskFunction


@click.command(short_help="Store a file as a version of a task function.")
@click.argument("file", metavar="FILE", type=click.Path(exists=True, dir_okay=False))
@click.option("--name", help="The name to publish it under; the file's own by default.")
@click.option("--runner", default="fetch", show_default=True, help="What executes it.")
@click.option("--entry", help="The function to begin with; main, or the one public async function, by default.")
@shared_options
def command(file: str, name: str | None, runner: str, entry: str | None) -> None:
    """Store a file as the current version of a task function.

    Runs that have begun keep the version they began with.
    """
    settings = Settings.current()
    task = Task.of(file, name, is_file=True)

    async def publish() -> TaskFunction:
        async with settings.engine() as engine:
            return await task.publish(engine, runner, entry)

    function = run_async(publish)
    if settings.as_json:
        from sequential_adaptor.cli.rows import function_row

        print_json(function_row(function))
    else:
        say(f"{function.identifier} is stored, version {function.version[:12]}")
        say(f"Run it: sequential run {function.identifier} --input JSON")
