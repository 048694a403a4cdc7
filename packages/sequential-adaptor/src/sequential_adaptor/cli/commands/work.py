"""``sequential work``: a worker."""

from __future__ import annotations

from datetime import timedelta

import click

from sequential_adaptor.cli.console import say
from sequential_adaptor.cli.options import debug_option, lease_option, plugin_option, storage_option
from sequential_adaptor.cli.parsing import Duration
from sequential_adaptor.cli.settings import Settings, run_async


@click.command(short_help="Be a worker: go on with whatever is due.")
@click.option(
    "--concurrency", type=click.IntRange(min=1), default=32, show_default=True, help="Tasks and calls at once."
)
@lease_option(30.0)
@click.option("--keep", type=Duration(), metavar="TIME", help="Forget runs that ended longer ago: 30d, 12h.")
@click.option("--until-idle", is_flag=True, help="End when nothing is left to do soon.")
@plugin_option
@storage_option
@debug_option
def command(concurrency: int, lease: float, keep: timedelta | None, until_idle: bool) -> None:
    """Work on whatever is due, until Ctrl-C or SIGTERM.

    Both let the calls end that are on their way, and give back the rest. Start as many workers as you like.
    """
    settings = Settings.current()

    async def work() -> int:
        from sequential_adaptor.engine import Worker
        from sequential_adaptor.storage.locations import find_storage

        worker = Worker(settings.storage, concurrency=concurrency, lease=lease, retention=keep)
        ending = "until nothing is left to do" if until_idle else "Ctrl-C ends it"
        say(f"worker {worker.name} on {find_storage(settings.storage).display} ({ending})")
        await worker.run(until_idle=until_idle)
        return worker.moved

    moved = run_async(work)
    say(f"worker has ended; it went on with something {moved:,} time{'' if moved == 1 else 's'}")
