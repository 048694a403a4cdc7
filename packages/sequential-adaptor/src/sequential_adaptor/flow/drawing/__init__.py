"""Drawings of machines: Mermaid, DOT and SVG, each from one sketch, with what a run has visited where there is one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from sequential_adaptor.errors import ConfigurationError
from sequential_adaptor.flow.drawing.dot import dot
from sequential_adaptor.flow.drawing.mermaid import mermaid
from sequential_adaptor.flow.drawing.sketch import Marks, Sketch, sketch
from sequential_adaptor.flow.drawing.svg import svg
from sequential_adaptor.flow.errors import MachineError
from sequential_adaptor.flow.loading import read_chart
from sequential_adaptor.flow.machine import Machine
from sequential_adaptor.flow.problems import Findings

__all__ = ["FORMATS", "Marks", "draw"]

FORMATS: Mapping[str, Callable[[Sketch], str]] = {"mermaid": mermaid, "dot": dot, "svg": svg}


def draw(machine: Machine | Mapping[str, Any], format: str = "mermaid", marks: Marks | None = None) -> str:
    """The drawing as text. A machine as JSON needs no functions for it; :class:`MachineError` where it is not whole."""
    if format not in FORMATS:
        raise ConfigurationError(f"no drawing format {format!r} (there are: {', '.join(FORMATS)})")
    if isinstance(machine, Machine):
        chart = machine.chart
    else:
        findings = Findings()
        chart = read_chart(machine, findings)
        if findings.problems:
            raise MachineError(chart.name, findings.problems)
    return FORMATS[format](sketch(chart, marks or Marks()))
