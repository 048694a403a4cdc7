"""What users type: JSON, ids, and tasks by file or by name."""

from __future__ import annotations

import json
import re
import sys
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import click

from sequential_adaptor import ids, values
from sequential_adaptor.errors import InvalidId, SequentialError, TaskFunctionNotFound
from sequential_adaptor.values import JSON

if TYPE_CHECKING:
    from sequential_adaptor.engine import Engine
    from sequential_adaptor.records import TaskFunction

    _ParamType = click.ParamType[Any]
else:
    _ParamType = click.ParamType  # before click 8.5 it takes no parameter


class JsonValue(_ParamType):
    """A JSON value: as it is, ``@file``, or ``-`` for standard input."""

    name = "json"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> JSON:
        text = self._text(value, param, ctx)
        try:
            found = values.decode(text) if isinstance(text, str) else values.decode_foreign(text)
            values.check(found)
        except json.JSONDecodeError as error:
            self.fail(f"is not JSON: {error.msg} at {_place(text, error)}{_quoting_hint(text)}", param, ctx)
        except (SequentialError, ValueError, RecursionError) as error:
            self.fail(f"is not JSON that can be kept: {error}", param, ctx)
        return found

    def _text(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str | bytes:
        if value == "-":
            return sys.stdin.buffer.read()
        if not value.startswith("@"):
            return value
        try:
            return Path(value[1:]).read_bytes()
        except OSError as error:
            self.fail(f"{value[1:]}: {error.strerror}", param, ctx)


class RunId(_ParamType):
    """A run id."""

    name = "id"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        try:
            return ids.check_run_id(value)
        except InvalidId as error:
            self.fail(str(error), param, ctx)


class Duration(_ParamType):
    """A time in days, hours, minutes or seconds: ``30d``, ``12h``, ``90min``, ``1.5s``, ``2w``."""

    name = "time"
    _UNITS: ClassVar = {"w": "weeks", "d": "days", "h": "hours", "min": "minutes", "s": "seconds"}

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> timedelta:
        found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*(w|d|h|min|s)", str(value).strip())
        if found is None:
            self.fail(f"{value!r} is not a time; write it as 30d, 12h, 90min or 45s", param, ctx)
        try:
            return timedelta(**{self._UNITS[found[2]]: float(found[1])})
        except OverflowError:
            self.fail(f"{value!r} is longer than the calendar", param, ctx)


class Moment(_ParamType):
    """A time: ``2026-03-29T09:00+02:00``, without an offset in this machine's time zone; or how long from now."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime | timedelta:
        try:
            return datetime.fromisoformat(value).astimezone()
        except (ValueError, OverflowError):
            if not re.fullmatch(r"[\d.]+\s*[a-z]+", value.strip()):
                self.fail(f"{value!r} is no time; write it as 2026-03-29T09:00+02:00, or 15min from now", param, ctx)
            wait = Duration().convert(value, param, ctx)
            if wait > datetime.max.replace(tzinfo=UTC) - datetime.now(UTC):
                self.fail(f"{value!r} from now is behind the end of the calendar", param, ctx)
            return wait


NOTHING = "none"


class Count(_ParamType):
    """A count, or ``none``."""

    name = "count"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int | str:
        if value == NOTHING:
            return NOTHING
        if not str(value).isdecimal() or int(value) < 1:
            self.fail(f"{value!r} is neither a count of 1 or more nor {NOTHING!r}", param, ctx)
        return int(value)


class Rate(_ParamType):
    """So many per period, ``100/1min``, or ``none``."""

    name = "rate"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if value == NOTHING:
            return NOTHING
        count, _, period = str(value).partition("/")
        if not count.isdecimal() or not period:
            self.fail(f"{value!r} is no rate; write it as 100/1min, or {NOTHING!r}", param, ctx)
        return int(count), Duration().convert(period if period[0].isdigit() else f"1{period}", param, ctx)


@dataclass(frozen=True, slots=True)
class Task:
    """A task that was named: ``file`` is ``None`` for one that is stored already."""

    identifier: str
    file: Path | None

    @staticmethod
    def of(text: str, name: str | None = None, *, is_file: bool = False) -> Task:
        """What was meant: a ``.py`` file, anything with a folder in it and what exists as a file is one, else a name.

        A file's identifier is ``name``, else the file's own name.
        """
        path = Path(text)
        if not is_file and path.suffix != ".py" and path.name == text and not path.is_file():
            return Task(identifier(name or text), None)
        if not path.is_file():
            raise click.BadParameter(f"there is no file {text}. Make one: sequential new {path.stem or 'NAME'}")
        return Task(identifier(name or re.sub(r"[^A-Za-z0-9._-]+", "-", path.stem).lstrip("._-")), path)

    async def publish(self, engine: Engine, runner: str = "fetch", entry: str | None = None) -> TaskFunction:
        """Store the file's source as the current version."""
        if self.file is None:
            raise TaskFunctionNotFound(self.identifier)
        return await engine.publish(self.identifier, self.file, runner=runner, entry=entry)


def identifier(text: str) -> str:
    """A task function's name, or wrong usage."""
    try:
        return ids.check_identifier(text)
    except InvalidId as error:
        raise click.BadParameter(f"{error}. Give it a name: --name NAME") from error


def _place(text: str | bytes, error: json.JSONDecodeError) -> str:
    return f"column {error.colno}" if error.lineno == 1 else f"line {error.lineno}, column {error.colno}"


def _quoting_hint(text: str | bytes) -> str:
    """Shells take quotes away, and people forget them around text."""
    if isinstance(text, str) and re.fullmatch(r"[\w .@/-]+", text):
        return f". Text takes quotes: '\"{text}\"'"
    return ". Quote it for the shell: '{\"user\": 1}'"
