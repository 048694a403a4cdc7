"""Which door an adapter's options lead to. The library of the other one is not imported."""

from __future__ import annotations

import os
from typing import Any

from sequential_adaptor.backends.supabase.door import Door
from sequential_adaptor.errors import ConfigurationError


def make_door(
    dsn: str | None, *, url: str | None, service_key: str | None, listen_dsn: str | None = None, **options: Any
) -> Door:
    """The door by a connection string, or by REST; the one that the environment names where neither is said."""
    if dsn is not None and url is not None:
        raise ConfigurationError("give dsn= (straight to Postgres) or url= with service_key= (by REST), not both")
    if dsn is not None:
        if service_key is not None:
            raise ConfigurationError("service_key= goes with url=; a dsn= has the password of a database user in it")
        from sequential_adaptor.backends.supabase.postgres import PostgresDoor

        return PostgresDoor(dsn, listen_dsn=listen_dsn, **options)
    url, service_key = url or os.environ.get("SUPABASE_URL"), service_key or os.environ.get("SUPABASE_SERVICE_KEY")
    if url is None:
        raise ConfigurationError(
            "where is the database? Give dsn='postgresql://...', or url= with service_key=, or set SUPABASE_URL and"
            " SUPABASE_SERVICE_KEY"
        )
    if listen_dsn is not None:
        raise ConfigurationError("listen_dsn= goes with dsn=: by REST new work is found by polling")
    from sequential_adaptor.backends.supabase.rest import RestDoor

    return RestDoor(url, service_key or "", **options)
