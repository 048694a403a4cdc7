"""``sequential demo``: see a task survive."""

from __future__ import annotations

import tempfile
from pathlib import Path

import click

from sequential_adaptor.cli.options import debug_option
from sequential_adaptor.cli.settings import run_async


@click.command(short_help="See a task being killed and going on in another process.")
@click.option(
    "--folder",
    type=click.Path(file_okay=False, path_type=Path),
    help="Where the files are left: ./sequential-demo by default, a temporary folder where that cannot be made.",
)
@debug_option
def command(folder: Path | None) -> None:
    """Watch a task being killed in the middle and going on in another process.

    A real HTTP service, a real worker, a real SIGKILL; all on this machine, in a few seconds.
    """
    from sequential_adaptor.cli.demonstration.play import play

    chosen = folder or _default_folder()
    run_async(lambda: play(chosen))


def _default_folder() -> Path:
    folder = Path("sequential-demo")
    try:
        folder.mkdir(exist_ok=True)
    except OSError:
        return Path(tempfile.mkdtemp(prefix="sequential-demo-"))
    return folder
