"""What an invocation says about failing: how often it is tried, how long each try may take, and over what it maps.

Beside ``src`` an invocation (or a state of the short form) may have:

- ``retry``: how often it is tried in all, or ``{"attempts", "delay", "factor", "max", "jitter", "errors"}``: the first
  pause is ``delay`` milliseconds (1,000), each further one ``factor`` (2) times as long, up to ``max`` (60,000); with
  ``jitter`` (true) each is drawn between half of it and all of it; ``errors`` names the types that are tried again.
- ``timeout``: milliseconds for each try; then it fails with ``TimeoutError``.
- ``map``: the function gets the items of its input, a list, one by one, so many at a time; the outcome is the list of
  its results, in order. The first item that fails for good fails the invocation.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import isfinite
from random import Random
from typing import Any

from sequential_adaptor.flow.chart import Chart
from sequential_adaptor.flow.problems import Findings, at
from sequential_adaptor.flow.reading import listed
from sequential_adaptor.values import JSON


@dataclass(frozen=True, slots=True)
class Policy:
    """``timeout`` and the pauses are in seconds; ``errors`` is ``None`` where all are tried again."""

    attempts: int = 1
    delay: float = 1.0
    factor: float = 2.0
    longest: float = 60.0
    jitter: bool = True
    errors: tuple[str, ...] | None = None
    timeout: float | None = None
    map: int | None = None

    def pause(self, failures: int, chance: Random) -> float:
        """How long to wait after so many failures, in seconds."""
        try:
            longest = min(self.longest, self.delay * self.factor ** (failures - 1))
        except OverflowError:  # no float is as long as that
            longest = self.longest if self.delay else 0.0
        return longest * (0.5 + chance.random() / 2) if self.jitter else longest

    def tries_again(self, error: BaseException) -> bool:
        """Whether an error of this kind is tried again."""
        if self.errors is None:
            return True
        names = {kind.__name__ for kind in type(error).__mro__} | {getattr(error, "type", "")}
        return not names.isdisjoint(self.errors)


def policies(chart: Chart, findings: Findings) -> dict[tuple[str, str], Policy]:
    """The policies of all invocations of a chart, by state and id; what cannot be right is noted."""
    found = {}
    for state in chart.states:
        for invoke in state.invokes:
            found[state.path, invoke.id] = _policy(invoke.config, invoke.path, findings)
    return found


_NUMBERS: Mapping[str, tuple[str, float]] = {
    "delay": ("delay", 1000),
    "factor": ("factor", 1),
    "max": ("longest", 1000),
}


def _policy(config: Mapping[str, JSON], path: str, findings: Findings) -> Policy:
    fields = _retry(config.get("retry"), at(path, "retry"), findings)
    timeout, map = config.get("timeout"), config.get("map")
    if timeout is not None and _number(timeout, at(path, "timeout"), findings):
        fields["timeout"] = timeout / 1000
    map = map.get("concurrency", 10) if isinstance(map, dict) else map
    if map is not None and _count(map, at(path, "map"), findings):
        fields["map"] = map
    return Policy(**fields)


def _retry(given: JSON, path: str, findings: Findings) -> dict[str, Any]:
    retry = given if isinstance(given, dict) else {} if given is None else {"attempts": given}
    fields: dict[str, Any] = {}
    for name in retry.keys() - {*_NUMBERS, "attempts", "jitter", "errors"}:
        findings.unknown(path, "setting", name, [*_NUMBERS, "attempts", "jitter", "errors"])
    if retry and _count(retry.get("attempts", 3), at(path, "attempts"), findings):
        fields["attempts"] = retry.get("attempts", 3)
    for name, (field, unit) in _NUMBERS.items():
        if name in retry and _number(retry[name], at(path, name), findings):
            fields[field] = retry[name] / unit
    if "jitter" in retry:
        fields["jitter"] = bool(retry["jitter"])
    if "errors" in retry:
        fields["errors"] = _names(retry["errors"], at(path, "errors"), findings)
    return fields


def _names(value: JSON, path: str, findings: Findings) -> tuple[str, ...]:
    names = listed(value)
    if not all(isinstance(name, str) for name in names):
        findings.problem(path, f"{value!r} is no list of the names of errors")
    return tuple(str(name) for name in names)


def _count(value: JSON, path: str, findings: Findings) -> bool:
    good = type(value) is int and value >= 1
    if not good:
        findings.problem(path, f"{value!r} is no count; it is 1 or more")
    return good


def _number(value: JSON, path: str, findings: Findings) -> bool:
    good = type(value) in (int, float) and isfinite(value) and value >= 0
    if not good:
        findings.problem(path, f"{value!r} is no number of milliseconds, 0 or more")
    return good
