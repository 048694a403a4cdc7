"""``sequential prune``: forget runs that ended long ago."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING

import click

from sequential_adaptor.cli.console import print_json, say
from sequential_adaptor.cli.failures import CommandFailed
from sequential_adaptor.cli.options import shared_options
from sequential_adaptor.cli.parsing import Duration, RunId
from sequential_adaptor.cli.settings import Settings, run_async
from sequential_adaptor.lifecycles import TASK_RUN

if TYPE_CHECKING:
    from sequential_adaptor.engine.retention.pruning import Pruned

_SAID_EVERY = 1.0


@click.command(short_help="Forget runs that ended long ago.")
@click.option("--older-than", type=Duration(), metavar="TIME", help="Runs that ended longer ago: 30d, 12h, 90min, 0s.")
@click.option(
    "--status", type=click.Choice(sorted(TASK_RUN.ended)), multiple=True, help="Only runs that ended like this."
)
@click.option("--task", help="Only runs of this task.")
@click.option("--dry-run", is_flag=True, help="Say what would be forgotten, and forget nothing.")
@click.option("--forget", type=RunId(), metavar="RUN", help="Let the id of a run that was pruned be used again.")
@shared_options
def command(
    older_than: timedelta | None, status: tuple[str, ...], task: str | None, dry_run: bool, forget: str | None
) -> None:
    """Forget runs that ended long ago, with all that is stored of them. There is no way back.

    A run stays that something needs. The ids that people chose are not used again by mistake.
    """
    settings = Settings.current()
    if (older_than is None) == (forget is None):
        raise click.UsageError(
            "say how long runs are kept: --older-than 30d; or which id may be used again: --forget RUN"
        )
    if forget is not None:
        run_async(lambda: _forget(settings, forget))
        return

    async def prune() -> Pruned:
        async with settings.engine() as engine:
            assert older_than is not None  # seen to above
            return await engine.prune(
                older_than, status=status or None, task=task, dry_run=dry_run, progress=_progress(dry_run)
            )

    _show(run_async(prune), dry_run, as_json=settings.as_json)


def _show(found: Pruned, dry_run: bool, *, as_json: bool) -> None:
    if as_json:
        print_json({"dry_run": dry_run, "pruned": len(found.runs), "runs": found.runs, "kept": found.kept})
        return
    say(f"{_verb(dry_run)} {_runs(len(found.runs))}")
    for reason, count in Counter(found.kept.values()).most_common(10):
        say(f"kept {_runs(count)}: {reason}")


async def _forget(settings: Settings, run_id: str) -> None:
    async with settings.engine() as engine:
        if not await engine.reuse_id(run_id):
            raise CommandFailed(f"no run of the id {run_id} was pruned", "Nothing keeps the id from being used.")
    say(f"{run_id} may be used again")


def _progress(dry_run: bool) -> Callable[[Pruned], None]:
    """A line now and then, where it takes longer than a moment."""
    last = time.monotonic()

    def progress(found: Pruned) -> None:
        nonlocal last
        if time.monotonic() - last > _SAID_EVERY:
            last = time.monotonic()
            say(f"{_verb(dry_run)} {_runs(len(found.runs))} so far")

    return progress


def _verb(dry_run: bool) -> str:
    return "would prune" if dry_run else "pruned"


def _runs(count: int) -> str:
    return f"{count:,} run{'' if count == 1 else 's'}"
