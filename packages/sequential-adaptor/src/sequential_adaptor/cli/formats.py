"""Values, times and calls as short text for people."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from urllib.parse import urlsplit

from sequential_adaptor import values
from sequential_adaptor.records import StackRun, TaskRun
from sequential_adaptor.values import JSON

STYLES = {
    "pending": "blue",
    "running": "cyan",
    "in_progress": "cyan",
    "suspended": "yellow",
    "suspended_waiting_child": "yellow",
    "completed": "green",
    "failed": "red",
    "cancelled": "magenta",
}
_PLACE = re.compile(r'^ *File "(.*)", line (\d+), in (.*)\n(.*)$', re.MULTILINE)
_WORDS = {"in_progress": "under way", "suspended_waiting_child": "waiting"}
_MARKS = {"forked": "at", "retried": "again"}
"""What to show of where a run was taken back to."""
_STEPS = ((86_400, "d", 3600, "h"), (3600, "h", 60, "min"), (60, "min", 1, "s"))


def status_word(status: str) -> str:
    """A status as people say it."""
    return _WORDS.get(status, status)


def printable(text: str) -> str:
    """Text with its control characters, but for line breaks and tabs, written out: no task steers a user's terminal."""
    return "".join(
        sign if sign.isprintable() or sign in "\n\t" else sign.encode("unicode_escape").decode() for sign in text
    )


def short(value: JSON, length: int = 60) -> str:
    """A value on one line, cut to a length."""
    text = values.encode(value)
    return text if len(text) <= length else f"{text[: length - 1]}…"


def error_line(error: JSON, length: int = 200) -> str:
    """``ValueError: no such user`` of an error as stored."""
    found = error if isinstance(error, dict) else {}
    kind = str(found.get("type", "Error")).rpartition(".")[2]
    text = " ".join(printable(f"{kind}: {found.get('message', '')}").split())
    return text if len(text) <= length else f"{text[: length - 1]}…"


def error_place(error: JSON) -> str:
    """Where in the task an error came from: ``digest.py, line 7, in main: total = 1 / 0``; else nothing."""
    trace = str(error.get("traceback") or "") if isinstance(error, dict) else ""
    places = list(_PLACE.finditer(trace))
    if not places:
        return ""
    file, line, function, source = places[-1].groups()
    return printable(f"{file}, line {line}, in {function}: {source.strip()}")


def duration(seconds: float) -> str:
    """``3 ms``, ``1.20 s``, ``2 min 5 s``, ``3 h 7 min``, ``2 d 4 h``."""
    if seconds < 0.9995:
        return f"{max(seconds, 0) * 1000:.0f} ms"
    if seconds < 59.995:
        return f"{seconds:.2f} s"
    for size, unit, smaller_size, smaller_unit in _STEPS:
        if seconds >= size:
            whole, rest = divmod(int(seconds), size)
            return f"{whole} {unit} {rest // smaller_size} {smaller_unit}"
    raise AssertionError("a minute or more is covered above")


def period(time: timedelta) -> str:
    """``15 min``, ``36 h``, ``1.5 s``: in the largest unit of which it is so many."""
    seconds = time.total_seconds()
    for size, unit in ((86_400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size and seconds % size == 0:
            return f"{seconds / size:g} {unit}"
    return f"{seconds:g} s"


def took(run: TaskRun | StackRun) -> str:
    """How long something took, or nothing where it has not ended."""
    if run.ended_at is None or run.created_at is None:
        return ""
    return duration((run.ended_at - run.created_at).total_seconds())


def age(time: datetime | None, now: datetime) -> str:
    """``5 s``, ``3 min``, ``2 h``, ``9 d``."""
    if time is None:
        return ""
    seconds = max((now - time).total_seconds(), 0)
    for size, unit in ((86_400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{int(seconds // size)} {unit}"
    return f"{int(seconds)} s"


def clock(time: datetime | None) -> str:
    """The time of day here, to the millisecond."""
    return "" if time is None else time.astimezone().strftime("%H:%M:%S.%f")[:-3]


def call_title(call: StackRun, length: int = 60) -> str:
    """What a call does: ``GET /users/1``, ``database.getUsers``, ``step:resize``."""
    title = call.operation
    if isinstance(call.input, dict) and isinstance(call.input.get("url"), str):
        parts = urlsplit(call.input["url"])
        query = f"?{parts.query}" if parts.query else ""
        title = f"{call.input.get('method', 'GET')} {parts.netloc}{parts.path}{query}"
    title = printable(title)
    return title if len(title) <= length else f"{title[: length - 1]}…"


def outcome(call: StackRun, length: int = 60) -> str:
    """What came of a call."""
    if call.error is not None:
        return error_line(call.error, length)
    if call.sequence is None and call.operation in _MARKS:
        found = call.input if isinstance(call.input, dict) else {}
        return short(found.get(_MARKS[call.operation]), length)
    if call.ended_at is None:
        again = f", attempt {call.attempts + 1}" if call.attempts else ""
        return status_word(call.status) + again
    if _is_response(call):
        return f"{call.result['status']} {_body(call.result.get('body'), max(length - 4, 8))}".rstrip()
    return short(call.result, length)


def _body(body: JSON, length: int) -> str:
    if body is None:
        return ""
    text = " ".join(printable(body).split()) if isinstance(body, str) else "(bytes)"
    return text if len(text) <= length else f"{text[: length - 1]}…"


def _is_response(call: StackRun) -> bool:
    return call.operation in ("fetch", "httpx") and isinstance(call.result, dict) and "status" in call.result
