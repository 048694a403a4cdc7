"""Every law of the storage interface: straight to Postgres 15 and 18, through a pooler, and by REST."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

import pytest
from parts.pgbouncer import Bouncer
from parts.stores import Stores

from sequential_adaptor.backends.supabase import SupabaseAdapter
from sequential_adaptor.testing import Storage, StorageLaws

HISTORIES = 12
"""Each begins with a new database, so that there are fewer than for a file."""


class TestPostgres18(StorageLaws):
    """Straight to Postgres 18."""

    histories: ClassVar[int] = HISTORIES

    @pytest.fixture
    def new_store(self, stores18: Stores) -> Callable[[], Storage]:
        """Each store is a database of its own."""
        return lambda: Storage(SupabaseAdapter, dsn=stores18.dsn())


@pytest.mark.slow
class TestPostgres15(StorageLaws):
    """Straight to Postgres 15."""

    histories: ClassVar[int] = HISTORIES

    @pytest.fixture
    def new_store(self, stores15: Stores) -> Callable[[], Storage]:
        """Each store is a database of its own."""
        return lambda: Storage(SupabaseAdapter, dsn=stores15.dsn())


@pytest.mark.slow
class TestPooler18(StorageLaws):
    """Through pgbouncer in transaction mode to Postgres 18, with LISTEN going round it."""

    histories: ClassVar[int] = HISTORIES

    @pytest.fixture
    def new_store(self, stores18: Stores, bouncer18: Bouncer) -> Callable[[], Storage]:
        """Each store is a database of its own."""
        return lambda: _through(stores18, bouncer18)


@pytest.mark.slow
class TestPooler15(StorageLaws):
    """Through pgbouncer in transaction mode to Postgres 15, without LISTEN."""

    histories: ClassVar[int] = HISTORIES

    @pytest.fixture
    def new_store(self, stores15: Stores, bouncer15: Bouncer) -> Callable[[], Storage]:
        """Each store is a database of its own."""
        return lambda: Storage(SupabaseAdapter, dsn=stores15.dsn(through=bouncer15))


@pytest.mark.slow
class TestREST18(StorageLaws):
    """By REST with a key of the new kind, on Postgres 18."""

    histories: ClassVar[int] = HISTORIES

    @pytest.fixture
    def new_store(self, stores18: Stores) -> Callable[[], Storage]:
        """Each store is a project of its own."""
        return lambda: _by_rest(stores18, legacy=False)


@pytest.mark.slow
class TestREST15(StorageLaws):
    """By REST with a key of the old kind, on Postgres 15."""

    histories: ClassVar[int] = HISTORIES

    @pytest.fixture
    def new_store(self, stores15: Stores) -> Callable[[], Storage]:
        """Each store is a project of its own."""
        return lambda: _by_rest(stores15, legacy=True)


def _through(stores: Stores, bouncer: Bouncer) -> Storage:
    database = stores.database()
    return Storage(SupabaseAdapter, dsn=bouncer.dsn(database), listen_dsn=stores.server.dsn(database))


def _by_rest(stores: Stores, *, legacy: bool) -> Storage:
    project = stores.project()
    return Storage(
        SupabaseAdapter, url=project.url, service_key=project.service_role_key if legacy else project.secret_key
    )
