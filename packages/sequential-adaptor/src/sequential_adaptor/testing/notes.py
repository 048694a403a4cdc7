"""What a law's test tells the report about itself. It goes along with the test's own report, also between processes."""

from __future__ import annotations

from typing import Final

import pytest

LAW: Final = "storage law"
NOT_OFFERED: Final = "storage law not offered"


def note_law(item: pytest.Item, number: str) -> None:
    """Have the report count this test as the law of that number."""
    item.user_properties.append((LAW, number))


def note_not_offered(item: pytest.Item, number: str, reason: str) -> None:
    """Have the report list the law as one that the backend says it does not offer."""
    item.user_properties.append((NOT_OFFERED, (number, reason)))
