"""Where a run is in its trace: ids that every process works out alike from the ids of runs and calls."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import datetime
from typing import Any

from opentelemetry.context import Context
from opentelemetry.trace import NonRecordingSpan, Span, SpanContext, TraceFlags, get_current_span, set_span_in_context
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from sequential_adaptor.records import TaskRun
from sequential_adaptor.values import JSON

CARRIED = ("traceparent", "tracestate")
"""Where the metadata of a run have the context in which it was submitted, as the W3C writes it."""

_propagator = TraceContextTextMapPropagator()
_chosen: ContextVar[tuple[int, int] | None] = ContextVar("sequential_adaptor_chosen_ids", default=None)


def carried() -> JSON:
    """The context of the caller as metadata of a run; ``None`` where there is none."""
    carrier: dict[str, str] = {}
    _propagator.inject(carrier)
    return carrier or None


def caller_of(run: TaskRun) -> Context:
    """The context in which a run was submitted; empty where it was submitted in none."""
    metadata = run.metadata if isinstance(run.metadata, Mapping) else {}
    carrier = {name: metadata[name] for name in CARRIED if isinstance(metadata.get(name), str)}
    return _propagator.extract(carrier, Context())


def trace_id(run: TaskRun) -> int:
    """The trace that a run is in: its caller's, else one of its own."""
    caller = get_current_span(caller_of(run)).get_span_context()
    return caller.trace_id if caller.is_valid else own_trace_id(run.id)


def own_trace_id(run_id: str) -> int:
    """The trace of a run that was submitted in none, as every child is."""
    return _number(f"trace {run_id}", 16)


def run_span_id(run_id: str) -> int:
    """The span that stands for a run."""
    return _number(f"run {run_id}", 8)


def call_span_id(call_id: str) -> int:
    """The span that stands for a call."""
    return _number(f"call {call_id}", 8)


def remote(trace: int, span: int, flags: int) -> SpanContext:
    """A span that some process tells of."""
    return SpanContext(trace, span, is_remote=True, trace_flags=TraceFlags(flags))


def below(context: SpanContext) -> Context:
    """The context in which a new span is a child of that one."""
    return set_span_in_context(NonRecordingSpan(context), Context())


def within(span: Span) -> Context:
    """The context in which a new span is a child of that one."""
    return set_span_in_context(span, Context())


def nanoseconds(time: datetime | None) -> int | None:
    """A time as OpenTelemetry counts it."""
    return None if time is None else int(time.timestamp() * 1_000_000) * 1_000


@contextmanager
def chosen(trace: int, span: int) -> Iterator[None]:
    """A span that is started meanwhile has these ids, if its tracer makes them by :class:`ChosenIds`."""
    token = _chosen.set((trace, span))
    try:
        yield
    finally:
        _chosen.reset(token)


class ChosenIds:
    """The SDK's generator of ids, but for spans whose ids are chosen. It takes the place of a tracer's own."""

    def __init__(self, plain: Any) -> None:
        self._plain = plain

    def generate_trace_id(self) -> int:
        """The id of a new trace."""
        found = _chosen.get()
        return int(self._plain.generate_trace_id()) if found is None else found[0]

    def generate_span_id(self) -> int:
        """The id of a new span."""
        found = _chosen.get()
        return int(self._plain.generate_span_id()) if found is None else found[1]

    def __getattr__(self, name: str) -> Any:
        return getattr(self._plain, name)


def _number(text: str, size: int) -> int:
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:size], "big") or 1
