"""The chart of a machine, read, resolved and checked; not yet bound to functions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sequential_adaptor.flow.chart import Chart
from sequential_adaptor.flow.checking import check
from sequential_adaptor.flow.problems import Findings
from sequential_adaptor.flow.reading import read
from sequential_adaptor.flow.targets import resolve


def read_chart(config: Mapping[str, Any], findings: Findings) -> Chart:
    """The chart of a machine; what cannot be right with it is in ``findings``."""
    chart = read(config, findings)
    resolve(chart, findings)
    check(chart, findings)
    return chart
