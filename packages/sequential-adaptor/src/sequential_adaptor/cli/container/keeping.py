"""``verify``, ``gc``, ``du``, ``export``, ``import``"""

from __future__ import annotations

from typing import Any

import click

from sequential_adaptor.cli.console import print_json, say, write
from sequential_adaptor.cli.container.formats import size
from sequential_adaptor.cli.container.options import opened, place_options
from sequential_adaptor.cli.failures import FAILED
from sequential_adaptor.cli.formats import printable
from sequential_adaptor.cli.settings import Settings, run_async
from sequential_adaptor.values import JSON


@click.command(short_help="Read everything and check it.")
@place_options
@click.pass_context
def verify(context: click.Context, /, **place: Any) -> None:
    """Read every object of every layer and check it against its hash. Ends with 1 where something is damaged."""

    async def check() -> Any:
        async with opened(**place) as runner:
            return await runner.verify()

    found = run_async(check)
    damage: list[dict[str, JSON]] = [
        {
            "object": each.object,
            "reason": each.reason,
            "layers": list(each.layers),
            "paths": [printable(path) for path in each.paths],
        }
        for each in found.damage
    ]
    if Settings.current().as_json:
        print_json({"layers": found.layers, "objects": found.objects, "bytes": found.bytes, "damage": damage})
    else:
        for each in damage:
            where = ", ".join([*each["paths"], *(hash[:12] for hash in each["layers"])])
            write(f"damaged: {each['object'][:12]} ({each['reason']}) in {where}\n")
        say(f"{found.layers} layers, {found.objects} objects, {size(found.bytes)}: {_verdict(len(damage))}")
    context.exit(FAILED if damage else 0)


def _verdict(damaged: int) -> str:
    return f"{damaged} damaged" if damaged else "whole"


@click.command(short_help="Free what nothing needs.")
@click.option(
    "--keep", multiple=True, metavar="REF", help="Take away all layers but these, tags, heads, their parents."
)
@click.option("--unused", is_flag=True, help="Take away all layers but tags, heads and their parents.")
@place_options
def gc(keep: tuple[str, ...], unused: bool, **place: Any) -> None:
    """Free what nothing needs. No layer goes, unless --keep or --unused says which may."""

    async def collect() -> Any:
        async with opened(**place) as runner:
            return await runner.gc(list(keep) if keep or unused else None)

    found = run_async(collect)
    if Settings.current().as_json:
        print_json({"layers": found.layers, "objects": found.objects, "freed": found.freed, "kept": found.kept})
    else:
        say(f"freed {size(found.freed)}: {found.layers} layers, {found.objects} objects; {size(found.kept)} are left")


@click.command(short_help="Say what the layers cost.")
@place_options
def du(**place: Any) -> None:
    """Say what the layers hold, and what they cost on disk."""

    async def look() -> Any:
        async with opened(**place) as runner:
            return await runner.du()

    found = run_async(look)
    if Settings.current().as_json:
        names = ("layers", "objects", "content", "raw", "packed", "index")
        print_json({**{name: getattr(found, name) for name in names}, "works": dict(found.works)})
        return
    write(
        f"{found.layers} layers, {found.objects} objects\n"
        f"content of all layers  {size(found.content)}\n"
        f"different content      {size(found.raw)}\n"
        f"on disk                {size(found.packed)} and {size(found.index)} of index\n"
    )


@click.command("export", short_help="Write a layer as an archive.")
@click.argument("ref")
@click.argument("path", type=click.Path())
@place_options
def export(ref: str, path: str, **place: Any) -> None:
    """Write a layer as an archive: a tar file for names that end in .tar or .tar.gz, else a folder in OCI layout."""

    async def write_out() -> None:
        async with opened(**place) as runner:
            await runner.export(ref, path)

    run_async(write_out)
    if Settings.current().as_json:
        print_json({"path": path})
    else:
        say(f"{path} is written")


@click.command("import", short_help="Make a layer of an archive.")
@click.argument("path", type=click.Path(exists=True))
@click.option("--tag", "name", help="A name for it.")
@place_options
def import_(path: str, name: str | None, **place: Any) -> None:
    """Make a layer of a tar file, or of an image in OCI layout. The head stays where it is."""

    async def read_in() -> Any:
        async with opened(**place) as runner:
            layer = await runner.import_(path)
            return layer if name is None else await runner.tag(name, layer.hash)

    layer = run_async(read_in)
    if Settings.current().as_json:
        print_json(layer.result)
    else:
        say(f"layer {layer.short}: {size(layer.size)}")
        say(f"Go there: sequential container checkout {name or layer.short}")
