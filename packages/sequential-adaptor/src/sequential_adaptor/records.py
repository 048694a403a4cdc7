"""The three records that storage keeps. They are values: frozen, compared by their fields, changed by ``replace``.

Times are aware UTC datetimes. ``input``, ``result``, ``error``, ``state`` and the like are JSON (see
:mod:`sequential_adaptor.values`); the records that an adapter hands out hold copies of its own.
"""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from functools import cache
from itertools import chain
from operator import attrgetter
from types import MappingProxyType
from typing import Any, Self, TypeVar

from sequential_adaptor import values
from sequential_adaptor.errors import InvalidValue, UnknownField
from sequential_adaptor.values import JSON

Record = TypeVar("Record", "TaskRun", "StackRun", "TaskFunction")

ROOT_OPERATION = "task_init"
"""The operation of a run's root frame; every other stack run is an outside call, or something that happened to it."""


class _Changeable:
    __slots__ = ()

    def replace(self, **changes: Any) -> Self:
        """The same record with other values in some fields; :class:`UnknownField` for a field it does not have."""
        check_fields(type(self), changes)
        return self.with_fields(changes)

    def with_fields(self, fields: Mapping[str, Any]) -> Self:
        """:meth:`replace` without its check, for fields that are known to be there."""
        kind: type = type(self)
        new: Self = object.__new__(kind)
        read, writers = _accessors(kind)  # many times as quick as dataclasses.replace, and a step does it often
        for write, value in zip(writers.values(), read(self), strict=True):
            write(new, value)
        for name, value in fields.items():
            writers[name](new, value)
        return new

    def changes_since(self, before: Self) -> dict[str, Any]:
        """The fields that do not hold the very objects that they hold in ``before``, and what they hold here."""
        kind: type = type(self)
        read, writers = _accessors(kind)
        return {
            name: value for name, value, old in zip(writers, read(self), read(before), strict=True) if value is not old
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskRun(_Changeable):
    """One execution of one version of a task function with one input.

    ``status`` is one of ``pending, running, suspended, completed, failed, cancelled``. ``error`` is
    ``{"type", "message", "traceback"?, "retryable"?}``. ``parent_stack_run_id`` is the call that started a child run.
    """

    id: str = ""
    task_identifier: str = ""
    version: str = ""
    runner: str = "fetch"
    status: str = "pending"
    input: JSON = None
    result: JSON = None
    error: JSON = None
    parent_stack_run_id: str | None = None
    metadata: JSON = None
    created_at: datetime | None = None
    updated_at: datetime | None = None
    started_at: datetime | None = None
    ended_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StackRun(_Changeable):
    """One frame of a run: its root frame (``task_init``, whose id is the run's), or one outside call that it made.

    ``status`` is one of ``pending, in_progress, suspended_waiting_child, completed, failed, cancelled``.

    - ``sequence`` is n of the id ``<frame id>.<n>``, the order in which the code makes its calls; ``position`` is the
      order in which their outcomes were taken, and ``None`` until then.
    - ``options`` say how the call is to be performed (attempts, timeout, names of secrets); not part of its identity.
    - ``state`` is what a frame's runner needs to go on; ``resume_payload`` a value handed to a frame from outside.
    - ``log`` is a list of lines that the task printed, ``None`` where it printed none.
    - ``attempts`` counts answered failures, ``token`` counts claims, ``wakes`` counts wake-ups.
    - ``progress_token`` is the token under which it last got a step further; ``token`` far ahead of it kills workers.
    - It is due when ``due_at`` is set and past, and ``lease_expires_at`` is not in the future.
    - ``last_commit`` is the id of the commit that wrote it last.
    """

    id: str = ""
    task_run_id: str = ""
    parent_stack_run_id: str | None = None
    sequence: int | None = None
    position: int | None = None
    operation: str = ROOT_OPERATION
    status: str = "pending"
    input: JSON = None
    options: JSON = None
    result: JSON = None
    error: JSON = None
    state: JSON = None
    resume_payload: JSON = None
    log: JSON = None
    attempts: int = 0
    wakes: int = 0
    due_at: datetime | None = None
    worker: str | None = None
    token: int = 0
    progress_token: int = 0
    lease_expires_at: datetime | None = None
    last_commit: str | None = None
    suspended_at: datetime | None = None
    created_at: datetime | None = None
    updated_at: datetime | None = None
    ended_at: datetime | None = None

    @property
    def is_frame(self) -> bool:
        """Whether this is a frame, which a runner moves on, and not a call."""
        return self.operation == ROOT_OPERATION

    def is_held(self, now: datetime) -> bool:
        """Whether somebody's lease on it stands at that time."""
        return self.lease_expires_at is not None and self.lease_expires_at > now


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskFunction(_Changeable):
    """One version of stored source; ``version`` is the sha256 (hex) of its text, and of ``modules`` where it has any.

    ``modules`` maps the names of the modules that the code imports, and that are stored with it, to their source.
    """

    identifier: str = ""
    version: str = ""
    runner: str = "fetch"
    code: str = ""
    modules: JSON = None
    metadata: JSON = None
    created_at: datetime | None = None


JSON_FIELDS: Mapping[type, frozenset[str]] = MappingProxyType(
    {
        TaskRun: frozenset({"input", "result", "error", "metadata"}),
        StackRun: frozenset({"input", "options", "result", "error", "state", "resume_payload", "log"}),
        TaskFunction: frozenset({"modules", "metadata"}),
    }
)
TIME_FIELDS: Mapping[type, frozenset[str]] = MappingProxyType(
    {
        TaskRun: frozenset({"created_at", "updated_at", "started_at", "ended_at"}),
        StackRun: frozenset({"due_at", "lease_expires_at", "suspended_at", "created_at", "updated_at", "ended_at"}),
        TaskFunction: frozenset({"created_at"}),
    }
)
INTEGER_FIELDS: Mapping[type, frozenset[str]] = MappingProxyType(
    {
        TaskRun: frozenset(),
        StackRun: frozenset({"sequence", "position", "attempts", "wakes", "token", "progress_token"}),
        TaskFunction: frozenset(),
    }
)


_NAMES: Mapping[type, tuple[str, ...]] = {
    kind: tuple(field.name for field in fields(kind)) for kind in (TaskRun, StackRun, TaskFunction)
}


def field_names(record: type) -> tuple[str, ...]:
    """The fields of a record type, in the order in which every backend writes them."""
    return _NAMES[record]


def fields_of(record: type) -> Callable[[Any], tuple[Any, ...]]:
    """What reads all fields of such a record, in their order."""
    return _accessors(record)[0]


@cache
def _accessors(record: type) -> tuple[Callable[[Any], tuple[Any, ...]], Mapping[str, Callable[[Any, Any], None]]]:
    """What reads all fields of a record at once, and what writes each of them into one that is being made."""
    names = field_names(record)
    return attrgetter(*names), {name: getattr(record, name).__set__ for name in names}


def from_columns(record: type[Record], columns: Iterable[Iterable[Any]]) -> list[Record]:
    """Records by the values of each of their fields in turn, which are known to be good.

    A history of 1,000 calls has 26,000 fields: by columns they are set in a third of the time.
    """
    columns = iter(columns)
    kind: type = record
    _, writers = _accessors(kind)
    first = list(next(columns))
    made: list[Record] = [object.__new__(record) for _ in first]
    for write, column in zip(writers.values(), chain((first,), columns), strict=True):
        deque(map(write, made, column), maxlen=0)
    return made


@cache
def _known(record: type) -> frozenset[str]:
    return frozenset(field_names(record))


@cache
def _nullable(record: type) -> frozenset[str]:
    names = {field.name for field in fields(record) if field.default is None}
    return frozenset(names | TIME_FIELDS[record])


def check_fields(record: type, names: Mapping[str, object] | set[str]) -> None:
    """Raise :class:`UnknownField` for the first name that is no field of the record."""
    known = _known(record)
    for name in names:
        if name not in known:
            raise UnknownField(record.__name__, name, field_names(record))


def check_record(record: TaskRun | StackRun | TaskFunction) -> None:
    """Raise :class:`InvalidValue` (path ``$.<field>...``) for the first field that no backend would store."""
    kind: type = type(record)
    nullable = _nullable(kind)
    read, writers = _accessors(kind)
    given = zip(writers, read(record), strict=True)
    check_changes(kind, {name: value for name, value in given if value is not None or name not in nullable})


def check_changes(record: type, changes: Mapping[str, Any]) -> None:
    """Raise :class:`UnknownField` or :class:`InvalidValue` for changes that no backend would store."""
    check_fields(record, changes)
    kinds = _kinds(record)
    for name, value in changes.items():
        wanted = kinds[name]
        if wanted is None:
            values.check(value, f"$.{name}")
        elif value is None:
            if name not in _nullable(record):
                raise InvalidValue(f"$.{name}", "None is not allowed here")
        elif type(value) is not wanted:
            raise InvalidValue(f"$.{name}", f"{value!r} is {type(value).__name__}, not {wanted.__name__}")
        else:
            _check_scalar(name, value)


@cache
def _kinds(record: type) -> Mapping[str, type[Any] | None]:
    """The type that each field's values have; ``None`` for JSON."""
    kinds: dict[str, type[Any] | None] = dict.fromkeys(field_names(record), str)
    kinds.update(dict.fromkeys(TIME_FIELDS[record], datetime))
    kinds.update(dict.fromkeys(INTEGER_FIELDS[record], int))
    kinds.update(dict.fromkeys(JSON_FIELDS[record]))
    return MappingProxyType(kinds)


def _check_scalar(name: str, value: object) -> None:
    if isinstance(value, str):
        if not value.isascii():
            values.check(value, f"$.{name}")
        if "\0" in value:  # no database keeps it in a text column; in JSON text it is escaped
            raise InvalidValue(f"$.{name}", "U+0000 is not kept in plain text fields")
    elif isinstance(value, datetime):
        check_time(value, f"$.{name}")
    elif isinstance(value, int) and not 0 <= value < 2**53:
        raise InvalidValue(f"$.{name}", f"{value} is not a count (0 to 2**53 - 1)")


def check_time(value: datetime, path: str) -> None:
    """Refuse a naive time: it would mean another instant on another machine."""
    if value.tzinfo is None:
        raise InvalidValue(path, f"{value.isoformat()} has no time zone; use datetime.now(UTC)")


def to_utc(value: datetime) -> datetime:
    """The same instant, in UTC."""
    return value if value.tzinfo is UTC else value.astimezone(UTC)


def time_to_text(value: datetime) -> str:
    """RFC 3339 with microseconds and ``Z``: texts of one length, which sort as the times do."""
    return to_utc(value).isoformat(timespec="microseconds").removesuffix("+00:00") + "Z"


def time_from_text(text: str) -> datetime:
    """The time that :func:`time_to_text` wrote."""
    return datetime.fromisoformat(text)


def to_json(record: TaskRun | StackRun | TaskFunction) -> dict[str, JSON]:
    """The record as a JSON object, fields in their fixed order, times as text."""
    kind = type(record)
    times = TIME_FIELDS[kind]
    row = {name: getattr(record, name) for name in field_names(kind)}
    for name in times:
        if row[name] is not None:
            row[name] = time_to_text(row[name])
    return row


def from_json(record: type[Record], row: Mapping[str, JSON]) -> Record:
    """The record that :func:`to_json` wrote; a field that is missing has its default."""
    check_fields(record, row)
    found: dict[str, Any] = dict(row)
    for name in TIME_FIELDS[record]:
        if found.get(name) is not None:
            found[name] = time_from_text(found[name])
    return record(**found)


def as_record(record: type[Record], given: Record | Mapping[str, Any]) -> Record:
    """A record as given, or made from a mapping of its fields."""
    if isinstance(given, record):
        return given
    if not isinstance(given, Mapping):
        raise InvalidValue("$", f"{given!r} is neither a {record.__name__} nor a mapping of its fields")
    check_fields(record, given)
    return record(**given)


def version_of(code: str, modules: Mapping[str, str] | None = None) -> str:
    """The version of source: the sha256 of its text; with stored modules, of the text and theirs."""
    text = code if not modules else values.encode([code, dict(sorted(modules.items()))])
    return hashlib.sha256(text.encode("utf-8")).hexdigest()
