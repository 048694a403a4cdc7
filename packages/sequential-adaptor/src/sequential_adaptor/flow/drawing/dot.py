"""Graphviz: boxes within boxes are clusters, and an arrow at one ends at its border."""

from __future__ import annotations

from collections.abc import Iterator

from sequential_adaptor.flow.drawing.sketch import Arrow, Box, Sketch

_FILLS = {"visited": "#e8f5e9", "current": "#fff3c4", "failed": "#fdecea", "": "#ffffff"}
_COLOURS = {"visited": "#2e7d32", "current": "#b7791f", "failed": "#c62828", "": "#888888"}


def dot(sketch: Sketch) -> str:
    """The diagram, as a document of Graphviz."""
    lines = [
        f"digraph {_quoted(sketch.root.title)} {{",
        "  compound=true; newrank=true; fontname=Helvetica; fontsize=11;",
        '  node [shape=box, style="rounded,filled", fontname=Helvetica, fontsize=11];',
        "  edge [fontname=Helvetica, fontsize=10];",
        *_box(sketch.root, "  "),
        *(f"  {_arrow(arrow)}" for arrow in sketch.arrows),
        "}",
    ]
    return "\n".join(lines) + "\n"


def _box(box: Box, indent: str) -> Iterator[str]:
    text = _quoted("\n".join([box.title, *box.lines]))
    if not box.boxes:
        shape = ", peripheries=2" if box.is_final else ", shape=circle" if box.is_history else ""
        yield f"{indent}{box.name} [label={text}, fillcolor={_quoted(_FILLS[box.mark])}{shape}];"
        return
    style = "dashed" if box.parent is not None and box.parent.is_parallel else "rounded"
    yield f"{indent}subgraph cluster_{box.name} {{"
    yield f'{indent}  label={text}; style="{style},filled"; fillcolor="#fafafa"; color={_quoted(_COLOURS[box.mark])};'
    if box.initial is not None:
        yield f'{indent}  {box.name}_start [shape=point, width=0.12, label=""];'
    if box.has_anchor:
        yield f'{indent}  {box.name}_any [shape=diamond, width=0.15, height=0.15, label=""];'
    for inner in box.boxes:
        yield from _box(inner, indent + "  ")
    if box.initial is not None:
        yield f"{indent}  {_line(f'{box.name}_start', box.initial, '')}"
    yield f"{indent}}}"


def _arrow(arrow: Arrow) -> str:
    if arrow.from_anchor:
        return _line(f"{arrow.source.name}_any", arrow.target, arrow.label)
    tail = f", ltail=cluster_{arrow.source.name}" if arrow.source.boxes else ""
    return _line(_node(arrow.source), arrow.target, arrow.label, tail)


def _line(source: str, target: Box, text: str, more: str = "") -> str:
    head = f", lhead=cluster_{target.name}" if target.boxes else ""
    return f"{source} -> {_node(target)} [label={_quoted(text)}{head}{more}];"


def _node(box: Box) -> str:
    """A node that stands for the box: itself, or one inside it."""
    while box.boxes:
        box = box.initial or box.boxes[0]
    return box.name


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'
