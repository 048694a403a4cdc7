"""What an import brings along. The milliseconds are in ``benchmarks/import_cost.py``; here, only which modules."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

DRIVERS = {"aiosqlite", "asyncpg", "sqlite3", "supabase"}
HTTP_CLIENTS = {"httpx", "httpx2", "urllib.request", "http.client"}
COMMAND_LINE = {"click", "rich"}
TESTING = {"pytest", "hypothesis"}
NEVER_AT_ONCE = DRIVERS | HTTP_CLIENTS | COMMAND_LINE | TESTING | {"transitions", "importlib.metadata", "tomllib"}


def brought_along(statement: str) -> set[str]:
    """The modules that a statement adds to those of an interpreter that has just started."""
    code = (
        f"import json, sys; before = set(sys.modules)\n{statement}\nprint(json.dumps([*sys.modules.keys() - before]))"
    )
    result = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, timeout=60)
    return set(json.loads(result.stdout.splitlines()[-1]))


def test_importing_the_package_imports_none_of_its_parts() -> None:
    modules = brought_along("import sequential_adaptor")
    assert {name for name in modules if name.startswith("sequential_adaptor")} == {"sequential_adaptor"}
    assert modules & (NEVER_AT_ONCE | {"asyncio"}) == set()


@pytest.mark.parametrize(
    "names",
    [
        "Engine",
        "Worker",
        "TaskExecutor, StackProcessor",
        "StorageAdapter, Runner, TaskRun, StackRun, TaskFunction",
        "register, create, list, get, has, registries",
        "create_adapter, create_runner, with_adapter",
        "SequentialError, TaskFailed",
    ],
)
def test_no_driver_client_or_command_line_is_imported_before_it_is_needed(names: str) -> None:
    modules = brought_along(f"from sequential_adaptor import {names}")
    assert modules & NEVER_AT_ONCE == set()


def test_errors_and_records_need_no_event_loop() -> None:
    assert "asyncio" not in brought_along("from sequential_adaptor import SequentialError, TaskRun, StackRun")


def test_listing_plugins_imports_none_of_them() -> None:
    modules = brought_along("import sequential_adaptor as s; [s.list(type) for type in s.registries]")
    assert modules & (NEVER_AT_ONCE - {"importlib.metadata"}) == set()
    for parts in ("backends", "runners.fetch", "runners.container", "flow", "cli"):
        assert not {name for name in modules if name.startswith(f"sequential_adaptor.{parts}")}
