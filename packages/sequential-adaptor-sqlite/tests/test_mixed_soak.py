"""Everything that long-lived runs do, at once, on one file that several workers share and are killed on."""

from __future__ import annotations

from pathlib import Path

import pytest

from sequential_adaptor.testing.torture import torture_mixed


@pytest.mark.slow
async def test_a_file_survives_everything_at_once(tmp_path: Path) -> None:
    """32 runs with their children, 4 workers, 6 kills: nothing lost, stuck, twice, wrong or over a limit."""
    report = await torture_mixed(f"sqlite:///{tmp_path}/tasks.db", tasks=32, workers=4, kills=6, seed=3, lease=1.0)
    assert report.ok, str(report)
    assert report.kills >= 3
