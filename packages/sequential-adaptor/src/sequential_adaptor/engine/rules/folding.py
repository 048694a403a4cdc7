"""Fewer changes that do the same."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from sequential_adaptor.storage.changes import Change, Create, Update
from sequential_adaptor.storage.single_process import check_expectations


def folded(changes: Iterable[Change], now: datetime) -> list[Change]:
    """One creation for each record, with what the updates behind it make of it.

    A ``Conflict`` where an update expects something else than was created.
    """
    found: list[Change] = []
    places: dict[tuple[type, str], int] = {}
    for change in changes:
        if isinstance(change, Create):
            places[type(change.record), change.record.id] = len(found)
        elif isinstance(change, Update) and (place := places.get((change.record, change.id))) is not None:
            created = found[place]
            assert isinstance(created, Create)  # that is what has a place
            check_expectations(change, created.record)
            found[place] = Create(created.record.replace(**{"updated_at": now, **change.changes}))
            continue
        found.append(change)
    return found
