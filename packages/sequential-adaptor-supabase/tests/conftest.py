"""What the tests of this backend share: real servers, each started once for a session, and fresh databases on them.

A part that cannot be started fails the tests and says what to install; nothing is skipped.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # `parts` is no installed package; this and processes beside it find it

from parts.pgbouncer import Bouncer
from parts.postgres import Postgres
from parts.stores import Stores

from sequential_adaptor.backends.supabase.migrating import migrations

# ---- servers


@pytest.fixture(scope="session")
def postgres18() -> Iterator[Postgres]:
    """Postgres 18."""
    with Postgres.running(18) as server:
        yield server


@pytest.fixture(scope="session")
def postgres15() -> Iterator[Postgres]:
    """Debian's Postgres 15."""
    with Postgres.running(15) as server:
        yield server


@pytest.fixture(scope="session")
def bouncer18(postgres18: Postgres) -> Iterator[Bouncer]:
    """A transaction-mode pooler in front of Postgres 18."""
    with Bouncer.running(postgres18) as bouncer:
        yield bouncer


@pytest.fixture(scope="session")
def bouncer15(postgres15: Postgres) -> Iterator[Bouncer]:
    """A transaction-mode pooler in front of Postgres 15."""
    with Bouncer.running(postgres15) as bouncer:
        yield bouncer


# ---- databases with our schema, and projects on them


@pytest.fixture(scope="session")
def template18(postgres18: Postgres) -> str:
    """A database with our schema and nothing in it, to be copied."""
    return migrated(postgres18)


@pytest.fixture(scope="session")
def template15(postgres15: Postgres) -> str:
    """A database with our schema and nothing in it, to be copied."""
    return migrated(postgres15)


@pytest.fixture
def stores18(postgres18: Postgres, template18: str) -> Iterator[Stores]:
    """Fresh databases with our schema on Postgres 18, and projects on them; gone when the test ends."""
    with Stores(postgres18, template18) as stores:
        yield stores


@pytest.fixture
def stores15(postgres15: Postgres, template15: str) -> Iterator[Stores]:
    """Fresh databases with our schema on Postgres 15, and projects on them; gone when the test ends."""
    with Stores(postgres15, template15) as stores:
        yield stores


def migrated(server: Postgres) -> str:
    """A new database with all migrations in it, each run by `postgres` as `supabase db push` does it."""
    name = server.new_database()
    for one in migrations():
        server.sql(f"begin;\n{one.text}\n;commit;", name, user="postgres")
    return name
