"""OpenTelemetry's own SDK, with its exporters in memory."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from sequential_adaptor import telemetry
from sequential_adaptor.telemetry import RunIds


@dataclass
class Seen:
    """What was exported."""

    provider: TracerProvider
    exporter: InMemorySpanExporter
    reader: InMemoryMetricReader

    @property
    def spans(self) -> dict[str, list[Any]]:
        found: dict[str, list[Any]] = {}
        for span in self.exporter.get_finished_spans():
            found.setdefault(span.name, []).append(span)
        return found

    def points(self, name: str) -> dict[tuple[Any, ...], Any]:
        """The data points of a metric by the values of their attributes."""
        return {
            tuple(point.attributes.values()): getattr(point, "value", getattr(point, "count", None))
            for point in self._found(name)
        }

    def sums(self, name: str) -> dict[tuple[Any, ...], float]:
        """What was measured, in sum, by the values of the attributes."""
        return {tuple(point.attributes.values()): point.sum for point in self._found(name)}

    def _found(self, name: str) -> list[Any]:
        data = self.reader.get_metrics_data()
        return [
            point
            for resource in (data.resource_metrics if data is not None else [])
            for scope in resource.scope_metrics
            for metric in scope.metrics
            if metric.name == name
            for point in metric.data.data_points
        ]


@pytest.fixture
def otel() -> Iterator[Seen]:
    """Telemetry that is on, and what it tells."""
    exporter, reader = InMemorySpanExporter(), InMemoryMetricReader()
    provider, meters = TracerProvider(), MeterProvider([reader])
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    telemetry.instrument(tracer_provider=provider, meter_provider=meters)
    yield Seen(provider, exporter, reader)
    telemetry.uninstrument()
    provider.shutdown()
    meters.shutdown()


class Records(logging.Handler):
    """Keeps what is logged."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.kept: list[tuple[str, str, str, str]] = []
        self.addFilter(RunIds())

    def emit(self, record: Any) -> None:
        self.kept.append((record.name, record.getMessage(), record.run_id, record.call_id))


@pytest.fixture
def logged() -> Iterator[list[tuple[str, str, str, str]]]:
    """(logger, message, run, call) of everything that is logged."""
    handler, root = Records(), logging.getLogger()
    before = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    yield handler.kept
    root.setLevel(before)
    root.removeHandler(handler)
