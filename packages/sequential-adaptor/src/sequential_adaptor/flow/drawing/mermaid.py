"""Mermaid's ``stateDiagram-v2``.

All states are declared in their boxes first and all arrows stand at the end, outside of any box: Mermaid moves a state
into the box in which an arrow mentions it.
"""

from __future__ import annotations

from collections.abc import Iterator

from sequential_adaptor.flow.drawing.sketch import Arrow, Box, Sketch

_PLAIN = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789 _.,/()[]*+!?'")
_STYLES = {
    "visited": "fill:#e8f5e9,stroke:#2e7d32",
    "current": "fill:#fff3c4,stroke:#b7791f,stroke-width:3px",
    "failed": "fill:#fdecea,stroke:#c62828,stroke-width:3px",
}
_SIGNS = {"visited": "✓ ", "current": "▶ ", "failed": "✗ "}


def mermaid(sketch: Sketch) -> str:
    """The diagram, as a document of Mermaid."""
    root = sketch.root
    boxes = [root] if root.is_parallel or not root.boxes else root.boxes
    lines = ["stateDiagram-v2"]
    for box in boxes:
        lines += _box(box, "  ")
    lines += [f"  {line}" for line in ([] if boxes == [root] else _ends(root))]
    lines += [f"  {_arrow(arrow)}" for arrow in sketch.arrows]
    return "\n".join([*lines, *_styles(sketch)]) + "\n"


def _box(box: Box, indent: str) -> Iterator[str]:
    if not box.boxes:
        yield f'{indent}state "{_title(box, signed=False)}" as {box.name}'
        return
    yield f'{indent}state "{_title(box, signed=True)}" as {box.name} {{'
    for index, inner in enumerate(box.boxes):
        if index and box.is_parallel:
            yield f"{indent}  --"
        yield from _box(inner, indent + "  ")
    yield from (f"{indent}  {line}" for line in _ends(box))
    yield f"{indent}}}"


def _ends(box: Box) -> Iterator[str]:
    """What belongs into a box besides its states: where it begins, where it ends, and its anchor."""
    if box.has_anchor:
        yield f"state {box.name}_any <<choice>>"
    if box.initial is not None:
        yield f"[*] --> {box.initial.name}"
    if not box.is_parallel:
        yield from (f"{inner.name} --> [*]" for inner in box.boxes if inner.is_final)


def _arrow(arrow: Arrow) -> str:
    source = f"{arrow.source.name}_any" if arrow.from_anchor else arrow.source.name
    text = f" : {_escaped(arrow.label)}" if arrow.label else ""
    return f"{source} --> {arrow.target.name}{text}"


def _title(box: Box, *, signed: bool) -> str:
    """Title and lines; a box with others in it takes no style from Mermaid, and shows its mark as a sign."""
    sign = _SIGNS.get(box.mark, "") if signed else ""
    return "<br/>".join([sign + _escaped(box.title), *map(_escaped, box.lines)])


def _styles(sketch: Sketch) -> Iterator[str]:
    for mark, style in _STYLES.items():
        names = [box.name for box in sketch.boxes if box.mark == mark and not box.boxes]
        if names:
            yield f"  classDef {mark} {style}"
            yield f"  class {','.join(names)} {mark}"


def _escaped(text: str) -> str:
    """Every character that could mean something to Mermaid as its code; other scripts as they are."""
    return "".join(char if char in _PLAIN or char.isalnum() else f"#{ord(char)};" for char in " ".join(text.split()))
