"""Packages from an index, a build, its tests; again from nothing; and with one line changed."""

from __future__ import annotations

import runpy
from pathlib import Path
from typing import Any

import pytest

BENCHMARK = Path(__file__).parents[2] / "benchmarks" / "container_build.py"


@pytest.mark.slow
@pytest.mark.parametrize("name", ["none", "overlay"])
async def test_a_build_is_all_hits_the_second_time_and_a_changed_line_runs_what_follows(
    name: str, new_runner: Any, missing_isolations: dict[str, str], tree: Any
) -> None:
    if name in missing_isolations:
        pytest.skip(missing_isolations[name])
    work = runpy.run_path(str(BENCHMARK), run_name="benchmark")
    runner = await new_runner(isolation=name, inherit=work["INHERITED"])
    first = [layer for _, _, layer in await work["build"](runner, work["SCRIPT"])]
    assert "1 passed" in first[-1].stdout
    built = tree(runner.workdir)
    again = [layer for _, _, layer in await work["build"](runner, work["SCRIPT"])]
    assert [layer.hash for layer in again] == [layer.hash for layer in first]
    assert all(layer.cached for layer in again)
    assert tree(runner.workdir) == built
    changed = await work["build"](runner, work["SCRIPT"].replace("ANSWER = 42", "ANSWER = 43"))
    assert [layer.cached for _, _, layer in changed] == [True, False, False, False]
    assert (await runner.verify()).whole
