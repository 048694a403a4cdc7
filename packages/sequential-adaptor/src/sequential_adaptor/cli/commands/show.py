"""``sequential show``: one run, drawn as a timeline of its calls."""

from __future__ import annotations

import click

from sequential_adaptor.cli.options import shared_options
from sequential_adaptor.cli.settings import Settings, run_async


@click.command(short_help="Draw a run as a timeline of its calls.")
@click.argument("run_id", metavar="[RUN_ID]", required=False)
@shared_options
def command(run_id: str | None) -> None:
    """Show a run and its calls; the newest one where no id is given."""
    run_async(lambda: _show(Settings.current(), run_id))


async def _show(settings: Settings, run_id: str | None) -> None:
    from sequential_adaptor.cli import console, querying, rows, timeline

    async with settings.engine() as engine:
        run = await querying.run_of(engine, run_id)
        story = await querying.story_of(engine, run)
        now = await engine.adapter.now()
    if settings.as_json:
        console.print_json(rows.story_row(story))
    else:
        timeline.draw(console.out(), story, now)
