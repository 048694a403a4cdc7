"""``sequential submit``: store a run for a worker."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import click

from sequential_adaptor.cli.console import print_json, write
from sequential_adaptor.cli.options import shared_options
from sequential_adaptor.cli.parsing import JsonValue, Moment, RunId, Task
from sequential_adaptor.cli.settings import Settings, run_async
from sequential_adaptor.records import TaskRun
from sequential_adaptor.values import JSON


@click.command(short_help="Store a run for a worker and print its id.")
@click.argument("task", metavar="NAME_OR_FILE")
@click.option("--input", "-i", "input", type=JsonValue(), metavar="JSON", help="The task's input; @file or - reads it.")
@click.option("--id", "run_id", type=RunId(), help="The run's id. The same id again is the same run.")
@click.option("--at", type=Moment(), metavar="TIME", help="Do not start it before: 2026-03-29T09:00+02:00, or 15min.")
@click.option("--queue", help="The queue that it goes through; the task's own by default.")
@click.option("--priority", type=int, help="Who waits in a queue: the highest first, -100 to 100; 0 by default.")
@click.option("--key", help="Of all runs of the queue with the same key, one is on its way at a time.")
@click.option("--name", help="The name to publish a file under; its own by default.")
@shared_options
@click.pass_context
def command(
    context: click.Context,
    /,
    task: str,
    input: JSON,
    run_id: str | None,
    name: str | None,
    at: datetime | timedelta | None,
    **place: Any,
) -> None:
    """Store a run of a task, for whichever worker comes first, and print its id."""
    settings = Settings.current()
    given = context.get_parameter_source("input") is not click.core.ParameterSource.DEFAULT
    asked = Task.of(task, name)

    async def submit() -> TaskRun:
        from sequential_adaptor.cli.carrying import Wish, begun

        async with settings.engine() as engine:
            start = await engine.adapter.now() + at if isinstance(at, timedelta) else at
            wish = Wish(asked, "fetch", input, run_id, input_given=given)
            handle = await begun(engine, wish, at=start, **place)
            return await handle.record()

    run = run_async(submit)
    if settings.as_json:
        from sequential_adaptor.cli.rows import run_row

        print_json(run_row(run))
    else:
        write(run.id + "\n")
