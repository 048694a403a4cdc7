"""A project as Supabase hosts one, as far as it concerns us: an address, keys, PostgREST and a database."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from parts.gateway import Gateway, token
from parts.postgres import Postgres
from parts.postgrest import SECRET, PostgREST


@dataclass(frozen=True)
class Project:
    """``secret_key`` and ``publishable_key`` are of the new kind, ``service_role_key`` and ``anon_key`` of the old."""

    server: Postgres
    database: str
    rest: PostgREST
    gateway: Gateway
    secret_key: str
    publishable_key: str
    service_role_key: str
    anon_key: str

    @property
    def url(self) -> str:
        """Its address: what SUPABASE_URL is."""
        return self.gateway.url

    @property
    def dsn(self) -> str:
        """The way to its database that needs no REST."""
        return self.server.dsn(self.database)

    @classmethod
    @contextmanager
    def running(cls, server: Postgres, database: str, seed: int = 0) -> Iterator[Project]:
        """PostgREST and a gateway on a database, with keys; gone when the context ends."""
        secret_key, publishable_key = f"sb_secret_{secrets.token_hex(16)}", f"sb_publishable_{secrets.token_hex(16)}"
        service_role_key, anon_key = token(SECRET, "service_role"), token(SECRET, "anon")
        roles = {secret_key: "service_role", publishable_key: "anon", service_role_key: None, anon_key: None}
        with (
            PostgREST.running(server, database) as rest,
            Gateway.running(rest.socket, SECRET, roles, seed) as gateway,
        ):
            yield cls(server, database, rest, gateway, secret_key, publishable_key, service_role_key, anon_key)


@contextmanager
def on_this_machine() -> Iterator[dict[str, str]]:
    """A project on a new Postgres, without our schema; what a user's environment says of it."""
    with Postgres.running(18) as server, Project.running(server, server.new_database()) as project:
        settings = {"DATABASE_URL": project.dsn, "SUPABASE_URL": project.url}
        yield {**settings, "SUPABASE_SERVICE_KEY": project.secret_key}
