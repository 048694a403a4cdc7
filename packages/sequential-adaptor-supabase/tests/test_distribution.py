"""The package as it is installed: its entry point, its typing marker, its migrations, and nothing of its neighbours."""

from __future__ import annotations

import re
from importlib.metadata import distribution, entry_points
from importlib.resources import files

import pytest
from parts.stores import Stores

from sequential_adaptor import create_adapter, registries
from sequential_adaptor.backends import supabase
from sequential_adaptor.backends.supabase.migrating import migrations
from sequential_adaptor.errors import ConfigurationError
from sequential_adaptor.storage import StorageAdapter


def test_the_public_names() -> None:
    """What this package exports, and no more."""
    assert supabase.__all__ == ["AccessRefused", "SchemaMissing", "SupabaseAdapter"]
    assert issubclass(supabase.SupabaseAdapter, StorageAdapter)
    assert supabase.SupabaseAdapter.atomic


def test_it_is_found_by_its_entry_point() -> None:
    """One entry point: the class itself, by the name `supabase`."""
    [found] = entry_points(group="sequential_adaptor.backends", name="supabase")
    assert found.value == "sequential_adaptor.backends.supabase:SupabaseAdapter"
    assert found.load() is supabase.SupabaseAdapter
    assert "supabase" in registries["adapter"]


async def test_it_is_made_by_name_and_by_url(stores18: Stores) -> None:
    """`create_adapter("supabase", dsn=...)` and `create_adapter("postgresql://...")` open the same database."""
    dsn = stores18.dsn()
    async with create_adapter("supabase", dsn=dsn) as adapter:
        await adapter.set_keystore("k", "kept")
    async with create_adapter(dsn) as adapter:
        assert isinstance(adapter, supabase.SupabaseAdapter)
        assert await adapter.get_keystore("k") == "kept"


def test_it_is_typed_and_brings_its_migrations_and_no_neighbour() -> None:
    """`py.typed` and the SQL are in the leaf; the folders above belong to everybody, and nothing is put into them."""
    assert files(supabase).joinpath("py.typed").is_file()
    assert [re.fullmatch(r"\d{14}", one.version) is not None for one in migrations()] == [True] * len(migrations())
    shipped = [str(found) for found in distribution("sequential-adaptor-supabase").files or () if found.suffix == ".py"]
    inside = "sequential_adaptor/backends/supabase/"
    assert all(inside in name for name in shipped if not name.startswith("_editable")), shipped


@pytest.mark.parametrize(
    ("options", "part"),
    [
        ({}, "SUPABASE_URL"),
        ({"dsn": "postgresql://x@/y", "url": "https://x.test"}, "not both"),
        ({"dsn": "postgresql://x@/y", "service_key": "k"}, "goes with url="),
        ({"dsn": "mysql://u:secret@h/x"}, "connection string"),
        ({"dsn": "postgresql://x@/y", "connections": 0}, "1 at least"),
        ({"url": "https://x.test", "service_key": "k", "listen_dsn": "postgresql://x@/y"}, "goes with dsn="),
    ],
)
def test_options_that_cannot_be_right_are_refused(
    options: dict[str, object], part: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before anything is reached, with what to write instead, and without a password."""
    monkeypatch.delenv("SUPABASE_URL", raising=False)
    monkeypatch.delenv("SUPABASE_SERVICE_KEY", raising=False)
    with pytest.raises(ConfigurationError, match=re.escape(part)) as caught:
        supabase.SupabaseAdapter(**options)  # type: ignore[arg-type]  # they are wrong on purpose
    assert "secret" not in str(caught.value)
