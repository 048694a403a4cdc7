"""``sequential container``: commands whose file changes are layers."""

from __future__ import annotations

import click

from sequential_adaptor.cli.container import keeping, looking, moving, running


@click.group(short_help="Run commands whose file changes are layers.")
def command() -> None:
    """Run commands in a work directory, and keep each one's file changes as a layer.

    The same command on the same layer is not run again. A REF is the hash of a layer, the beginning of one, or a tag.

    \b
    Isolation says how much a command is kept from the machine:
      none     nothing at all (the default): it may do whatever you may
      overlay  its changes in the work directory come into being when it has succeeded
      bwrap    it sees little, writes in the work directory alone, and has no network
    """


for module_command in (
    running.run,
    running.execute,
    looking.status,
    looking.diff,
    looking.history,
    looking.head,
    looking.tag,
    looking.tags,
    moving.checkout,
    looking.inspect,
    looking.read,
    moving.fork,
    moving.commit,
    moving.rebuild,
    moving.reset,
    keeping.verify,
    keeping.gc,
    keeping.du,
    keeping.export,
    keeping.import_,
):
    command.add_command(module_command)
