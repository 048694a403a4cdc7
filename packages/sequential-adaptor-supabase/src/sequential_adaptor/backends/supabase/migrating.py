"""Applies the migrations of this package to a database: all that are missing, in one transaction, once.

The migrations are the files in ``supabase/migrations/``, which ``supabase db push`` applies as they are. Each writes
itself down in ``public.sequential_schema``, and may run twice; so whoever applied one, by whichever way, the other way
sees it. ``supabase_migrations.schema_migrations``, the CLI's own list, is left to the CLI: an entry there that is not
in a project's own folder would stop that project's next ``supabase db push``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any, Final

from sequential_adaptor.errors import ConfigurationError
from sequential_adaptor.storage.migrating import Migrated

if TYPE_CHECKING:
    from asyncpg import Connection

_NAME: Final = re.compile(r"(\d{14})_(\w+)\.sql")

# One number for this library in the whole cluster. The lock ends with the transaction, so it also works by a pooler.
_LOCK: Final = 0x5E90E47A

_TABLE: Final = "public.sequential_schema"
_CONNECTING: Final = 10
_NO_DSN: Final = (
    "a schema is changed by the database's own connection string, not by REST: sequential migrate --storage"
    " postgresql://... (the dashboard shows it under Connect), or have `supabase db push` apply the files"
)


@dataclass(frozen=True, slots=True)
class Migration:
    """One file: its version (14 digits, by which they are ordered), its name, and its statements."""

    version: str
    name: str
    text: str


@cache
def migrations() -> tuple[Migration, ...]:
    """Those that this version of the package has, oldest first."""
    found = []
    for file in (files("sequential_adaptor.backends.supabase") / "supabase" / "migrations").iterdir():
        match = _NAME.fullmatch(file.name)
        if match is not None:
            found.append(Migration(match[1], match[2], file.read_text(encoding="utf-8")))
    return tuple(sorted(found, key=lambda one: one.version))


def latest() -> str:
    """The version that a schema has when all migrations were applied."""
    return migrations()[-1].version


async def migrate(dsn: str | None = None, **options: Any) -> Migrated:
    """Apply what is missing by a connection string; of the adapter's other options none matters.

    Raises :class:`ConfigurationError` where there is no connection string: REST changes no schema.
    """
    import asyncpg

    from sequential_adaptor.backends.supabase.connections import Target
    from sequential_adaptor.backends.supabase.postgres_failures import read_failure

    if dsn is None:
        raise ConfigurationError(_NO_DSN)
    target = Target.parse(dsn)
    try:
        connection = await asyncpg.connect(target.dsn, statement_cache_size=0, timeout=_CONNECTING)
        try:
            return await apply_migrations(connection)
        finally:
            connection.terminate()
    except Exception as error:
        failure = read_failure(error, target.display)
        if failure is None:
            raise
        raise failure.error from error


async def apply_migrations(connection: Connection) -> Migrated:
    """Apply what is missing, all or nothing; whoever does the same at this moment waits, and finds it done."""
    async with connection.transaction():
        await connection.execute("SET LOCAL statement_timeout = 0")
        await connection.execute("SELECT pg_advisory_xact_lock($1)", _LOCK)
        known = await _known(connection)
        missing = [one for one in migrations() if one.version not in known]
        for one in missing:
            await connection.execute(one.text)
        if missing:
            await connection.execute("NOTIFY pgrst, 'reload schema'")
    return Migrated(tuple(one.name for one in missing), len(migrations()))


async def _known(connection: Connection) -> set[str]:
    """The versions that were applied, by us or by somebody who pushed the files."""
    if await connection.fetchval("SELECT to_regclass($1)", _TABLE) is None:
        return set()
    return {row[0] for row in await connection.fetch(f"SELECT version FROM {_TABLE}")}
