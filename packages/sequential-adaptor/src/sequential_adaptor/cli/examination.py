"""What ``sequential doctor`` looks at. Each check gives findings; one that raises is a finding too."""

from __future__ import annotations

import asyncio
import os
import platform
import secrets
import sqlite3
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import distributions, version
from typing import TYPE_CHECKING

from sequential_adaptor import registry
from sequential_adaptor.cli.formats import duration
from sequential_adaptor.errors import PluginError, SequentialError
from sequential_adaptor.lifecycles import TASK_RUN
from sequential_adaptor.storage.locations import Location, find_storage

if TYPE_CHECKING:
    from sequential_adaptor.storage import StorageAdapter

OK, WARNING, FAILURE = "ok", "warning", "failure"

# https://sqlite.org/wal.html#walresetbug: two connections that write and checkpoint at once may corrupt a WAL database.
_WAL_RESET_FIXED = ((3, 44, 6), (3, 50, 7), (3, 51, 3))
_SKEW, _SLOW, _COUNTED = 1.0, 0.1, 1000


@dataclass(frozen=True, slots=True)
class Finding:
    """``level`` is ``ok``, ``warning`` or ``failure``."""

    level: str
    subject: str
    text: str
    remedy: str = ""


async def examine(storage: str | None, *, thorough: bool) -> list[Finding]:
    """All the findings, in the order in which they are worth reading."""
    return [*_python(), *_packages(), *_sqlite(), *_plugins(), *_services(), *await _storage(storage, thorough)]


def _python() -> Iterator[Finding]:
    yield Finding(
        OK, "python", f"{platform.python_version()} ({sys.implementation.name}), {platform.platform(terse=True)}"
    )


def _packages() -> Iterator[Finding]:
    ours = {
        found.name: found.version
        for found in distributions()
        if any(entry.group.startswith("sequential_adaptor.") for entry in found.entry_points)
    }
    for name in sorted(ours):
        yield Finding(OK, "package", f"{name} {ours[name]}")
    libraries = ", ".join(f"{name} {version(name)}" for name in ("httpx", "click", "rich", "transitions"))
    yield Finding(OK, "with", libraries)


def _sqlite() -> Iterator[Finding]:
    yield Finding(OK, "sqlite", f"{sqlite3.sqlite_version}, as Python links it")
    if registry.has("adapter", "sqlite") and has_wal_reset_bug(sqlite3.sqlite_version_info):
        yield Finding(
            WARNING,
            "sqlite",
            "it has the WAL-reset bug, by which programs that write a database at once may, very rarely, damage it",
            "For sqlite storage only. Let no other program write to the file; mended in 3.44.6, 3.50.7 and 3.51.3.",
        )


def has_wal_reset_bug(found: tuple[int, int, int]) -> bool:
    """Whether this version of SQLite is one that was never given the fix."""
    branch = next((fixed for fixed in _WAL_RESET_FIXED if fixed[:2] == found[:2]), _WAL_RESET_FIXED[-1])
    return found < branch


def _plugins() -> Iterator[Finding]:
    for type in registry.TYPES:
        for name in registry.list(type):
            try:
                registry.get(type, name)
            except PluginError as error:
                yield Finding(FAILURE, type, str(error), "Install its newest version, or uninstall it.")


def _services() -> Iterator[Finding]:
    address, token = os.environ.get("SERVICE_BASE_URL"), os.environ.get("SERVICE_AUTH_TOKEN")
    if token and not address:
        yield Finding(WARNING, "services", "SERVICE_AUTH_TOKEN is set, and SERVICE_BASE_URL is not", "Set both.")
    elif address:
        yield Finding(OK, "services", f"{address}, {'with' if token else 'without'} a token")


async def _storage(storage: str | None, thorough: bool) -> list[Finding]:
    try:
        location = find_storage(storage)
    except SequentialError as error:
        return [Finding(FAILURE, "storage", str(error), "Write it as folder:./tasks or sqlite:///tasks.db.")]
    said = "" if location.source == "argument" else f" ({location.source})"
    findings = [Finding(OK, "storage", f"{location.display}{said}")]
    try:
        async with registry.create_adapter(storage) as adapter:
            findings += await _healthy(adapter, location, thorough)
    except (SequentialError, OSError) as error:
        findings.append(Finding(FAILURE, "storage", str(error), "Check that it exists and may be written."))
    return findings


async def _healthy(adapter: StorageAdapter, location: Location, thorough: bool) -> list[Finding]:
    findings = [await _round_trip(adapter), await _clock(adapter), await _runs(adapter)]
    wrong = await adapter.diagnose(thorough=thorough)
    findings += [Finding(FAILURE if line.startswith("damaged") else WARNING, "store", line) for line in wrong]
    if not wrong:
        findings.append(
            Finding(OK, "store", "nothing is known to be wrong" + ("" if thorough else "; --thorough looks closer"))
        )
    if not type(adapter).atomic:
        text = f"{location.backend} is right for one process at a time; start one worker only"
        findings.append(Finding(WARNING, "workers", text))
    return findings


async def _round_trip(adapter: StorageAdapter) -> Finding:
    key, value = f"sequential-doctor-{secrets.token_hex(8)}", {"ü": [0, -0.0, None, 2**70]}
    begin = time.perf_counter()
    await adapter.set_keystore(key, value)
    seconds = time.perf_counter() - begin
    found = await adapter.get_keystore(key)
    await adapter.delete_keystore(key)
    if repr(found) != repr(value):
        return Finding(FAILURE, "writing", f"wrote {value!r} and read {found!r}", "Tell the author of the adapter.")
    level = OK if seconds < _SLOW else WARNING
    return Finding(level, "writing", f"a durable write takes {duration(seconds)}")


async def _clock(adapter: StorageAdapter) -> Finding:
    skew = (await adapter.now() - datetime.now(UTC)).total_seconds()
    if abs(skew) > _SKEW:
        return Finding(WARNING, "clock", f"the store's clock is {abs(skew):.1f} s {'ahead' if skew > 0 else 'behind'}")
    return Finding(OK, "clock", "this machine's and the store's agree")


async def _runs(adapter: StorageAdapter) -> Finding:
    found = await asyncio.gather(
        *(adapter.query_task_runs({"status": state}, limit=_COUNTED) for state in TASK_RUN.open)
    )
    counts = [
        f"{len(page)}{'+' if page.cursor else ''} {state}" for page, state in zip(found, TASK_RUN.open, strict=True)
    ]
    return Finding(OK, "runs", ", ".join(counts))
