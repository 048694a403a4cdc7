"""SVG without any other program: boxes where the layout has them, curved arrows above them, labels above those."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from xml.sax.saxutils import escape

from sequential_adaptor.flow.drawing.layout import LINE, PADDING, Place, heading, layout
from sequential_adaptor.flow.drawing.sketch import Arrow, Box, Sketch

_FILLS = {"visited": "#e8f5e9", "current": "#fff3c4", "failed": "#fdecea"}
_STROKES = {"visited": "#2e7d32", "current": "#b7791f", "failed": "#c62828"}
_HEAD = (
    '<defs><marker id="head" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="7" markerHeight="7" '
    'orient="auto-start-reverse"><path d="M0 0 10 5 0 10z" fill="#444"/></marker></defs>'
)
Point = tuple[float, float]


def svg(sketch: Sketch) -> str:
    """The drawing, as one SVG document."""
    places = layout(sketch)
    whole = places[sketch.root]
    width, height = whole.width + 2 * PADDING, whole.height + 2 * PADDING
    parts = [
        _opening(width, height),
        _HEAD,
        *(part for box in sketch.boxes for part in _box(box, places[box])),
        *(part for box in sketch.boxes for part in _start(box, places)),
        *(part for arrow in sketch.arrows for part in _arrow(arrow, places)),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def _opening(width: float, height: float) -> str:
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0f}" height="{height:.0f}" '
        f'viewBox="0 0 {width:.0f} {height:.0f}" font-family="Helvetica, Arial, sans-serif" font-size="12">'
    )


def _box(box: Box, place: Place) -> Iterator[str]:
    fill = "#fafafa" if box.boxes else _FILLS.get(box.mark, "#ffffff")
    dashes = ' stroke-dasharray="6 4"' if box.parent is not None and box.parent.is_parallel else ""
    stroke = _STROKES.get(box.mark, "#888")
    yield _rectangle(place, 0, f'fill="{fill}" stroke="{stroke}"{dashes}')
    if box.is_final:
        yield _rectangle(place, 3, f'fill="none" stroke="{stroke}"')
    x, y = place.x + place.width / 2, place.y + LINE + 2
    for index, line in enumerate((box.title, *box.lines)):
        weight = ' font-weight="bold"' if index == 0 else ' fill="#555" font-size="11"'
        yield f'<text x="{x:.1f}" y="{y + index * LINE:.1f}" text-anchor="middle"{weight}>{escape(line)}</text>'


def _rectangle(place: Place, inset: float, attributes: str) -> str:
    return (
        f'<rect x="{place.x + inset:.1f}" y="{place.y + inset:.1f}" width="{place.width - 2 * inset:.1f}" '
        f'height="{place.height - 2 * inset:.1f}" rx="8" {attributes}/>'
    )


def _start(box: Box, places: Mapping[Box, Place]) -> Iterator[str]:
    """The dot at which a box begins, and its anchor."""
    if box.initial is not None:
        end = places[box.initial]
        x, y = end.x + 8, max(end.y - 16, places[box].y + heading(box))
        yield f'<circle cx="{x:.1f}" cy="{y:.1f}" r="5" fill="#444"/>'
        yield _path((x, y), (x, end.y), (x, y + 4), (x, end.y - 4))
    if box.has_anchor:
        x, y = _anchor(places[box])
        yield f'<path d="M{x:.1f} {y - 6:.1f}l6 6-6 6-6-6z" fill="#fff" stroke="#444"/>'


def _arrow(arrow: Arrow, places: Mapping[Box, Place]) -> Iterator[str]:
    begin, end = places[arrow.source], places[arrow.target]
    if arrow.source is arrow.target:
        x, y = begin.x + begin.width, begin.y + begin.height / 2
        yield _path((x, y - 8), (x, y + 8), (x + 34, y - 22), (x + 34, y + 22))
        yield from _text(arrow.label, (x + 30, y), "start")
        return
    start = _anchor(begin) if arrow.from_anchor else _border(begin, end.middle)
    stop = _border(end, begin.middle if not arrow.from_anchor else start)
    bend = _bend(start, stop)
    yield _path(start, stop, bend, bend)
    yield from _text(arrow.label, ((start[0] + stop[0] + 2 * bend[0]) / 4, (start[1] + stop[1] + 2 * bend[1]) / 4))


def _bend(start: Point, stop: Point) -> Point:
    """A point beside the middle, always to the right of the way, so that there and back are two lines."""
    (x, y), (to_x, to_y) = start, stop
    return (x + to_x) / 2 - (to_y - y) * 0.15, (y + to_y) / 2 + (to_x - x) * 0.15


def _border(place: Place, towards: Point) -> Point:
    """Where the line from the middle to a point leaves the rectangle."""
    x, y = place.middle
    dx, dy = towards[0] - x, towards[1] - y
    scale = max(abs(dx) / (place.width / 2), abs(dy) / (place.height / 2), 1e-9)
    return x + dx / max(scale, 1), y + dy / max(scale, 1)


def _anchor(place: Place) -> Point:
    return place.x + 14, place.y + place.height - 14


def _path(start: Point, stop: Point, one: Point, other: Point) -> str:
    numbers = " ".join(f"{value:.1f}" for point in (one, other, stop) for value in point)
    return f'<path d="M{start[0]:.1f} {start[1]:.1f}C{numbers}" fill="none" stroke="#444" marker-end="url(#head)"/>'


def _text(text: str, at: Point, anchor: str = "middle") -> Iterator[str]:
    if text:
        halo = 'paint-order="stroke" stroke="#fff" stroke-width="4" stroke-linejoin="round"'
        yield (
            f'<text x="{at[0]:.1f}" y="{at[1] + 4:.1f}" text-anchor="{anchor}" font-size="11" fill="#222" {halo}>'
            f"{escape(text)}</text>"
        )
