"""``sequential torture``: does this storage keep tasks alive?"""

from __future__ import annotations

import sys
from typing import Any

import click

from sequential_adaptor.cli.console import print_json, say
from sequential_adaptor.cli.options import lease_option, shared_options
from sequential_adaptor.cli.settings import Settings, run_async

_COUNT = click.IntRange(min=0)
_SHARE = click.FloatRange(0, 1)


@click.command(short_help="Kill workers on a storage, and see whether tasks survive.")
@click.option(
    "--workload",
    type=click.Choice(["calls", "mixed"]),
    default="calls",
    show_default=True,
    help="Tasks that make calls; or all that long-lived runs do, at once.",
)
@click.option("--tasks", type=_COUNT, default=100, show_default=True, help="How many tasks are carried through.")
@click.option(
    "--calls", type=click.IntRange(min=1), default=3, show_default=True, help="Calls that each task makes (calls)."
)
@click.option("--workers", type=click.IntRange(min=1), default=4, show_default=True, help="Processes at a time.")
@click.option("--kills", type=_COUNT, default=30, show_default=True, help="How many of them are killed (SIGKILL).")
@click.option("--seed", type=int, default=0, show_default=True, help="The same seed does the same.")
@click.option("--drop", type=_SHARE, default=0.05, show_default=True, help="Share of calls done and not answered.")
@click.option("--fail", type=_SHARE, default=0.05, show_default=True, help="Share of calls answered with an error.")
@lease_option(2.0)
@shared_options
@click.pass_context
def command(context: click.Context, /, workload: str, **options: Any) -> None:
    """Carry tasks through with real workers, kill them at random, and look at what is left.

    The service that the tasks call is late, fails, answers twice or not at all. Reported is what was lost, stuck, done
    twice, wrong, called under another key, over a limit, or repeated before the lease of its earlier performer had
    ended. What is added to the storage stays there. Exit code 1 where something was found.
    """
    from sequential_adaptor.testing.torture import torture, torture_mixed

    settings = Settings.current()
    if workload == "mixed":
        del options["calls"]
    run = torture_mixed if workload == "mixed" else torture
    report = run_async(lambda: run(settings.storage, progress=_progress, **options))
    if sys.stderr.isatty():
        click.echo("\r", nl=False, err=True)
    if settings.as_json:
        print_json(report.to_json())
    else:
        click.echo(str(report))
    if not report.ok:
        say(f"To do the same again: --seed {report.seed}, with the same options.")
        context.exit(1)


def _progress(ended: int, tasks: int, kills: int) -> None:
    if sys.stderr.isatty():
        click.echo(f"\r{ended:,} of {tasks:,} tasks have ended, {kills:,} kills ", nl=False, err=True)
