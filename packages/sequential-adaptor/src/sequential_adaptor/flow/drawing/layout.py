"""Where everything goes in a drawing of our own: rows by distance from the initial state, regions side by side."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sequential_adaptor.flow.drawing.sketch import Box, Sketch

LINE, PADDING, GAP = 16.0, 12.0, 56.0
_CHARACTER = 7.0
_NARROWEST = 70.0


@dataclass(slots=True)
class Place:
    """A rectangle, in pixels from the top left corner of the drawing."""

    x: float
    y: float
    width: float
    height: float

    @property
    def middle(self) -> tuple[float, float]:
        """The centre."""
        return self.x + self.width / 2, self.y + self.height / 2


def layout(sketch: Sketch) -> Mapping[Box, Place]:
    """The place of every box."""
    places: dict[Box, Place] = {}
    _measure(sketch.root, _following(sketch), places)
    _move(sketch.root, PADDING, PADDING, places)
    return places


def heading(box: Box) -> float:
    """The height of a box's title and lines."""
    return PADDING + LINE * (1 + len(box.lines))


def _following(sketch: Sketch) -> dict[Box, list[Box]]:
    """Which box follows which within their common box."""
    found: dict[Box, list[Box]] = {}
    for arrow in sketch.arrows:
        chains = [[box, *box.around()] for box in (arrow.source, arrow.target)]
        common = next((box for box in chains[0][1:] if box in chains[1][1:]), None)
        ends = [next((box for box in chain if box.parent is common), None) for chain in chains]
        if ends[0] is not None and ends[1] is not None and ends[0] is not ends[1]:
            found.setdefault(ends[0], []).append(ends[1])
    return found


def _rows(box: Box, following: dict[Box, list[Box]]) -> list[list[Box]]:
    """The boxes inside, by their distance from the initial one; those of a parallel state are all in one row."""
    if box.is_parallel:
        return [box.boxes]
    ranks: dict[Box, int] = {}
    for start in (box.initial, *box.boxes):
        row = [start] if start is not None and start not in ranks else []
        rank = max(ranks.values(), default=-1) + 1
        while row:
            ranks.update(dict.fromkeys(row, rank))
            row = list(dict.fromkeys(near for one in row for near in following.get(one, []) if near not in ranks))
            rank += 1
    rows: list[list[Box]] = [[] for _ in range(max(ranks.values(), default=-1) + 1)]
    for inner, rank in ranks.items():
        rows[rank].append(inner)
    return rows


def _measure(box: Box, following: dict[Box, list[Box]], places: dict[Box, Place]) -> None:
    """Sizes, and places relative to the box around."""
    text = max(len(line) for line in (box.title, *box.lines))
    width, y = max(_NARROWEST, text * _CHARACTER + 2 * PADDING), heading(box) + PADDING
    for inner in box.boxes:
        _measure(inner, following, places)
    rows = _rows(box, following) if box.boxes else []
    widths = [sum(places[inner].width for inner in row) + GAP * (len(row) - 1) for row in rows]
    width = max([width, *(found + 2 * PADDING + GAP / 2 for found in widths)])
    for row, found in zip(rows, widths, strict=True):
        x = (width - found) / 2
        for inner in row:
            places[inner].x, places[inner].y = x, y
            x += places[inner].width + GAP
        y += max(places[inner].height for inner in row) + GAP
    places[box] = Place(0, 0, width, y - GAP + PADDING if rows else y)


def _move(box: Box, x: float, y: float, places: dict[Box, Place]) -> None:
    places[box].x += x
    places[box].y += y
    for inner in box.boxes:
        _move(inner, places[box].x, places[box].y, places)
