"""What the engine tells, as OpenTelemetry spans and metrics."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from typing import TYPE_CHECKING, TypeVar

from opentelemetry.metrics import MeterProvider
from opentelemetry.trace import Link, Span, TracerProvider, use_span

from sequential_adaptor.lifecycles import STACK_RUN, TASK_RUN
from sequential_adaptor.records import StackRun, TaskRun
from sequential_adaptor.storage.changes import Change, Claim, Create, Update
from sequential_adaptor.telemetry import traces
from sequential_adaptor.telemetry.harmless import harmless, harmless_async
from sequential_adaptor.telemetry.metrics import Metrics
from sequential_adaptor.telemetry.spans import Spans
from sequential_adaptor.values import JSON

if TYPE_CHECKING:
    from sequential_adaptor.outcomes import Outcome
    from sequential_adaptor.storage import StorageAdapter

L = TypeVar("L", bound=Enum)


@dataclass(slots=True)
class _Held:
    """A run whose frame is held here, with its span and links, its residence's, and the calls that it waits for."""

    run: TaskRun
    span: Span
    links: list[Link]
    residence: Span
    calls: dict[str, StackRun] = field(default_factory=dict)


class Telemetry:
    """Told by the engine what happens; tells OpenTelemetry. Where that fails, it is logged, and the work goes on."""

    def __init__(self, tracer_provider: TracerProvider | None, meter_provider: MeterProvider | None) -> None:
        self._spans = Spans(tracer_provider)
        self._metrics = Metrics(meter_provider)
        self._held: dict[str, _Held] = {}

    @harmless
    def carried(self) -> JSON:
        """The context of whoever submits a run, to be stored with it."""
        return traces.carried()

    @harmless
    def claimed(self, claims: Iterable[Claim], now: datetime) -> None:
        """A worker was given these."""
        for claim in claims:
            record = claim.stack_run
            if record.due_at is not None:  # a call's may be before the call: where its frame stands in the line
                kind, since = "frame" if record.is_frame else "call", max(record.due_at, record.created_at or now)
                self._metrics.claim_latency.record(max(0.0, (now - since).total_seconds()), {"kind": kind})

    @harmless
    def lease_lost(self, claim: Claim) -> None:
        """A claim is no longer held: its lease ran out, or somebody has ended the run by force."""
        self._metrics.leases_lost.add(1)

    async def holding(
        self, store: StorageAdapter, claim: Claim, run: TaskRun, hold: Callable[[Claim, TaskRun], Awaitable[L]]
    ) -> L:
        """Have a frame held, and tell of it."""
        held = await self._begin(store, claim, run)
        left = "stopped"
        try:
            found = await hold(claim, run)
            left = str(found.value)
            return found
        finally:
            if held is not None:
                self._leave(held, left)

    async def performing(
        self, store: StorageAdapter, call: StackRun, perform: Callable[[], Awaitable[Outcome]]
    ) -> Outcome:
        """Have a call performed, and tell of it; what performs it sees the span as the current one."""
        span = await self._attempt(store, call)
        ending, error = "cancelled", None
        try:
            with (
                nullcontext() if span is None else use_span(span, record_exception=False, set_status_on_exception=False)
            ):
                outcome = await perform()
            error = outcome.error
            ending = "retryable" if outcome.retryable else "error" if error is not None else "ok"
            return outcome
        finally:
            self._attempted(span, call, ending, error)

    @harmless
    def read(self, frame: StackRun, rows: Iterable[StackRun]) -> None:
        """A holder has read what is stored below its frame."""
        held = self._held.get(frame.task_run_id)
        if held is not None:
            held.calls.update({row.id: row for row in rows if row.sequence is not None and row.position is None})

    @harmless
    def committed(self, changes: Sequence[Change]) -> None:
        """A worker has committed."""
        for change in changes:
            if isinstance(change, Create) and isinstance(change.record, StackRun):
                self._created(change.record)
            elif isinstance(change, Update) and change.record is TaskRun:
                self._run_changed(change)
            elif isinstance(change, Update):
                self._call_changed(change)

    @harmless_async
    async def ended_by_force(self, store: StorageAdapter, changes: Sequence[Change]) -> None:
        """Somebody has ended runs in storage, whatever their holders do."""
        for change in changes:
            if (
                isinstance(change, Update)
                and change.record is TaskRun
                and change.changes.get("status") in TASK_RUN.ended
            ):
                run = await store.get_task_run(change.id)
                if run is not None:
                    self._ended(run, await self._spans.links(store, run))

    # ---- residences

    @harmless_async
    async def _begin(self, store: StorageAdapter, claim: Claim, run: TaskRun) -> _Held:
        links = await self._spans.links(store, run)
        span = self._spans.run(run, links)
        held = self._held[run.id] = _Held(run, span, links, self._spans.residence(span, run, claim))
        self._metrics.held.add(1, {"sequential.task": run.task_identifier})
        return held

    @harmless
    def _leave(self, held: _Held, left: str) -> None:
        if self._held.get(held.run.id) is held:  # and not another residence, begun before this one was over
            del self._held[held.run.id]
        self._metrics.held.add(-1, {"sequential.task": held.run.task_identifier})
        held.residence.set_attribute("sequential.left", left)
        held.residence.end()

    # ---- calls

    @harmless_async
    async def _attempt(self, store: StorageAdapter, call: StackRun) -> Span:
        return await self._spans.attempt(store, call)

    @harmless
    def _attempted(self, span: Span | None, call: StackRun, ending: str, error: JSON) -> None:
        self._metrics.attempts.add(1, {"sequential.operation": call.operation, "sequential.outcome": ending})
        if span is not None:
            self._spans.attempted(span, ending, error)

    def _created(self, record: StackRun) -> None:
        held = self._held.get(record.task_run_id)
        if held is None:
            return
        if record.position is not None:
            held.residence.add_event(record.operation, timestamp=traces.nanoseconds(record.ended_at))
        elif record.sequence is not None:
            held.calls[record.id] = record

    def _call_changed(self, change: Update) -> None:
        held = self._held.get(change.id.partition(".")[0])
        call = None if held is None else held.calls.get(change.id)
        if held is None or call is None:
            return
        call = held.calls[change.id] = call.replace(**change.changes)
        if call.position is not None and call.status in STACK_RUN.ended:
            del held.calls[change.id]
            self._spans.call(held.span, call)
            self._metrics.calls.add(1, {"sequential.operation": call.operation, "sequential.status": call.status})

    # ---- runs

    def _run_changed(self, change: Update) -> None:
        held, status = self._held.get(change.id), change.changes.get("status")
        if held is not None:
            held.run = held.run.replace(**change.changes)
            if change.changes.get("started_at") is not None:
                self._metrics.started.add(1, {"sequential.task": held.run.task_identifier})
        if status in TASK_RUN.ended and held is not None:
            self._ended(held.run, held.links)
        elif status in TASK_RUN.ended:  # before it began: there is nothing that a span could show
            self._metrics.ended.add(1, {"sequential.status": str(status)})

    def _ended(self, run: TaskRun, links: list[Link]) -> None:
        self._metrics.ended.add(1, {"sequential.task": run.task_identifier, "sequential.status": run.status})
        self._spans.run_ended(run, links)
