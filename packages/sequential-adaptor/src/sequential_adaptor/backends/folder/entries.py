"""Entries: what one commit wrote, as one line of the journal.

A line is a JSON header and the payloads that it points to by number, apart by tabs (JSON text has no raw tab):

    {"id":"c1","ops":[["StackRun","r","r.1",{"status":"completed","result":0},false]]}<tab>{"answer":42}
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple

from sequential_adaptor.backends.folder.rows import Kind, Row
from sequential_adaptor.errors import StorageError
from sequential_adaptor.records import (
    JSON_FIELDS,
    TIME_FIELDS,
    StackRun,
    TaskRun,
    field_names,
    time_from_text,
    time_to_text,
)

_KINDS: Mapping[str, Kind] = {"TaskRun": TaskRun, "StackRun": StackRun}
_NAMES: Mapping[Kind, frozenset[str]] = {kind: frozenset(field_names(kind)) for kind in _KINDS.values()}
_dump = json.JSONEncoder(ensure_ascii=False, check_circular=False, separators=(",", ":")).encode


class Op(NamedTuple):
    """Fields of one record: all that are not ``None`` where it is ``whole``, else those that changed.

    ``group`` is the run whose files hold the record. A whole record without any field is the end of the group.
    """

    kind: Kind
    group: str
    id: str
    fields: Mapping[str, Any]
    whole: bool

    @property
    def is_deletion(self) -> bool:
        """Whether it takes the whole group away."""
        return self.whole and not self.fields

    @property
    def makes_due(self) -> bool:
        """Whether a record gets a time and nobody holds it, or it is given back."""
        if self.fields.get("due_at") is not None:
            return self.fields.get("worker") is None
        return "due_at" not in self.fields and "lease_expires_at" in self.fields and not self.whole


@dataclass(slots=True)
class Entry:
    """One commit: its id, where it has one, and what it wrote."""

    commit: str | None = None
    ops: list[Op] = field(default_factory=list)

    @property
    def is_news(self) -> bool:
        """Whether somebody may find work after it. Claims, heartbeats and the steps of a task bring none."""
        if self.commit is None:
            return any(op.whole or "lease_expires_at" not in op.fields for op in self.ops)
        return any(op.makes_due for op in self.ops)

    def encode(self) -> bytes:
        """The entry as the body of a line."""
        payloads: list[str] = []
        ops = [
            [op.kind.__name__, op.group, op.id, _encode_fields(op.kind, op.fields, payloads), op.whole]
            for op in self.ops
        ]
        return "\t".join((_dump({"id": self.commit, "ops": ops}), *payloads)).encode("utf-8")

    @classmethod
    def decode(cls, body: bytes) -> Entry:
        """The entry that :meth:`encode` wrote."""
        head, *payloads = body.decode("utf-8").split("\t")
        found = json.loads(head)
        ops = [
            Op(_KINDS[kind], group, id, _decode_fields(_KINDS[kind], fields, payloads), whole)
            for kind, group, id, fields, whole in found["ops"]
        ]
        return cls(found["id"], ops)


def deletion(group: str) -> Op:
    """The op that forgets a run and all that belongs to it."""
    return Op(TaskRun, group, group, {}, True)


def whole(row: Row, group: str) -> Op:
    """The op that stores a row in full."""
    kind = type(row)
    fields = {name: value for name in field_names(kind) if (value := getattr(row, name)) is not None}
    return Op(kind, group, row.id, fields, True)


def _encode_fields(kind: Kind, fields: Mapping[str, Any], payloads: list[str]) -> dict[str, Any]:
    texts = JSON_FIELDS[kind]
    found: dict[str, Any] = {}
    for name, value in fields.items():
        if value is not None and name in texts:
            found[name] = len(payloads)
            payloads.append(value)
        else:
            found[name] = time_to_text(value) if isinstance(value, datetime) else value
    return found


def _decode_fields(kind: Kind, fields: dict[str, Any], payloads: list[str]) -> dict[str, Any]:
    texts, times = JSON_FIELDS[kind], TIME_FIELDS[kind]
    if not fields.keys() <= _NAMES[kind]:
        raise StorageError(
            f"the journal has fields of a {kind.__name__} that this version does not know:"
            f" {', '.join(fields.keys() - _NAMES[kind])}. Try: pip install --upgrade sequential-adaptor"
        )
    for name, value in fields.items():
        if value is None:
            continue
        if name in texts:
            fields[name] = payloads[value]
        elif name in times:
            fields[name] = time_from_text(value)
    return fields
