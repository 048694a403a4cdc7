"""``sequential new-backend``: a package for a storage of one's own."""

from __future__ import annotations

import click

from sequential_adaptor.cli.console import say
from sequential_adaptor.cli.options import debug_option


@click.command(name="new-backend", short_help="Make a package for a storage of your own.")
@click.argument("name")
@click.argument("target", required=False)
@debug_option
def command(name: str, target: str | None) -> None:
    """Make a package for a backend called NAME, which works and passes its tests as it is.

    TARGET is a folder that is new or empty, ./sequential-adaptor-NAME where none is given.
    """
    from sequential_adaptor.testing.template import new_backend

    folder = new_backend(name, target)
    say(f"{folder}: a backend that works, with its tests")
    say(f'Try it: cd {folder} && pip install -e ".[test]" && pytest')
