"""``sequential init``: a folder to begin in."""

from __future__ import annotations

from pathlib import Path

import click

from sequential_adaptor.cli.console import say
from sequential_adaptor.cli.failures import CommandFailed
from sequential_adaptor.cli.options import debug_option, storage_option
from sequential_adaptor.cli.settings import Settings, run_async
from sequential_adaptor.storage.locations import DEFAULT, Location, find_storage, parse_storage


@click.command(short_help="Make a folder ready: storage, and a first task.")
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path), default=".")
@storage_option
@debug_option
def command(folder: Path) -> None:
    """Make a folder ready: storage, named in pyproject.toml, and a first task.

    What is there already is left as it is.
    """
    from sequential_adaptor.cli.starting import TASK, set_storage, write_new

    storage = Settings.current().storage or DEFAULT
    if parse_storage(storage).display != storage:
        raise CommandFailed(
            "a storage URL with a password or key does not belong into pyproject.toml",
            "Set SEQUENTIAL_STORAGE to it instead.",
        )
    folder.mkdir(parents=True, exist_ok=True)
    named = set_storage(folder / "pyproject.toml", storage)
    say(f"{folder / 'pyproject.toml'}: {'storage = ' + storage if named else 'names a storage already'}")
    if not (folder / "hello.py").exists():
        write_new(folder / "hello.py", TASK)
        say(f"{folder / 'hello.py'}: a first task")
    location = find_storage(environ={}, folder=folder.resolve())
    run_async(lambda: _open(location))
    cd = "" if folder.resolve() == Path.cwd() else f"cd {folder} && "
    say(f"Run it: {cd}sequential run hello.py")


async def _open(location: Location) -> None:
    from sequential_adaptor.registry import create

    adapter = await create("adapter", location.backend, location.config)
    await adapter.close()
