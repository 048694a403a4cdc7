"""An adapter with only the 16 documented methods keeps every law that one worker at a time can ask for."""

from __future__ import annotations

from typing import Any, ClassVar

import pytest

from sequential_adaptor.ids import new_id
from sequential_adaptor.testing import Storage, StorageLaws


class TestSixteenMethods(StorageLaws):
    differences: ClassVar = {"processes": "the records live in the memory of one process"}

    @pytest.fixture
    def new_store(self, sixteen: Any) -> Any:
        return lambda: Storage(sixteen, name=new_id())
