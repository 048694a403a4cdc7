"""A small torture of the folder: everything that a large one does, and nothing found."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from sequential_adaptor.errors import ConfigurationError
from sequential_adaptor.testing.torture import Finding, Report, torture
from sequential_adaptor.testing.torture.service import Manners

pytestmark = pytest.mark.slow


async def test_a_folder_survives(tmp_path: Path) -> None:
    """30 tasks, 3 workers, 8 kills, a service that misbehaves: nothing lost, stuck, twice, wrong or too early."""
    seen: list[tuple[int, int, int]] = []
    report = await torture(
        f"folder:{tmp_path / 'store'}",
        tasks=30,
        workers=3,
        kills=8,
        seed=7,
        lease=1.0,
        progress=lambda *now: seen.append(now),
    )
    assert report.ok, str(report)
    assert report.kills >= 4
    assert report.requests >= 90
    assert report.repeated > 0
    assert seen[-1][:2] == (30, 30)
    assert json.loads(json.dumps(report.to_json()))["ok"] is True
    assert [path.name for path in tmp_path.iterdir()] == ["store"]


async def test_no_task_is_no_trouble(tmp_path: Path) -> None:
    """A torture of nothing ends at once."""
    report = await torture(f"folder:{tmp_path / 'store'}", tasks=0, workers=1, kills=0)
    assert report.ok
    assert report.requests == 0


async def test_a_store_that_cannot_be_opened_is_said(tmp_path: Path) -> None:
    """What is wrong with the storage URL comes up as it is."""
    with pytest.raises(Exception, match="nosuch") as caught:
        await torture(f"nosuch:{tmp_path}", tasks=1)
    assert not isinstance(caught.value, ConfigurationError) or "nosuch" in str(caught.value)


def test_the_command_says_what_was_found(tmp_path: Path) -> None:
    """``sequential torture`` prints the report, as JSON if asked to; nothing found is exit code 0."""
    command = [sys.executable, "-m", "sequential_adaptor.cli", "torture", "--tasks", "5", "--kills", "1", "--json"]
    storage = f"folder:{tmp_path / 'store'}"
    done = subprocess.run([*command, "--lease", "1", "--storage", storage], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert (report["ok"], report["tasks"], report["findings"]) == (True, 5, [])


def test_a_seed_decides_what_the_service_does() -> None:
    """The same seed does the same to the same attempt at the same call; another one does something else somewhere."""
    one, same, other = (Manners(seed, 0.1, 0.1, 0.1, 0.1, 1.0) for seed in (1, 1, 2))
    attempts = [(run, n, attempt) for run in range(20) for n in range(3) for attempt in range(1, 4)]
    assert [one.of(*each) for each in attempts] == [same.of(*each) for each in attempts]
    assert [one.of(*each) for each in attempts] != [other.of(*each) for each in attempts]
    kinds = {manner for manner, _ in (one.of(*each) for each in attempts)}
    assert kinds == {"drop", "fail", "delay", "twice", "answer"}


def test_a_report_is_readable() -> None:
    """The report says the counts of each kind, and the first findings, and hides no finding from the JSON."""
    findings = tuple(Finding("stuck", f"run-{n}", "why") for n in range(30))
    report = Report("folder:x", 1, 30, 2, 3, 1.5, 90, 4, 2, 1, 0, findings)
    text = str(report)
    assert "30 stuck" in text
    assert "0 lost" in text
    assert "and 10 more" in text
    assert not report.ok
    assert len(report.to_json()["findings"]) == 30
