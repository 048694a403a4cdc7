"""What an error of Postgres, of a pooler, or of the way there means: which error it is, and whether it passes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import asyncpg

from sequential_adaptor.backends.supabase.connections import code_of
from sequential_adaptor.backends.supabase.door import REFUSED, Refused
from sequential_adaptor.backends.supabase.errors import SchemaMissing
from sequential_adaptor.errors import ConfigurationError, SequentialError, StorageError, StorageUnavailable

_SCHEMA: Final = frozenset({"42883", "42P01", "3F000"})

# 08: connections; 40: serialization and deadlocks; 53: out of something; 57: shutdowns and time-outs; 55P03: a lock not
# given; 26000, 42P05: prepared statements of another session, by a pooler that was not noticed; 0A000: a plan
# from before a migration; 25006: a standby that is to become the primary.
_PASSING_CLASSES: Final = ("08", "40", "53", "57")
_PASSING: Final = frozenset({"55P03", "26000", "42P05", "0A000", "25006"})
_FULL: Final = "53100"

_NO_ANSWER: Final = (asyncpg.InterfaceError, asyncpg.InternalClientError, OSError, EOFError, TimeoutError)

_REMEDIES: Final = {
    "28P01": "check the user and the password in the connection string",
    "28000": "check the user in the connection string, and sslmode",
    "3D000": "check the name of the database in the connection string",
    "42501": "the role may not do that: use the owner of the tables, or service_role",
    "53100": "free some space on its disk; nothing was written",
    "53300": "start fewer workers, give connections=, or go through the pooler",
    "57014": "look for what blocks it: select * from pg_stat_activity",
    "25006": "it takes no writes: look at its disk space in the dashboard, or connect to the primary",
}


@dataclass(frozen=True, slots=True)
class Failure:
    """The error to raise when patience has ended, and whether there is any reason for patience."""

    error: SequentialError
    passes: bool


def read_failure(error: Exception, address: str) -> Failure | None:
    """What an error means; ``None`` for one that is no error of the database or of the way there."""
    if isinstance(error, asyncpg.PostgresError):
        return _read_code(error, code_of(error), address)
    if isinstance(error, asyncpg.exceptions.ClientConfigurationError):
        return Failure(ConfigurationError(f"{address} is no connection string: {error}"), passes=False)
    if isinstance(error, _NO_ANSWER):
        what = f"{type(error).__name__}: {error}".rstrip(": ")
        return Failure(StorageUnavailable(f"{address} cannot be reached: {what}"), passes=True)
    return None


def _read_code(error: asyncpg.PostgresError, code: str, address: str) -> Failure:
    if code == REFUSED:
        return Failure(Refused(str(error)), passes=False)
    if code in _SCHEMA:
        return Failure(SchemaMissing(address, f"{error} ({code})"), passes=False)
    said = f"{address}: {error} ({code})"
    if code in _REMEDIES:
        said = f"{said}; {_REMEDIES[code]}"
    passes = code.startswith(_PASSING_CLASSES) or code in _PASSING
    return Failure((StorageUnavailable if passes else StorageError)(said), passes and code != _FULL)
