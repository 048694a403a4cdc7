"""``sequential new``: a task file to begin with."""

from __future__ import annotations

from pathlib import Path

import click

from sequential_adaptor.cli.console import say
from sequential_adaptor.cli.options import debug_option
from sequential_adaptor.cli.parsing import identifier


@click.command(short_help="Write a small task that runs as it is.")
@click.argument("name")
@debug_option
def command(name: str) -> None:
    """Write NAME.py, a small task that runs as it is."""
    from sequential_adaptor.cli.starting import TASK, write_new

    given = Path(name)
    path = given.with_name(f"{identifier(given.name.removesuffix('.py'))}.py")
    path.parent.mkdir(parents=True, exist_ok=True)
    write_new(path, TASK)
    say(f"{path}: a small task")
    say(f"Run it: sequential run {path}")
