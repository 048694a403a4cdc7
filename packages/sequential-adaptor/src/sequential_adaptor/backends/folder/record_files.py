"""The readable files of a run: how they are written, and read with a check that nobody changed them.

Fields stand in their fixed order, and those that are ``None`` are left out. The first line holds a checksum of all
the lines behind it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from sequential_adaptor import values
from sequential_adaptor.backends.folder.groups import Group
from sequential_adaptor.backends.folder.paths import Paths
from sequential_adaptor.backends.folder.rows import Row, seal
from sequential_adaptor.errors import SequentialError, StorageDamaged
from sequential_adaptor.records import (
    JSON_FIELDS,
    StackRun,
    TaskRun,
    field_names,
    from_json,
    time_to_text,
)
from sequential_adaptor.values import JSON

_ONE_LINE = 80
_INDENTED = 16 * 1024
"""Payloads between these lengths are indented; longer ones stand in one line, for they would take too long."""
_START = b'{\n  "checksum": "'
_DIGEST = 16


def with_checksum(body: str) -> bytes:
    """A JSON object in text, without its opening brace, as the bytes of a file."""
    data = body.encode("utf-8")
    return b'%s%s",\n%s' % (_START, _digest(data), data)


def read_checked(path: Path) -> dict[str, JSON]:
    """The object in a file that :func:`with_checksum` made, or :class:`StorageDamaged`."""
    data = path.read_bytes()
    if not matches_checksum(data):
        raise damaged(path, "it does not match its checksum: it was edited, or damaged")
    found: dict[str, JSON] = values.decode(data)
    return found


def matches_checksum(data: bytes) -> bool:
    """Whether the bytes of a file are as :func:`with_checksum` made them."""
    body_at = len(_START) + _DIGEST + 3
    return data.startswith(_START) and data[len(_START) : len(_START) + _DIGEST] == _digest(data[body_at:])


def damaged(path: Path, what: str) -> StorageDamaged:
    """The error for a readable file that cannot be used."""
    return StorageDamaged(
        f"{path}: {what}. Restore the file (git checkout, a backup); records are changed by the library only"
    )


def head_bytes(run_id: str, run: TaskRun | None, frame: StackRun | None) -> bytes:
    """The file of a run and its root frame."""
    fields = [f'  "id": {_dump(run_id)}']
    fields += [f'  "{name}": {_record(row, "  ")}' for name, row in (("run", run), ("frame", frame)) if row is not None]
    return with_checksum(",\n".join(fields) + "\n}\n")


def calls_bytes(run_id: str, calls: Iterable[StackRun | None]) -> bytes:
    """A file of calls."""
    items = ",\n".join("    null" if row is None else f"    {_record(row, '    ')}" for row in calls)
    return with_checksum(f'  "id": {_dump(run_id)},\n  "calls": [\n{items}\n  ]\n}}\n')


def group_part(group: Group, number: int) -> bytes:
    """One file of a group."""
    if number == 0:
        return head_bytes(group.id, group.run, group.frame)
    return calls_bytes(group.id, group.part(number))


def read_head(paths: Paths, run_id: str) -> tuple[TaskRun | None, StackRun | None]:
    """A run and its root frame, from their file."""
    path = paths.part(run_id, 0)
    found = _read(path)
    run, frame = found.get("run"), found.get("frame")
    return (
        None if run is None else _row(TaskRun, run, path),
        None if frame is None else _row(StackRun, frame, path),
    )


def read_group(paths: Paths, run_id: str, parts: int | None = None) -> Group:
    """A run with all that belongs to it, from its files; ``parts`` where it is known how many files of calls there
    are.
    """
    group = Group(run_id, stored=True)
    group.run, group.frame = read_head(paths, run_id)
    number = 1
    while parts is None or number <= parts:
        path = paths.part(run_id, number)
        if parts is None and not path.exists():
            break
        _add_calls(group, path)
        number += 1
    return group


def _add_calls(group: Group, path: Path) -> None:
    for found in _read(path).get("calls", ()):
        row = None if found is None else _row(StackRun, found, path)
        if row is not None:
            group.places[row.id] = len(group.calls)
        group.calls.append(row)


def _read(path: Path) -> dict[str, JSON]:
    try:
        return read_checked(path)
    except FileNotFoundError:
        raise damaged(path, "the file is gone") from None


def _row(kind: Any, found: dict[str, JSON], path: Path) -> Any:
    try:
        return seal(from_json(kind, found))
    except (SequentialError, TypeError, ValueError) as error:
        raise damaged(path, f"it holds what this version cannot read ({error})") from error


def _record(row: Row, indent: str) -> str:
    payloads = JSON_FIELDS[type(row)]
    lines = []
    for name in field_names(type(row)):
        value = getattr(row, name)
        if value is not None:
            text = _payload(value, f"{indent}  ") if name in payloads else _scalar(value)
            lines.append(f'{indent}  "{name}": {text}')
    return "{\n" + ",\n".join(lines) + f"\n{indent}}}"


def _scalar(value: Any) -> str:
    if type(value) is str:
        return _dump(value)
    return str(value) if type(value) is int else f'"{time_to_text(value)}"'


def _payload(text: str, indent: str) -> str:
    if not _ONE_LINE < len(text) <= _INDENTED:
        return text
    return values.encode_readable(values.decode(text)).replace("\n", f"\n{indent}")


def _digest(data: bytes) -> bytes:
    return hashlib.blake2b(data, digest_size=_DIGEST // 2).hexdigest().encode("ascii")


_dump = json.JSONEncoder(ensure_ascii=False).encode
