"""A real pgbouncer in transaction mode, in front of a Postgres: what a hosted project has on port 6543."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

from parts.ground import PartMissing, Process, bare_environment, folder, servant
from parts.postgres import HOW, Postgres

PORT = 6543

SETTINGS = """
[databases]
* = host={server} port={port}

[pgbouncer]
listen_addr =
listen_port = {listen}
unix_socket_dir = {place}
auth_type = trust
auth_file = {place}/users
pool_mode = transaction
default_pool_size = 20
max_client_conn = 200
server_login_retry = 0.2
server_connect_timeout = 5
log_connections = 0
log_disconnections = 0
"""


class Bouncer:
    """A pooler. A client has a connection for as long as a transaction lasts, and never twice the same for certain."""

    def __init__(self, place: Path, server: Postgres) -> None:
        self.place, self.server = place, server

    @classmethod
    @contextmanager
    def running(cls, server: Postgres) -> Iterator[Bouncer]:
        """A new pooler in front of a server, for all its databases."""
        program = shutil.which("pgbouncer") or shutil.which("pgbouncer", path="/usr/sbin:/usr/local/sbin")
        if program is None:
            raise PartMissing(f"pgbouncer is not installed. {HOW}")
        with folder("pool") as place:
            bouncer = cls(place, server)
            bouncer._configure()
            command = [program, place / "pgbouncer.ini"]
            process = Process(command, place / "log", bare_environment(), cwd=place, **servant())
            try:
                process.wait_until((place / f".s.PGSQL.{PORT}").exists, "pgbouncer")
                yield bouncer
            finally:
                process.stop()

    def _configure(self) -> None:
        about = {"server": self.server.place, "port": self.server.port, "listen": PORT, "place": self.place}
        for name, text in (("pgbouncer.ini", SETTINGS.format(**about)), ("users", '"postgres" ""\n')):
            path = self.place / name
            path.write_text(text, encoding="utf-8")
            path.chmod(0o644)

    def dsn(self, database: str, user: str = "postgres") -> str:
        """How to connect to a database through it."""
        return f"postgresql://{user}@/{database}?host={quote(str(self.place), safe='')}&port={PORT}"
