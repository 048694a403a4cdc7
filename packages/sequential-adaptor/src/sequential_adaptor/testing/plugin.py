"""The pytest plug-in: an engine whose clock is skipped, readable assertions in the laws of storage, and a report of
what a backend keeps and does not offer.

It is loaded wherever pytest runs beside the library, so it imports nothing but pytest.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import pytest

from sequential_adaptor.testing.notes import LAW, NOT_OFFERED

if TYPE_CHECKING:
    from sequential_adaptor.testing.skipping import SkippingEngine

pytest.register_assert_rewrite("sequential_adaptor.testing.laws", "sequential_adaptor.testing.machine")


@pytest.fixture
def skipping_engine() -> SkippingEngine:
    """An engine in memory whose clock is skipped, to be opened: ``async with skipping_engine as engine:``."""
    from sequential_adaptor.testing.skipping import SkippingEngine

    return SkippingEngine()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """One paragraph for each backend: how many laws it keeps, breaks, and does not offer, and why."""
    groups = {name: _by_class(terminalreporter.getreports(name)) for name in ("passed", "failed", "error", "skipped")}
    backends = sorted({backend for group in groups.values() for backend in group})
    if backends:
        terminalreporter.section("storage laws")
    for backend in backends:
        kept, missing = groups["passed"].get(backend, []), _not_offered(groups["skipped"].get(backend, []))
        broken = groups["failed"].get(backend, []) + groups["error"].get(backend, [])
        numbers = [number for numbers in missing.values() for number in numbers]
        terminalreporter.line(f"{backend}: {_laws(kept)} kept, {_laws(broken)} broken, {len(numbers)} not offered")
        for reason, found in missing.items():
            terminalreporter.line(f"  not offered, {reason}: {', '.join(sorted(found, key=_order))}")


def _by_class(reports: Iterable[Any]) -> dict[str, list[pytest.TestReport]]:
    found: dict[str, list[pytest.TestReport]] = defaultdict(list)
    for report in reports:
        # A file that cannot be imported is reported too, and that report has no properties.
        if isinstance(report, pytest.TestReport) and any(name == LAW for name, _ in report.user_properties):
            found[report.nodeid.rpartition("::")[0]].append(report)
    return found


def _laws(reports: Iterable[pytest.TestReport]) -> int:
    """How many laws the reports are about: a law broken and then torn down badly counts once."""
    return len({str(value) for report in reports for name, value in report.user_properties if name == LAW})


def _not_offered(reports: Iterable[pytest.TestReport]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for report in reports:
        for name, value in report.user_properties:
            if name == NOT_OFFERED and isinstance(value, tuple | list):
                found.setdefault(str(value[1]), []).append(str(value[0]))
    return found


def _order(number: str) -> tuple[str, int]:
    return number[0], int(number[1:])
