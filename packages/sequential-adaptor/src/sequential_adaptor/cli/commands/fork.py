"""``sequential fork``: a new run with the history of another up to a call."""

from __future__ import annotations

from typing import Any

import click

from sequential_adaptor.cli.console import print_json, say, write
from sequential_adaptor.cli.options import shared_options
from sequential_adaptor.cli.parsing import JsonValue, RunId
from sequential_adaptor.cli.settings import Settings, run_async
from sequential_adaptor.records import TaskRun


@click.command(short_help="Begin a new run with the history of another up to a call.")
@click.argument("run_id", metavar="RUN", type=RunId())
@click.option("--at", required=True, metavar="CALL", help="The call to go back to: its number, or its id.")
@click.option("--result", type=JsonValue(), metavar="JSON", help="What the call gives, instead of being made again.")
@click.option("--error", type=JsonValue(), metavar="JSON", help="The error that it ends with: a message, or an object.")
@click.option("--id", "new_id", type=RunId(), help="The new run's id. The same fork again is the same run.")
@click.option("--latest", is_flag=True, help="Go on with the current version of the code.")
@shared_options
@click.pass_context
def command(context: click.Context, /, run_id: str, at: str, new_id: str | None, latest: bool, **given: Any) -> None:
    """Begin a new run with the history of another up to a call, and print its id.

    The call is made again, or gives --result or --error. The original stays as it is. CALL is a number or an id of
    `sequential show RUN`.
    """
    settings = Settings.current()
    default = click.core.ParameterSource.DEFAULT
    changes = {name: given[name] for name in ("result", "error") if context.get_parameter_source(name) is not default}
    if len(changes) > 1:
        raise click.UsageError("a call has a result or an error: give one of --result and --error")

    async def fork() -> TaskRun:
        async with settings.engine() as engine:
            handle = await engine.fork(run_id, at, changes or None, id=new_id, latest=latest)
            return await handle.record()

    run = run_async(fork)
    if settings.as_json:
        from sequential_adaptor.cli.rows import run_row

        print_json(run_row(run))
    else:
        write(run.id + "\n")
        say(f"It goes on when somebody works on it: sequential run {run.task_identifier} --id {run.id}")
