"""Queries as values: a checked filter, an order that is total, and a cursor that survives what comes in between."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Generic, TypeVar

from sequential_adaptor import values
from sequential_adaptor.errors import ConfigurationError, UnknownField
from sequential_adaptor.records import (
    JSON_FIELDS,
    TIME_FIELDS,
    StackRun,
    TaskRun,
    check_changes,
    check_fields,
    field_names,
    time_from_text,
    time_to_text,
    to_utc,
)

Run = TypeVar("Run", TaskRun, StackRun)
Row = TypeVar("Row")


class Page(list[Row], Generic[Row]):
    """The records found, in order; ``cursor`` goes on behind the last of them, ``None`` where there are no more."""

    def __init__(self, rows: Iterable[Row] = (), cursor: str | None = None) -> None:
        super().__init__(rows)
        self.cursor = cursor


@dataclass(frozen=True, slots=True)
class Query(Generic[Run]):
    """A checked query.

    - ``where``: for each field the values that it may have, any of them, each once; those of payload fields as JSON
      text.
    - Order: by ``order_by`` (``None`` before everything else), then by ``id``, both reversed by ``newest_first``; text
      by code point.
    - ``after``: the ``(order_by value, id)`` of the last record of the page before.
    """

    record: type[Run]
    where: Mapping[str, tuple[Any, ...]]
    limit: int | None
    order_by: str
    newest_first: bool
    after: tuple[Any, str] | None

    @classmethod
    def make(
        cls,
        record: type[Run],
        filter: Mapping[str, Any] | None = None,
        *,
        limit: int | None = None,
        order_by: str = "created_at",
        newest_first: bool = False,
        cursor: str | None = None,
    ) -> Query[Run]:
        """Check what was asked. In ``filter`` a list means "any of these": wrap a list that is itself the value."""
        where = {name: _choices(record, name, wanted) for name, wanted in (filter or {}).items()}
        check_fields(record, where)
        if limit is not None and (type(limit) is not int or limit < 0):
            raise ConfigurationError(f"limit is {limit!r}; it is a count, or None for all")
        sortable = tuple(name for name in field_names(record) if name not in JSON_FIELDS[record])
        if order_by not in sortable:
            raise UnknownField(f"the order of {record.__name__}s", order_by, sortable)
        after = None if cursor is None else _read_cursor(record, cursor, order_by, newest_first)
        return cls(record, where, limit, order_by, newest_first, after)

    def run(self, records: Iterable[Run]) -> Page[Run]:
        """The answer, from records in memory."""
        found = sorted((record for record in records if self.matches(record)), key=self.key, reverse=self.newest_first)
        if self.after is not None:
            last = (_rank(self.after[0]), self.after[1])
            found = [
                record
                for record in found
                if (self.key(record) < last if self.newest_first else self.key(record) > last)
            ]
        return self.page(found)

    def page(self, found: list[Run]) -> Page[Run]:
        """A page of records in order, cut to the limit: fetch one more than it to know whether there is a next."""
        if self.limit is None or len(found) <= self.limit:
            return Page(found)
        rows = found[: self.limit]
        return Page(rows, self._cursor(rows[-1]) if rows else None)

    def matches(self, record: Run) -> bool:
        """Whether the record has one of the wanted values in every field of the filter."""
        payloads = JSON_FIELDS[self.record]
        for name, choices in self.where.items():
            value = getattr(record, name)
            if (values.encode(value) if name in payloads else value) not in choices:
                return False
        return True

    def key(self, record: Run) -> tuple[tuple[bool, Any], str]:
        """What the order compares."""
        return _rank(getattr(record, self.order_by)), record.id

    def _cursor(self, last: Run) -> str:
        value = getattr(last, self.order_by)
        if isinstance(value, datetime):
            value = time_to_text(value)
        text = values.encode([self.order_by, self.newest_first, value, last.id])
        return base64.urlsafe_b64encode(text.encode("utf-8")).decode("ascii")


def _rank(value: Any) -> tuple[bool, Any]:
    return (False, 0) if value is None else (True, value)


def _choices(record: type, name: str, wanted: Any) -> tuple[Any, ...]:
    check_fields(record, {name})
    choices = wanted if type(wanted) is list else [wanted]
    if name in JSON_FIELDS[record]:
        return _each_once(values.encode(value) for value in choices)
    # A value of another type would be equal in one backend (`True` and 1, a time and its text) and not in the next.
    for value in choices:
        if value is not None:
            check_changes(record, {name: value})
    return _each_once(to_utc(value) if isinstance(value, datetime) else value for value in choices)


def _each_once(choices: Iterable[Any]) -> tuple[Any, ...]:
    """An adapter that looks up one choice after the other finds no record twice."""
    return tuple(dict.fromkeys(choices))


def _read_cursor(record: type, cursor: str, order_by: str, newest_first: bool) -> tuple[Any, str]:
    try:
        found = values.decode(base64.urlsafe_b64decode(cursor.encode("ascii")))
        field, reverse, value, id = found
        if (field, reverse) != (order_by, newest_first):
            raise ConfigurationError(f"the cursor belongs to order_by={field!r}, newest_first={reverse!r}")
        if field in TIME_FIELDS[record] and value is not None:
            value = time_from_text(value)
        return value, str(id)
    except (ValueError, TypeError, AttributeError, binascii.Error) as error:
        if isinstance(error, ConfigurationError):
            raise
        raise ConfigurationError(f"{cursor!r} is not a cursor of this store; use the one of the last page") from error
