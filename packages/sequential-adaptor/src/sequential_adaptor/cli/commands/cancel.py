"""``sequential cancel``: end a run before its time."""

from __future__ import annotations

import click

from sequential_adaptor.cli.console import say
from sequential_adaptor.cli.options import debug_option, storage_option
from sequential_adaptor.cli.parsing import RunId
from sequential_adaptor.cli.settings import Settings, run_async
from sequential_adaptor.lifecycles import TASK_RUN


@click.command(short_help="End a run before its time.")
@click.argument("run_id", type=RunId())
@click.option("--force", is_flag=True, help="End it now, in storage, without asking the task.")
@storage_option
@debug_option
def command(run_id: str, force: bool) -> None:
    """Cancel a run: its task gets CancelledError where it awaits, and may clean up.

    It takes a worker to do so; --force takes none.
    """
    settings = Settings.current()

    async def cancel() -> str:
        async with settings.engine() as engine:
            handle = engine.handle(run_id)
            if (before := (await handle.record()).status) in TASK_RUN.ended:
                return f"run {run_id} has ended already: {before}"
            await handle.cancel(force=force)
            return f"run {run_id} is {(await handle.record()).status}" if force else f"asked run {run_id} to end"

    say(run_async(cancel))
