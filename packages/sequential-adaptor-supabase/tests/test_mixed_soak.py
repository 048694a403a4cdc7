"""Everything that long-lived runs do, at once, on one database that several workers share and are killed on."""

from __future__ import annotations

import pytest
from parts.stores import Stores

from sequential_adaptor.testing.torture import torture_mixed


@pytest.mark.slow
async def test_a_database_survives_everything_at_once(stores18: Stores) -> None:
    """32 runs with their children, 4 workers, 6 kills: nothing lost, stuck, twice, wrong or over a limit."""
    report = await torture_mixed(stores18.dsn(), tasks=32, workers=4, kills=6, seed=3, lease=1.0)
    assert report.ok, str(report)
    assert report.kills >= 3
