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
    from sequential_adaptor.cli.querying import check_is_no_fixture

    settings = Settings.current()

    async def cancel() -> str:
        async with settings.engine() as engine:
            handle = engine.handle(run_id)
            before = await handle.record()
            check_is_no_fixture(before)
            has_ended = before.status in TASK_RUN.ended
            if force or not has_ended:  # by force, also what a holder has left open below a run that has ended
                await handle.cancel(force=force)
            if has_ended:
                return f"run {run_id} has ended already: {before.status}"
            return f"run {run_id} is {(await handle.record()).status}" if force else f"asked run {run_id} to end"

    say(run_async(cancel))
