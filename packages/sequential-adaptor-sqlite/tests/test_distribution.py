"""The package as it is installed: its entry point, its typing marker, and nothing of its neighbours."""

from __future__ import annotations

from importlib.metadata import distribution, entry_points
from importlib.resources import files
from pathlib import Path

import pytest

import sequential_adaptor
from sequential_adaptor import create_adapter, registries, with_adapter
from sequential_adaptor.backends import sqlite
from sequential_adaptor.storage import StorageAdapter


def test_the_public_names() -> None:
    """What this package exports, and no more."""
    assert sqlite.__all__ == ["DatabaseBusy", "IncompatibleDatabase", "SQLiteAdapter"]
    assert issubclass(sqlite.SQLiteAdapter, StorageAdapter)
    assert sqlite.SQLiteAdapter.atomic


def test_it_is_found_by_its_entry_point() -> None:
    """One entry point: the class itself, by the name `sqlite`."""
    [found] = entry_points(group="sequential_adaptor.backends", name="sqlite")
    assert found.value == "sequential_adaptor.backends.sqlite:SQLiteAdapter"
    assert found.load() is sqlite.SQLiteAdapter
    assert "sqlite" in registries["adapter"]


@pytest.mark.parametrize("storage", ["name", "url"])
async def test_it_is_made_by_name_and_by_url(path: Path, storage: str) -> None:
    """`create_adapter("sqlite", db_path=...)` and `create_adapter("sqlite:///...")` open the same file."""
    async with create_adapter("sqlite", db_path=path) as adapter:
        await adapter.set_keystore("k", "kept")
    opening = (
        create_adapter("sqlite", {"db_path": str(path)}) if storage == "name" else create_adapter(f"sqlite:///{path}")
    )
    async with opening as adapter:
        assert isinstance(adapter, sqlite.SQLiteAdapter)
        assert await adapter.get_keystore("k") == "kept"


async def test_it_is_lent_and_taken_back(path: Path) -> None:
    """`with_adapter` closes it, so that the file is alone afterwards."""

    async def use(adapter: StorageAdapter) -> object:
        await adapter.set_keystore("k", [1, 2.0, None])
        return await adapter.get_keystore("k")

    assert await with_adapter("sqlite", {"db_path": path}, use) == [1, 2.0, None]
    assert [found.name for found in path.parent.iterdir()] == ["tasks.db"]


def test_it_is_typed_and_brings_no_neighbour() -> None:
    """`py.typed` is in the leaf; the folders above belong to everybody, and nothing is put into them."""
    assert files(sqlite).joinpath("py.typed").is_file()
    shipped = [str(found) for found in distribution("sequential-adaptor-sqlite").files or () if found.suffix == ".py"]
    inside = "sequential_adaptor/backends/sqlite/"
    assert all(inside in name for name in shipped if not name.startswith("_editable")), shipped
    assert sequential_adaptor.__path__
