"""``sequential send``: an event for a run."""

from __future__ import annotations

import click

from sequential_adaptor.cli.console import say
from sequential_adaptor.cli.options import debug_option, storage_option
from sequential_adaptor.cli.parsing import JsonValue, RunId
from sequential_adaptor.cli.settings import Settings, run_async
from sequential_adaptor.values import JSON


@click.command(short_help="Send a run an event that it waits for.")
@click.argument("run_id", type=RunId())
@click.argument("event")
@click.option("--data", type=JsonValue(), metavar="JSON", help="What the task gets; @file or - reads it.")
@storage_option
@debug_option
def command(run_id: str, event: str, data: JSON) -> None:
    """Send a run an event that it waits for, or will wait for.

    Events of a name are kept, first in, first out.
    """
    settings = Settings.current()

    async def send() -> None:
        async with settings.engine() as engine:
            await engine.handle(run_id).send(event, data)

    run_async(send)
    say(f"sent {event} to {run_id}")
