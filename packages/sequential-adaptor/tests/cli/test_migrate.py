"""``sequential migrate`` without a database: backends with migrations of their own, and those without."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

PLUGIN = """
from sequential_adaptor.storage.migrating import Migrated

class Pantry:
    done = []

    @classmethod
    async def migrate(cls, url, shelves=1):
        before, cls.done = cls.done, ["doors", "shelves"]
        return Migrated(tuple(cls.done[len(before):]), 2)

def register(registry):
    registry.register("adapter", "pantry", Pantry, replace=True)
"""


def test_a_folder_needs_none(sequential: Any) -> None:
    """It is made, and kept up to date, when it is opened: said in one line, and nothing is made."""
    done = sequential("migrate")
    assert (done.code, done.out) == (0, "")
    assert done.err == "folder:./tasks: nothing to do: it is made, and kept up to date, when it is opened\n"
    assert not Path("tasks").exists()
    assert sequential("migrate", "--json").json() == {"storage": "folder:./tasks", "applied": [], "total": 0}


def test_a_backend_brings_its_own(sequential: Any, folder: Path) -> None:
    """An adapter's factory that has ``migrate`` is given the options of the storage, and what it did is said."""
    (folder / "pantry.py").write_text(PLUGIN)
    pantry = ("--plugin", "pantry.py", "migrate", "--storage", "pantry:at-home")
    assert sequential(*pantry).err == "pantry:at-home: applied 2 of 2 migrations: doors, shelves\n"


@pytest.mark.parametrize("storage", ["nosuch:x", "postgresql:"])
def test_what_cannot_be_is_an_error(sequential: Any, storage: str) -> None:
    """An unknown backend, or one that is told too little, is one error and no traceback."""
    done = sequential("migrate", "--storage", storage)
    assert done.code == 1
    assert done.err.startswith("Error: ")
    assert "Traceback" not in done.err
