"""``sequential doctor``: what is well and what is not."""

from __future__ import annotations

import click

from sequential_adaptor.cli.console import print_json
from sequential_adaptor.cli.options import shared_options
from sequential_adaptor.cli.settings import Settings, run_async

_MARKS = {"ok": ("ok", "green"), "warning": ("!!", "yellow"), "failure": ("XX", "red")}


@click.command(short_help="Check the installation and the storage.")
@click.option("--thorough", is_flag=True, help="Read everything that is stored.")
@shared_options
@click.pass_context
def command(context: click.Context, thorough: bool) -> None:
    """Check the installation and the storage. Exit code 1 where something does not work."""
    from sequential_adaptor.cli.examination import examine

    settings = Settings.current()
    findings = run_async(lambda: examine(settings.storage, thorough=thorough))
    if settings.as_json:
        print_json([{"level": one.level, "subject": one.subject, "text": one.text} for one in findings])
    else:
        for one in findings:
            mark, colour = _MARKS[one.level]
            click.echo(f"{click.style(mark, fg=colour)}  {one.subject:<9} {one.text}")
            if one.remedy:
                click.echo(f"    {'':<9} {one.remedy}")
    if any(one.level == "failure" for one in findings):
        context.exit(1)
