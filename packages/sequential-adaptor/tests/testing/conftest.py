"""The smallest adapter there can be: the 16 documented methods over dictionaries, and nothing for workers."""

from __future__ import annotations

import pytest

from sequential_adaptor.testing import MemoryAdapter

pytest_plugins = ["pytester"]


@pytest.fixture
def sixteen() -> type[MemoryAdapter]:
    """The adapter class."""
    return MemoryAdapter
