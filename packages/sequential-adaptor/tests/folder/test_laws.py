"""The folder adapter keeps every law of the storage interface, and declares no difference."""

from __future__ import annotations

from pathlib import Path

import pytest

from sequential_adaptor.backends.folder import FolderAdapter
from sequential_adaptor.ids import new_id
from sequential_adaptor.testing.laws import StorageLaws
from sequential_adaptor.testing.laws.base import NewStore
from sequential_adaptor.testing.storage import Storage


class TestFolder(StorageLaws):
    """With what is the default: an acknowledged commit survives a power loss."""

    @pytest.fixture
    def new_store(self, tmp_path: Path) -> NewStore:
        return lambda: Storage(FolderAdapter, base_path=tmp_path / new_id())


class TestFolderWithoutSync(StorageLaws):
    """The laws do not depend on syncing."""

    @pytest.fixture
    def new_store(self, tmp_path: Path) -> NewStore:
        return lambda: Storage(FolderAdapter, base_path=tmp_path / new_id(), durability="process")
