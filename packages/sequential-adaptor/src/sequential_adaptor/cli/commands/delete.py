"""``sequential delete``: forget a run."""

from __future__ import annotations

import sys

import click

from sequential_adaptor.cli.console import say
from sequential_adaptor.cli.failures import CommandFailed
from sequential_adaptor.cli.options import debug_option, storage_option
from sequential_adaptor.cli.settings import Settings, run_async
from sequential_adaptor.lifecycles import TASK_RUN

_NOT_DELETED = frozenset({"queue", "schedule"})


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
    from sequential_adaptor.cli.querying import run_of

    async with settings.engine() as engine:
        found = [await run_of(engine, run_id) for run_id in run_ids]
        for run in found:
            if run.runner in _NOT_DELETED:
                name = run.id.removeprefix(f"{run.runner}-")
                raise CommandFailed(f"{run.id} is a {run.runner}", f"Delete it: sequential {run.runner} delete {name}")
            if run.status not in TASK_RUN.ended and not force:
                raise CommandFailed(
                    f"run {run.id} has not ended; it is {run.status}",
                    f"Cancel it first: sequential cancel {run.id}; or both at once: --force",
                )
        for run in found:
            await engine.handle(run.id).cancel(force=True)
            await engine.adapter.delete_task_run(run.id)
            say(f"deleted {run.id}")
