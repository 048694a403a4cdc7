"""``sequential retry``: go on with runs that have failed."""

from __future__ import annotations

import click

from sequential_adaptor.cli.console import say
from sequential_adaptor.cli.failures import report
from sequential_adaptor.cli.options import debug_option, storage_option
from sequential_adaptor.cli.parsing import RunId
from sequential_adaptor.cli.settings import Settings, run_async
from sequential_adaptor.errors import SequentialError


@click.command(short_help="Go on with runs that have failed, at the call that they failed by.")
@click.argument("run_ids", metavar="RUN...", type=RunId(), nargs=-1, required=True)
@click.option("--at", metavar="CALL", help="Go back to this call: its number, or its id.")
@click.option("--latest", is_flag=True, help="Go on with the current version of the code.")
@storage_option
@debug_option
@click.pass_context
def command(context: click.Context, run_ids: tuple[str, ...], at: str | None, latest: bool) -> None:
    """Go on with runs that have failed, at the call that they failed by.

    The call keeps its key, and is made again by whoever works on the storage. Children that failed go on as well.
    """
    settings = Settings.current()

    async def retry() -> int:
        failures = 0
        async with settings.engine() as engine:
            for run_id in run_ids:
                try:
                    again = await engine.handle(run_id).retry(at, latest=latest)
                except SequentialError as error:
                    if len(run_ids) == 1:
                        raise
                    failures += 1
                    report(error)
                else:
                    where = f"at {', '.join(again)}" if again else "where it stopped"
                    say(f"run {run_id} goes on {where} when somebody works on it")
        return failures

    if run_async(retry):
        context.exit(1)
