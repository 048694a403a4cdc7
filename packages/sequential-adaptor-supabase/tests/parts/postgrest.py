"""A real PostgREST in front of one database, configured as a hosted project's is."""

from __future__ import annotations

import http.client
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

from parts.ground import PATIENCE, PartMissing, Process, bare_environment, folder, free_port
from parts.install import POSTGREST
from parts.postgres import HOW, Postgres

SECRET = "super-secret-jwt-token-with-at-least-32-characters-long"
MAX_ROWS = 1000


class PostgREST:
    """It listens on a Unix socket; its admin port tells when it is ready."""

    def __init__(self, place: Path, server: Postgres, database: str) -> None:
        self.place, self.server, self.database = place, server, database
        self.socket = place / "rest"
        self._process: Process | None = None

    @classmethod
    @contextmanager
    def running(cls, server: Postgres, database: str) -> Iterator[PostgREST]:
        """A new one, ready; gone when the context ends."""
        with folder("rest") as place:
            rest = cls(place, server, database)
            rest.start()
            try:
                yield rest
            finally:
                rest.stop()

    def start(self) -> None:
        """Start it; a port that somebody else took in this moment is no reason to give up."""
        for attempt in range(3):
            self.admin_port = free_port()
            self._process = Process([_program()], self.place / "log", self._settings(), cwd=self.place)
            try:
                self._process.wait_until(self.is_ready, "PostgREST")
                return
            except PartMissing:
                self.stop()
                if attempt == 2:
                    raise

    def stop(self) -> None:
        """Stop it."""
        if self._process is not None:
            self._process.stop(signal.SIGTERM)
            self._process = None
            self.socket.unlink(missing_ok=True)

    def is_ready(self) -> bool:
        """Whether its admin port says that it has its database, and a schema cache."""
        connection = http.client.HTTPConnection("127.0.0.1", self.admin_port, timeout=5)
        try:
            connection.request("GET", "/ready")
            return connection.getresponse().status == 200 and self.socket.exists()
        except OSError:
            return False
        finally:
            connection.close()

    def wait_until_ready(self) -> None:
        """Wait until it has found its way back to the database."""
        deadline = time.monotonic() + PATIENCE
        while not self.is_ready():
            if time.monotonic() > deadline:
                raise PartMissing(f"PostgREST is not ready again: {(self.place / 'log').read_text()[-2000:]}")
            time.sleep(0.05)

    def _settings(self) -> dict[str, str]:
        return bare_environment(
            PGRST_DB_URI=self.server.dsn(self.database, "authenticator"),
            PGRST_DB_SCHEMAS="public",
            PGRST_DB_EXTRA_SEARCH_PATH="public,extensions",
            PGRST_DB_ANON_ROLE="anon",
            PGRST_DB_MAX_ROWS=str(MAX_ROWS),
            PGRST_DB_POOL="10",
            PGRST_JWT_SECRET=SECRET,
            PGRST_SERVER_UNIX_SOCKET=str(self.socket),
            PGRST_SERVER_HOST="127.0.0.1",
            PGRST_ADMIN_SERVER_PORT=str(self.admin_port),
            PGRST_LOG_LEVEL="warn",
            GHCRTS="-N1",
        )


@cache
def _program() -> Path:
    if not POSTGREST.is_whole():
        raise PartMissing(f"PostgREST is not installed. {HOW}")
    return POSTGREST.path
