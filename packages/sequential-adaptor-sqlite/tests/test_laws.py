"""Every law of the storage interface, on a file; and on a store in memory, which is one adapter's alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import ClassVar

import pytest

from sequential_adaptor.backends.sqlite import SQLiteAdapter
from sequential_adaptor.ids import new_id
from sequential_adaptor.testing import Storage, StorageLaws


class TestSQLite(StorageLaws):
    """A file."""

    @pytest.fixture
    def new_store(self, tmp_path: Path) -> Callable[[], Storage]:
        """Each store is a file of its own."""
        return lambda: Storage(SQLiteAdapter, db_path=tmp_path / f"{new_id()}.db")


class TestSQLiteInMemory(StorageLaws):
    """``:memory:``."""

    differences: ClassVar[Mapping[str, str]] = {
        "sharing": "a store in memory belongs to its one connection",
        "reopening": "a store in memory ends with its connection",
        "processes": "a store in memory is in one process",
    }

    @pytest.fixture
    def new_store(self) -> Callable[[], Storage]:
        """Each adapter is a store of its own."""
        return lambda: Storage(SQLiteAdapter, db_path=":memory:")
