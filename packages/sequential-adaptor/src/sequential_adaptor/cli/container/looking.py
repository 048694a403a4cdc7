"""``status``, ``diff``, ``history``, ``head``, ``tag``, ``tags``, ``inspect``, ``read``"""

from __future__ import annotations

import base64
import sys
from typing import Any

import click

from sequential_adaptor.cli.console import draws_lines, print_json, say, write
from sequential_adaptor.cli.container.formats import ASCII, LINES, listed, size, tree
from sequential_adaptor.cli.container.options import opened, place_options
from sequential_adaptor.cli.formats import duration, printable
from sequential_adaptor.cli.settings import Settings, run_async
from sequential_adaptor.values import JSON


def _asked(method: str, *arguments: Any, **place: Any) -> Any:
    """What a runner answers."""

    async def ask() -> Any:
        async with opened(**place) as runner:
            return await getattr(runner, method)(*arguments)

    return run_async(ask)


def _as_json() -> bool:
    return Settings.current().as_json


@click.command(short_help="Say what was changed by hand since the head.")
@place_options
def status(**place: Any) -> None:
    """Say where the work directory is, and what was changed in it by hand since its head."""
    from sequential_adaptor.runners.container.store import Changes

    found = _asked("status", **place)
    if _as_json():
        print_json(dict(found))
        return
    say(f"{found['workdir']} is at {found['head'][:12] if found['head'] else 'its beginning, without a head'}")
    if found["busy"]:
        say(found["busy"])
    elif found.clean:
        say("nothing was changed by hand")
    changes = Changes(tuple(found.added), tuple(found.modified), tuple(found.deleted))
    write("".join(f"{line}\n" for line in listed(changes)))


@click.command(short_help="List what differs between two layers.")
@click.argument("a", metavar="REF")
@click.argument("b", metavar="[REF]", required=False)
@place_options
def diff(a: str, b: str | None, **place: Any) -> None:
    """List what differs from the first layer to the second, or to the head: + added, ~ modified, - deleted."""
    found = _asked("diff", a, b, **place)
    if _as_json():
        print_json(found.as_json())
    else:
        write("".join(f"{line}\n" for line in listed(found)))


@click.command(short_help="Draw all layers as a tree.")
@place_options
def history(**place: Any) -> None:
    """Draw all layers as a tree, each below the one that it began on."""

    async def look() -> Any:
        async with opened(**place) as runner:
            return await runner.history(all=True), await runner.head(), await runner.tags()

    layers, head, tags = run_async(look)
    if _as_json():
        at = head and head.hash
        print_json(
            [
                {**layer.result, "head": layer.hash == at, "tags": [name for name in tags if tags[name] == layer.hash]}
                for layer in layers
            ]
        )
    elif not layers:
        say("no layers yet. Make one: sequential container run COMMAND")
    else:
        drawn = tree(layers, head and head.hash, tags, LINES if draws_lines() else ASCII)
        write("".join(f"{line}\n" for line in drawn))


@click.command(short_help="Print the layer that the work directory is at.")
@place_options
def head(**place: Any) -> None:
    """Print the hash of the layer that the work directory is at."""
    found = _asked("head", **place)
    if _as_json():
        print_json(None if found is None else found.result)
    elif found is None:
        say("there is no head yet: the work directory is at its beginning")
    else:
        write(f"{found.hash}\n")


@click.command(short_help="Let a name stand for a layer.")
@click.argument("name")
@click.argument("ref", required=False)
@click.option("--delete", is_flag=True, help="Take the name away; the layer stays.")
@place_options
def tag(name: str, ref: str | None, delete: bool, **place: Any) -> None:
    """Let a name stand for a layer, the head by default. A name that it had before moves."""
    if delete:
        _asked("untag", name, **place)
        say(f"{name} is no tag any more")
        return
    layer = _asked("tag", name, ref, **place)
    if _as_json():
        print_json({"name": name, "hash": layer.hash})
    else:
        say(f"{name} is {layer.short}")


@click.command(short_help="List tags.")
@place_options
def tags(**place: Any) -> None:
    """List tags with the layers that they stand for."""
    found = _asked("tags", **place)
    if _as_json():
        print_json(found)
    else:
        width = max(map(len, found), default=0)
        write("".join(f"{name:{width}}  {hash[:12]}\n" for name, hash in found.items()))


@click.command(short_help="Show all of one layer.")
@click.argument("ref")
@place_options
def inspect(ref: str, **place: Any) -> None:
    """Show what one layer came of, what it changed, and what its command printed."""
    layer = _asked("inspect", ref, **place)
    if _as_json():
        print_json(layer.result)
        return
    found: dict[str, JSON] = layer.result
    facts = {
        "layer": layer.hash,
        "parent": layer.parent or "none",
        layer.kind: layer.command or found.get("message") or "",
        "made": layer.time and layer.time.isoformat(sep=" ", timespec="seconds"),
        "took": None if layer.seconds is None else duration(layer.seconds),
        "isolation": found.get("isolation"),
        "size": f"{size(layer.size)}; the store grew by {size(found['stored'])}",
    }
    lines = [f"{name:10}{printable(str(value))}" for name, value in facts.items() if value]
    for name, text in (("stdout", layer.stdout), ("stderr", layer.stderr)):
        lines += [f"\n{name}", *(f"  {printable(line)}" for line in text.splitlines())] if text else []
    changes = list(listed(layer.changed))
    lines += ["\nchanged", *(f"  {line}" for line in changes)] if changes else []
    write("".join(f"{line}\n" for line in lines))


@click.command(short_help="Print a file of a layer.")
@click.argument("ref")
@click.argument("path")
@place_options
def read(ref: str, path: str, **place: Any) -> None:
    """Print a file as a layer has it, exactly."""
    content: bytes = _asked("read", ref, path, **place)
    if _as_json():
        text = content.decode("utf-8", "replace")
        exact = text.encode("utf-8") == content
        print_json(
            {"path": printable(path), **({"text": text} if exact else {"base64": base64.b64encode(content).decode()})}
        )
    else:
        sys.stdout.flush()
        sys.stdout.buffer.write(content)
        sys.stdout.buffer.flush()
