"""``sequential delete``: forget a run."""

from __future__ import annotations

import sys
from contextlib import suppress

import click

from sequential_adaptor.cli.console import say
from sequential_adaptor.cli.failures import CommandFailed
from sequential_adaptor.cli.options import debug_option, storage_option
from sequential_adaptor.cli.settings import Settings, run_async
from sequential_adaptor.errors import RecordNotFound
from sequential_adaptor.lifecycles import TASK_RUN


@click.command(short_help="Delete runs, with everything that is stored of them.")
@click.argument("run_ids", metavar="RUN_ID...", nargs=-1, required=True)
@click.option("--yes", "-y", is_flag=True, help="Do not ask.")
@click.option("--force", is_flag=True, help="Also runs that have not ended; they are cancelled first.")
@storage_option
@debug_option
def command(run_ids: tuple[str, ...], yes: bool, force: bool) -> None:
    """Delete runs with everything that is stored of them. There is no way back."""
    settings = Settings.current()
    if not yes and not sys.stdin.isatty():
        raise CommandFailed("deleting asks first, and there is nobody to ask", "Say that it is meant: --yes")
    if not yes:
        click.confirm(f"Delete {', '.join(run_ids)} for good?", abort=True, err=True)
    run_async(lambda: _delete(settings, run_ids, force))


async def _delete(settings: Settings, run_ids: tuple[str, ...], force: bool) -> None:
    from sequential_adaptor.cli.querying import check_is_no_fixture, run_of
    from sequential_adaptor.engine.queues.leaving import see_out

    async with settings.engine() as engine:
        found = [await run_of(engine, run_id) for run_id in dict.fromkeys(run_ids)]
        for run in found:
            check_is_no_fixture(run)
            if run.status not in TASK_RUN.ended and not force:
                raise CommandFailed(
                    f"run {run.id} has not ended; it is {run.status}",
                    f"Cancel it first: sequential cancel {run.id}; or both at once: --force",
                )
        for run in found:
            with suppress(RecordNotFound):  # somebody else deletes it at this very moment
                await engine.handle(run.id).cancel(force=True)
                await see_out(engine.adapter, run.id)
                await engine.adapter.delete_task_run(run.id)
            say(f"deleted {run.id}")
