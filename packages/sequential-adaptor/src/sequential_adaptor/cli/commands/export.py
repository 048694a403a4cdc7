"""``sequential export``: histories of runs as files, to be replayed by a test."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from sequential_adaptor.cli.options import shared_options
from sequential_adaptor.cli.settings import Settings, run_async

if TYPE_CHECKING:
    from pathlib import Path


@click.command(short_help="Write histories of runs to files, for replay tests.")
@click.argument("run_ids", metavar="[RUN_ID]...", nargs=-1)
@click.option("--task", metavar="NAME", help="The newest runs of this task function, where no ids are given.")
@click.option("--limit", type=click.IntRange(min=1), default=100, show_default=True, help="How many of those.")
@click.option("--to", "folder", metavar="FOLDER", default="histories", show_default=True, help="Where the files go.")
@shared_options
def command(run_ids: tuple[str, ...], task: str | None, limit: int, folder: str) -> None:
    """Write the histories of runs to files, one JSON file for each, so that `sequential replay` and tests can replay
    them.

    They hold what the runs were given and answered. What the engine hides from storage (keys, tokens) is not in them.
    """
    settings = Settings.current()
    if not run_ids and task is None:
        raise click.UsageError("say which runs: RUN_ID..., or --task NAME for the newest of a task function")

    async def export() -> list[Path]:
        from sequential_adaptor.testing import record_histories, write_histories

        async with settings.engine() as engine:
            return write_histories(folder, await record_histories(engine, run_ids, task=task, limit=limit))

    _print(settings, run_async(export))


def _print(settings: Settings, written: list[Path]) -> None:
    from sequential_adaptor.cli.console import print_json, say, write

    if settings.as_json:
        print_json([str(path) for path in written])
    elif not written:
        say("No runs to export. Look: sequential list --all")
    else:
        write("".join(f"{path}\n" for path in written))
        say("Replay them on today's code: sequential replay FILE... --code FILE.py")
