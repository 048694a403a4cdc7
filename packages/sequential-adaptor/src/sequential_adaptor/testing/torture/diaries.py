"""What the workers wrote down: their leases, and the runs that they completed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sequential_adaptor.testing.torture.checking import Lease


def leases(folder: Path, lease: float, ahead: float) -> list[Lease]:
    """What was held, by this machine's clock; the store's is ``ahead`` of it by so many seconds."""
    found = []
    for worker, line in _lines(folder):
        if "lease" in line:
            until = line["until"] - ahead
            found.append(Lease(worker, line["lease"], line["token"], until - lease, until))
    return found


def completions(folder: Path) -> list[tuple[str, str]]:
    """Runs, and the commits that completed them."""
    return [(line["completed"], line["commit"]) for _, line in _lines(folder) if "completed" in line]


def _lines(folder: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    for path in sorted(folder.iterdir()):
        for line in path.read_text(encoding="utf-8").splitlines():
            yield path.stem, json.loads(line)
