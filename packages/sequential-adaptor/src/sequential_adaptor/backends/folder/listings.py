"""Listings: what the index says of a run, enough to find it and to know when it is due without opening its files."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from sequential_adaptor.backends.folder.adoptions import Adoption
from sequential_adaptor.backends.folder.groups import Group
from sequential_adaptor.backends.folder.rows import root_of
from sequential_adaptor.backends.folder.schedule import Slot
from sequential_adaptor.lifecycles import STACK_RUN, TASK_RUN
from sequential_adaptor.records import JSON_FIELDS, TaskRun, field_names, from_json, to_json

_FIELDS = tuple(name for name in field_names(TaskRun) if name not in JSON_FIELDS[TaskRun])
_dump = json.JSONEncoder(ensure_ascii=False, check_circular=False, separators=(",", ":")).encode
_NOTABLE, _UNENDED = 1, 2


@dataclass(frozen=True, slots=True)
class Listing:
    """One line of the index.

    ``strays`` are stack runs whose ids name another run; ``adopted`` are those whose parents are in
    another run.
    """

    id: str
    run: TaskRun | None
    parts: int
    slots: tuple[Slot, ...]
    strays: tuple[str, ...]
    adopted: tuple[Adoption, ...]

    @classmethod
    def decode(cls, line: bytes) -> Listing:
        """The listing in a line."""
        id, _, _, run, parts, slots, strays, adopted = json.loads(line)
        return cls(
            id,
            None if run is None else _run(run),
            parts,
            tuple(map(Slot.from_json, slots)),
            tuple(strays),
            tuple(Adoption(*one) for one in adopted),
        )


def listing_line(group: Group) -> bytes:
    """The line of a group; of an empty one, a line that takes it out of the index."""
    if group.is_empty:
        return b'-"%s"' % group.id.encode("ascii")
    slots, strays, adopted, flags = [], [], [], 0
    if group.run is not None and group.run.status not in TASK_RUN.ended:
        flags |= _UNENDED
    for row in group.stack_runs():
        if row.status not in STACK_RUN.ended:
            flags |= _UNENDED
            slot = Slot.of(row)
            if slot is not None:
                slots.append(slot.to_json())
        if root_of(row.id) != group.id:
            strays.append(row.id)
        adoption = Adoption.of(row, group.id)
        if adoption is not None:
            adopted.append(adoption)
    if slots or strays or adopted:
        flags |= _NOTABLE
    run = None if group.run is None else to_json(group.run)
    created = "" if run is None else run["created_at"]
    fields = None if run is None else [run[name] for name in _FIELDS]
    return _dump([group.id, flags, created, fields, group.parts, slots, strays, adopted]).encode("utf-8")


def _run(fields: list[Any]) -> TaskRun:
    return from_json(TaskRun, dict(zip(_FIELDS, fields, strict=True)))


def take_line(listings: dict[str, bytes], line: bytes) -> None:
    """Put a line in the place of the run's line before; or take that out."""
    if line.startswith(b"-"):
        listings.pop(id_of(line), None)
    else:
        listings[id_of(line)] = line


def id_of(line: bytes) -> str:
    """The run of a line, without reading the rest of it."""
    return line[2 : line.index(b'"', 2)].decode("ascii")


def creation_of(line: bytes) -> tuple[bytes, bytes]:
    """When the run of a line was created, as text that sorts as the times do, and its id; at hand where it begins."""
    end = line.index(b'"', 2)
    return line[end + 5 : end + 32], line[2:end]


def in_line(text: str) -> bytes:
    """How a text stands in a line."""
    return _dump(text).encode("utf-8")


def run_of(line: bytes) -> TaskRun | None:
    """The run of a line, without its payloads."""
    fields = json.loads(line)[3]
    return None if fields is None else _run(fields)


def is_notable(line: bytes) -> bool:
    """Whether a line holds what must be known from the start."""
    return bool(_flags(line) & _NOTABLE)


def has_unended(line: bytes) -> bool:
    """Whether one of the run's stack runs has not ended."""
    return bool(_flags(line) & _UNENDED)


def _flags(line: bytes) -> int:
    return line[line.index(b'"', 2) + 2] - 48
