"""The documentation of this repository. An installed package comes without it, and these tests are skipped there."""

from __future__ import annotations

from pathlib import Path

import pytest

ROOT = Path(__file__).parents[4]


@pytest.fixture(scope="session")
def docs() -> Path:
    """The folder with the pages."""
    folder = ROOT / "docs"
    if not (folder / "index.md").is_file():
        pytest.skip("the documentation is in the repository only")
    return folder
