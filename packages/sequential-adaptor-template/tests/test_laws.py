"""The template backend keeps the laws of the storage interface."""

from __future__ import annotations

from typing import ClassVar

import pytest

from sequential_adaptor.backends.template import TemplateAdapter
from sequential_adaptor.ids import new_id
from sequential_adaptor.testing import NewStore, Storage, StorageLaws


class TestTemplateAdapter(StorageLaws):
    # Remove this line when the records live where other processes can see them.
    differences: ClassVar = {"processes": "the records live in the memory of one process"}

    @pytest.fixture
    def new_store(self) -> NewStore:
        """A function that makes a new, empty store each time it is called."""
        return lambda: Storage(TemplateAdapter, name=new_id())
