"""Layers and changes as text for people."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sequential_adaptor.cli.formats import duration, printable

if TYPE_CHECKING:
    from sequential_adaptor.runners.container import Layer
    from sequential_adaptor.runners.container.store import Changes

_UNITS = ("B", "KiB", "MiB", "GiB", "TiB")
_TITLE = 48


@dataclass(frozen=True, slots=True)
class Pen:
    """The signs that a tree is drawn with."""

    head: str
    layer: str
    line: str
    branch: str


LINES = Pen("●", "○", "│ ", "├─")
ASCII = Pen("*", "o", "| ", "|-")


def tree(layers: Sequence[Layer], head: str | None, tags: Mapping[str, str], pen: Pen) -> Iterator[str]:
    """All layers, each below its parent: the youngest child goes straight on, the others branch off before it."""
    known = {layer.hash for layer in layers}
    children: dict[str | None, list[Layer]] = {}
    for layer in layers:
        children.setdefault(layer.parent if layer.parent in known else None, []).append(layer)
    names: dict[str, list[str]] = {}
    for name, hash in tags.items():
        names.setdefault(hash, []).append(name)
    waiting = [(layer, "", "") for layer in reversed(children.get(None, []))]
    while waiting:
        layer, first, rest = waiting.pop()
        sign = pen.head if layer.hash == head else pen.layer
        marks = [*(["head"] if layer.hash == head else []), *names.get(layer.hash, [])]
        yield f"{first}{sign} {row(layer, marks)}"
        below = children.get(layer.hash, [])
        waiting += [(last, rest, rest) for last in below[-1:]]
        waiting += [(other, rest + pen.branch, rest + pen.line) for other in reversed(below[:-1])]


def row(layer: Layer, marks: Sequence[str] = ()) -> str:
    """One layer on one line."""
    took = "" if layer.seconds is None else f"  {duration(layer.seconds)}"
    named = f"  ({', '.join(marks)})" if marks else ""
    change = size(layer.size) if layer.kind == "import" else counted(layer.changed)
    return f"{layer.short}  {told(layer)}  {change}{took}{named}"


def told(layer: Layer) -> str:
    """What a layer came of, on one short line."""
    from sequential_adaptor.runners.container.errors import title

    text = str(layer.result.get("message") or "") if layer.command is None else title(layer.command)
    text = printable(text if text.startswith(layer.kind) or layer.kind == "command" else f"{layer.kind}: {text}")
    return text if len(text) <= _TITLE else f"{text[: _TITLE - 1]}…"


def counted(changes: Changes) -> str:
    """``+3 ~1 -2``, or that there is none."""
    if changes.clean:
        return "no changes"
    counts = (("+", changes.added), ("~", changes.modified), ("-", changes.deleted))
    return " ".join(f"{sign}{len(paths)}" for sign, paths in counts if paths)


def listed(changes: Changes) -> Iterator[str]:
    """A line for each path."""
    for sign, paths in (("+", changes.added), ("~", changes.modified), ("-", changes.deleted)):
        for path in paths:
            yield f"{sign} {printable(path)}"


def size(count: float) -> str:
    """``12 B``, ``3.4 MiB``"""
    step = 0
    while count >= 1024 and step < len(_UNITS) - 1:
        count, step = count / 1024, step + 1
    return f"{count:.{1 if step else 0}f} {_UNITS[step]}"
