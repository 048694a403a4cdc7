"""``checkout``, ``fork``, ``commit``, ``rebuild``, ``reset``"""

from __future__ import annotations

from typing import Any

import click

from sequential_adaptor.cli.console import print_json, say, write
from sequential_adaptor.cli.container.formats import counted
from sequential_adaptor.cli.container.options import dirty_option, opened, place_options
from sequential_adaptor.cli.settings import Settings, run_async

_FORCE = "Throw away what was changed by hand."


@click.command(short_help="Bring the work directory to a layer.")
@click.argument("ref")
@click.option("--force", is_flag=True, help=_FORCE)
@dirty_option
@place_options
def checkout(ref: str, force: bool, **place: Any) -> None:
    """Bring the work directory to a layer, and make that the head."""

    async def move() -> Any:
        async with opened(**place) as runner:
            return await runner.checkout(ref, force)

    layer = run_async(move)
    _print(layer.result, f"the work directory is at {layer.short}")


@click.command(short_help="Make another work directory at a layer.")
@click.argument("ref")
@click.option("--to", type=click.Path(), metavar="FOLDER", help="Where; in the state folder by default.")
@place_options
def fork(ref: str, to: str | None, **place: Any) -> None:
    """Make another work directory on the same layers, at one of them, and print its path."""

    async def make() -> Any:
        async with opened(**place) as runner:
            other = await runner.fork(ref, to)
            try:
                return str(other.workdir), (await other.inspect(ref)).hash
            finally:
                await other.dispose()

    path, hash = run_async(make)
    if Settings.current().as_json:
        print_json({"workdir": path, "head": hash})
    else:
        write(f"{path}\n")
        say(f"Work there: sequential container run --workdir {path} COMMAND")


@click.command(short_help="Adopt what was changed by hand as a layer.")
@click.argument("message")
@place_options
def commit(message: str, **place: Any) -> None:
    """Adopt what was changed by hand in the work directory as a layer, with a message that says what it is."""

    async def adopt() -> Any:
        async with opened(**place) as runner:
            return await runner.commit(message)

    layer = run_async(adopt)
    _print(layer.result, f"layer {layer.short}: {counted(layer.changed)}")


@click.command(short_help="Write the work directory anew from its head.")
@place_options
def rebuild(**place: Any) -> None:
    """Write the work directory anew from its head. What was changed by hand is thrown away."""

    async def restore() -> Any:
        async with opened(**place) as runner:
            return await runner.rebuild()

    undone = run_async(restore)
    _print({"undone": undone.as_json()}, f"the work directory is as its head has it; undone: {counted(undone)}")


@click.command(short_help="Begin again with an empty work directory.")
@click.option("--force", is_flag=True, help=_FORCE)
@place_options
def reset(force: bool, **place: Any) -> None:
    """Begin again: an empty work directory, without a head. Layers stay."""

    async def begin_again() -> None:
        async with opened(**place) as runner:
            await runner.reset(force)

    run_async(begin_again)
    _print({"head": None}, "the work directory is empty and has no head; all layers are there still")


def _print(found: Any, text: str) -> None:
    if Settings.current().as_json:
        print_json(found)
    else:
        say(text)
