"""What an answer of PostgREST, of the gateway before it, or none at all, means: which error, and whether it passes.

Codes of two generations are in use side by side: a table that is not there is ``42P01`` or ``PGRST205``, an expired
token ``PGRST301`` or ``PGRST303``. Those that begin with PGRST are PostgREST's, five characters are Postgres' own
SQLSTATE, three digits are the HTTP status of whoever answered without JSON.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Final

from sequential_adaptor.backends.supabase.door import REFUSED, Refused
from sequential_adaptor.backends.supabase.errors import AccessRefused, SchemaMissing
from sequential_adaptor.errors import StorageError, StorageUnavailable

if TYPE_CHECKING:
    import httpx
    from postgrest.exceptions import APIError


class Course(Enum):
    """How it goes on, each with its own patience: ``FINAL`` is over at once."""

    FINAL = "final"
    PASSING = "passing"
    SCHEMA = "schema"
    TOKEN = "token"


@dataclass(frozen=True, slots=True)
class Failure:
    """The error to raise when patience has ended."""

    course: Course
    error: StorageError


_SCHEMA: Final = frozenset({"42883", "42P01", "3F000", "PGRST202", "PGRST203", "PGRST205"})
_TOKEN: Final = frozenset({"PGRST301", "PGRST303"})
_ACCESS: Final = frozenset({"42501", "28000", "28P01", "PGRST302", "401", "403"})

# 40: serialization and deadlocks; 08, 57: connections and shutdowns; 53: out of something; 55P03: a lock not given;
# 25006: a standby that is to become the primary.
_PASSING_CLASSES: Final = ("08", "40", "53", "57")
_PASSING: Final = frozenset({"25006", "55P03", "PGRST000", "PGRST001", "PGRST002", "PGRST003"})
_PASSING_STATUS: Final = frozenset({"408", "425", "429", "500", "502", "503", "504"})

_REMEDIES: Final[Mapping[str, str]] = {
    "57014": "the statement was ended by its time-out. Look for what blocks it (`select * from pg_stat_activity`), or"
    " give it longer: alter role authenticator set statement_timeout = '30s'; notify pgrst, 'reload config'",
    "PGRST003": "all of PostgREST's connections were busy: start fewer workers, or use the database itself: dsn=",
    "25006": "it takes no writes: look at its disk space in the dashboard",
    "429": "the project answers too many requests: start fewer workers, or use the database itself: dsn=",
    "540": "the project is paused: restore it in the dashboard",
    "PGRST106": "the schema public is not exposed: add it in the dashboard, Data API settings, exposed schemas",
}


def read_api_error(error: APIError, address: str) -> Failure:
    """What an answer that is an error means."""
    code = error.code or _code_of(error.message)
    said = f"{address}: {error.message or 'no message'} ({code or 'no code'})"
    if code == REFUSED:
        return Failure(Course.FINAL, Refused(error.message or REFUSED))
    if code in _SCHEMA:
        return Failure(Course.SCHEMA, SchemaMissing(address, f"{error.message} ({code})"))
    if code in _TOKEN:
        return Failure(Course.TOKEN, AccessRefused(address, f"{error.message} ({code})"))
    if code in _ACCESS:
        return Failure(Course.FINAL, AccessRefused(address, f"{error.message} ({code})"))
    remedy = _REMEDIES.get(code)
    if remedy is not None:
        said = f"{said}: {remedy}"
    if _is_passing(code):
        return Failure(Course.PASSING, StorageUnavailable(said))
    return Failure(Course.FINAL, (StorageUnavailable if code == "540" else StorageError)(said))


def read_transport_error(error: httpx.RequestError, address: str) -> Failure:
    """What it means that there was no answer: nobody knows whether it was done, and it may be done again."""
    what = f"{type(error).__name__}: {error}".rstrip(": ")
    return Failure(Course.PASSING, StorageUnavailable(f"{address} did not answer: {what}"))


def strange_answer(answer: object, address: str) -> Failure:
    """What it means that the answer is a success and no rows: a page of somebody who stands in between."""
    return Failure(Course.PASSING, StorageUnavailable(f"{address} answered what PostgREST never does: {answer!r:.200}"))


def _is_passing(code: str) -> bool:
    if not code or (len(code) == 5 and code[:2] in _PASSING_CLASSES):
        return True  # without a code: PostgREST's connection was cut while it waited for the result
    return code in _PASSING or code in _PASSING_STATUS or (len(code) == 3 and code.startswith("52"))


def _code_of(message: str | None) -> str:
    """The code of an answer that is JSON and has none: the gateway's, which speaks of keys."""
    known: tuple[tuple[str, str], ...] = (("api key", "401"), ("upstream", "502"), ("unauthorized", "401"))
    return next((code for word, code in known if word in (message or "").lower()), "")
