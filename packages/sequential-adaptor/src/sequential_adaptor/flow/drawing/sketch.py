"""What is to be drawn, before any notation: boxes within boxes, arrows with labels, marks of a run.

An arrow between a state and one that it is inside of cannot be drawn by any of the notations as it stands: Mermaid
loses it, or fails, most of all within the regions of a parallel state. So an arrow *to* a state around its source goes
to the state inside that is entered first, and an arrow *from* a state around its target starts at a small anchor in the
box, which stands for whatever is active there. A transition that stays where it is becomes a line in the box.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field

from sequential_adaptor.flow.chart import COMPOUND, FINAL, HISTORY, PARALLEL, Chart, State
from sequential_adaptor.flow.drawing.labels import label, own_lines


@dataclass(frozen=True, slots=True)
class Marks:
    """A run's traces, by paths: states that were entered, are active, or were active when the flow failed.

    ``notes`` are shown in the state's box, as the times at which it was entered.
    """

    visited: Collection[str] = ()
    current: Collection[str] = ()
    failed: Collection[str] = ()
    notes: Mapping[str, str] = field(default_factory=dict)

    def of(self, path: str) -> str:
        """``failed``, ``current``, ``visited``, or nothing."""
        for name in ("failed", "current", "visited"):
            if path in getattr(self, name):
                return name
        return ""


@dataclass(eq=False, slots=True)
class Box:
    """A state. ``lines`` are below its ``title``; ``has_anchor`` says that an arrow starts at its anchor."""

    name: str
    title: str
    kind: str
    mark: str
    lines: list[str]
    parent: Box | None
    boxes: list[Box] = field(default_factory=list["Box"])
    initial: Box | None = None
    has_anchor: bool = False

    @property
    def is_parallel(self) -> bool:
        """Whether all its boxes are active at once."""
        return self.kind == PARALLEL

    @property
    def is_final(self) -> bool:
        """Whether it ends the box that it is in."""
        return self.kind == FINAL

    @property
    def is_history(self) -> bool:
        """Whether it stands for what was active before."""
        return self.kind == HISTORY

    def around(self) -> Iterator[Box]:
        """The box that it is in, the one around that, and so on."""
        box = self.parent
        while box is not None:
            yield box
            box = box.parent

    def all(self) -> Iterator[Box]:
        """The box and those in it, outer ones first."""
        yield self
        for box in self.boxes:
            yield from box.all()


@dataclass(frozen=True, slots=True)
class Arrow:
    """``from_anchor``: it starts at the anchor inside ``source``."""

    source: Box
    target: Box
    label: str
    from_anchor: bool = False


@dataclass(frozen=True, slots=True)
class Sketch:
    """``root`` is the machine itself."""

    root: Box
    arrows: list[Arrow]

    @property
    def boxes(self) -> list[Box]:
        """All boxes, the machine's own first."""
        return list(self.root.all())


def sketch(chart: Chart, marks: Marks) -> Sketch:
    """The sketch of a chart."""
    boxes: dict[State, Box] = {}
    for state in chart.states:
        parent = boxes[state.parent] if state.parent is not None else None
        box = boxes[state] = Box(
            f"s{state.index}", _title(state, chart), state.kind, marks.of(state.path), _lines(state, marks), parent
        )
        if parent is not None:
            parent.boxes.append(box)
    for state, box in boxes.items():
        box.initial = boxes[state.initial] if state.initial is not None else None
    return Sketch(boxes[chart.root], list(_arrows(chart, boxes)))


def _title(state: State, chart: Chart) -> str:
    if state.kind == HISTORY:
        return "H*" if state.deep else "H"
    return state.key or chart.name


def _lines(state: State, marks: Marks) -> list[str]:
    description = state.config.get("description")
    found = [description] if isinstance(description, str) and description else []
    note = marks.notes.get(state.path)
    return [*found, *own_lines(state), *([note] if note else [])]


def _arrows(chart: Chart, boxes: dict[State, Box]) -> Iterator[Arrow]:
    for state in chart.states:
        for transition in state.transitions:
            for target in transition.targets or ():
                if target is not state or transition.reenter:
                    yield _arrow(state, target, label(transition), boxes)
        if state.kind == HISTORY and "target" in state.config:
            for target in state.history_targets:
                yield Arrow(boxes[state], boxes[target], "")


def _arrow(source: State, target: State, text: str, boxes: dict[State, Box]) -> Arrow:
    start, end = source, target
    if target is source or target.contains(source):
        text = f"{text} (to {target.path or 'the start'})" if target is not source else text
        end = _first_inside(target, source)
    if start.contains(end):
        start = _anchored(start, end)
        boxes[start].has_anchor = True
        return Arrow(boxes[start], boxes[end], text, from_anchor=True)
    return Arrow(boxes[start], boxes[end], text)


def _first_inside(around: State, source: State) -> State:
    """Where an arrow that leads back to a state around its source gets to: the first one there that is not around."""
    state = around
    while state is source or state.contains(source):
        below = _region(state, source) if state.kind == PARALLEL else state.initial
        if below is None or state.kind not in (COMPOUND, PARALLEL):
            return state
        state = below
    return state


def _anchored(around: State, end: State) -> State:
    """The box whose anchor an arrow starts at; in a parallel state the region's, unless the arrow leads to that."""
    region = _region(around, end) if around.kind == PARALLEL else None
    return region if region is not None and region is not end else around


def _region(parallel: State, inside: State) -> State | None:
    found = (region for region in parallel.regions if region is inside or region.contains(inside))
    return next(found, parallel.regions[0])
