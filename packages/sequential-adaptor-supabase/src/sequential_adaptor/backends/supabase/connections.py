"""A few connections of asyncpg, each lent for one call: what a pool of asyncpg adds is a round trip for each loan."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Self
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

import asyncpg

from sequential_adaptor.errors import ConfigurationError, StorageClosed
from sequential_adaptor.storage.locations import redacted

_OURS: Final = frozenset({"listen_dsn", "pgbouncer", "statement_cache_size"})
_CONNECTING: Final = 10


@dataclass(frozen=True, slots=True)
class Target:
    """A connection string, and what was said in it that is not for Postgres."""

    dsn: str
    display: str
    pooled: bool | None
    listen_dsn: str | None

    @classmethod
    def parse(cls, dsn: str) -> Self:
        """``pgbouncer=true`` or ``statement_cache_size=0`` say that a pooler is there, ``listen_dsn`` how to get round
        it."""
        if not isinstance(dsn, str) or not dsn.startswith(("postgresql://", "postgres://")):
            shown = redacted(dsn) if isinstance(dsn, str) else repr(dsn)
            raise ConfigurationError(
                f"dsn is {shown!r}; it is a connection string: postgresql://user:password@host/name"
            )
        parts = urlsplit(dsn)
        fields = parse_qsl(parts.query, keep_blank_values=True)
        ours = {name: value for name, value in fields if name in _OURS}
        rest = urlencode([(name, value) for name, value in fields if name not in _OURS])
        bare = urlunsplit(parts._replace(query=rest)) if ours else dsn
        pooled = ours.get("pgbouncer") in ("true", "1") or ours.get("statement_cache_size") == "0"
        return cls(bare, redacted(bare), True if pooled else None, ours.get("listen_dsn"))


class Session:
    """One connection. Straight to Postgres its statements are prepared once; through a pooler each is sent whole, in
    one message, so that it does not matter which session of the server it meets."""

    def __init__(self, connection: Any, pooled: bool) -> None:
        self.connection = connection
        self.pooled = pooled
        self._statements: dict[tuple[str, ...], Any] = {}

    @classmethod
    async def open(cls, target: Target) -> Self:
        """A new connection."""
        # No statement cache: what asyncpg keeps there it would also use through a pooler.
        connection = await asyncpg.connect(target.dsn, statement_cache_size=0, timeout=_CONNECTING)
        if target.pooled is not None:
            return cls(connection, target.pooled)
        # A pooler makes up the number of the process that it tells its clients.
        pid = await connection.fetchval("select pg_backend_pid()")
        return cls(connection, pid != connection.get_server_pid())

    async def run(self, function: str, arguments: Mapping[str, Any], timeout: float) -> Sequence[Mapping[str, Any]]:
        """The rows that a function returns."""
        key = (function, *arguments)
        statement = self._statements.get(key)
        if statement is None:
            given = ", ".join(f"{name} => ${place}" for place, name in enumerate(arguments, 1))
            text = f"select * from public.{function}({given})"
            # asyncpg parses a statement without a name each time anew, in a message of its own.
            name = "" if self.pooled else f"sequential_{len(self._statements)}"
            statement = await self.connection.prepare(text, name=name, timeout=timeout)
            self._statements[key] = statement
        rows: Sequence[Mapping[str, Any]] = await statement.fetch(*arguments.values(), timeout=timeout)
        return rows


class Connections:
    """Sessions, opened when they are needed and kept; ``pooled`` is known when ``open`` returns."""

    def __init__(self, target: Target, most: int, timeout: float) -> None:
        if type(most) is not int or most < 1:
            raise ConfigurationError(f"connections is {most!r}; it is a count, 1 at least")
        self._target = target
        self._most = most
        self._timeout = timeout
        self._places: asyncio.Semaphore | None = None
        self._idle: list[Session] = []
        self._lent: set[Session] = set()
        self.pooled = bool(target.pooled)

    async def open(self) -> None:
        """Open the first."""
        session = await Session.open(self._target)
        self.pooled = session.pooled
        self._places = asyncio.Semaphore(self._most)
        self._idle.append(session)

    async def close(self) -> None:
        """Close all; a call that is on its way ends with an error."""
        self._places = None
        idle, self._idle = self._idle, []
        for session in self._lent:
            session.connection.terminate()
        for session in idle:
            await _close(session)

    async def run(self, function: str, arguments: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
        """Call a function on whichever connection is free."""
        places = self._places
        if places is None:
            raise StorageClosed("PostgresDoor")
        async with places:
            session = self._idle.pop() if self._idle else await Session.open(self._target)
            self._lent.add(session)
            try:
                rows = await session.run(function, arguments, self._timeout)
            except asyncpg.PostgresError as error:
                self._give_back(session, places, usable=not _ends_session(error))
                raise
            except BaseException:
                self._give_back(session, places, usable=False)
                raise
            self._give_back(session, places, usable=True)
            return rows

    def _give_back(self, session: Session, places: asyncio.Semaphore, *, usable: bool) -> None:
        self._lent.discard(session)
        if usable and places is self._places and not session.connection.is_closed():
            self._idle.append(session)
        else:
            session.connection.terminate()


# Those that end the connection (08, 57P), and those that its prepared statements are the cause of.
_ENDINGS: Final = ("08", "57P", "26000", "42P05", "0A000", "25006")


def code_of(error: asyncpg.PostgresError) -> str:
    """The SQLSTATE of an error; empty for one that asyncpg made itself."""
    return str(getattr(error, "sqlstate", None) or "")


def _ends_session(error: asyncpg.PostgresError) -> bool:
    return code_of(error).startswith(_ENDINGS)


async def _close(session: Session) -> None:
    try:
        await session.connection.close(timeout=2.0)
    except (TimeoutError, OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
        session.connection.terminate()
