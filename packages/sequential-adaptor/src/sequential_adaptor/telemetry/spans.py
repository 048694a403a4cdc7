"""Spans of runs, residences, calls and attempts."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from opentelemetry.trace import Link, NoOpTracer, Span, SpanKind, Status, StatusCode, Tracer, TracerProvider, get_tracer

from sequential_adaptor.engine import rules
from sequential_adaptor.records import StackRun, TaskRun
from sequential_adaptor.storage.changes import Claim
from sequential_adaptor.telemetry import traces
from sequential_adaptor.values import JSON

if TYPE_CHECKING:
    from opentelemetry.util.types import AttributeValue

    from sequential_adaptor.storage import StorageAdapter

NAME = "sequential_adaptor"
_REMEMBERED = 10_000


class Spans:
    """Starts spans where they belong: below the span of their run, in the trace of their run, whoever starts them."""

    def __init__(self, provider: TracerProvider | None) -> None:
        self._provider = provider
        self._found: Tracer | None = None
        self._places: OrderedDict[str, tuple[int, int]] = OrderedDict()

    @property
    def _tracer(self) -> Tracer:
        """Ours alone, made when it is first used: the application has set its provider by then."""
        if self._found is not None:
            return self._found
        tracer: Any = get_tracer(NAME, tracer_provider=self._provider)
        tracer = getattr(tracer, "_tracer", tracer)  # the API's stand-in, for the one that it stands for
        if hasattr(tracer, "id_generator"):
            tracer.id_generator = traces.ChosenIds(tracer.id_generator)
        if not isinstance(tracer, NoOpTracer):  # else no provider is set yet
            self._found = tracer
        return tracer  # type: ignore[no-any-return]  # the SDK's, or whichever other there is

    def run(self, run: TaskRun, links: Sequence[Link]) -> Span:
        """The span of a run, begun anew wherever the run is held, and told of by :meth:`run_ended` only."""
        with traces.chosen(traces.trace_id(run), traces.run_span_id(run.id)):
            span = self._tracer.start_span(
                f"run {run.task_identifier}",
                traces.caller_of(run),
                SpanKind.CONSUMER,
                _about(run),
                links,
                traces.nanoseconds(run.started_at or run.created_at),
            )
        context = span.get_span_context()
        self._remember(run.id, context.trace_id, context.trace_flags)
        return span

    def run_ended(self, run: TaskRun, links: Sequence[Link]) -> None:
        """A run has ended, as its record says: its whole span, told at once."""
        span = self.run(run, links)
        span.set_attribute("sequential.status", run.status)
        if run.error is not None:
            span.set_status(_failed(run.error))
        span.end(traces.nanoseconds(run.ended_at))

    def residence(self, run: Span, record: TaskRun, claim: Claim) -> Span:
        """A worker holds the run."""
        about: dict[str, AttributeValue] = {"sequential.worker": claim.worker, "sequential.token": claim.token}
        name = f"hold {record.task_identifier}"
        return self._tracer.start_span(name, traces.within(run), attributes={**_about(record), **about})

    async def links(self, store: StorageAdapter, run: TaskRun) -> list[Link]:
        """A child's link to the call that started it."""
        call_id = run.parent_stack_run_id
        if call_id is None:
            return []
        trace, flags = await self._place(store, call_id.partition(".")[0])
        return [Link(traces.remote(trace, traces.call_span_id(call_id), flags), {"sequential.call_id": call_id})]

    async def attempt(self, store: StorageAdapter, call: StackRun) -> Span:
        """A call is performed."""
        trace, flags = await self._place(store, call.task_run_id)
        parent = traces.below(traces.remote(trace, traces.call_span_id(call.id), flags))
        return self._tracer.start_span(call.operation, parent, SpanKind.CLIENT, _about_call(call))

    def call(self, run: Span, call: StackRun) -> None:
        """The outcome of a call is history: its whole span, told at once."""
        place = run.get_span_context()
        about = {**_about_call(call), "sequential.status": call.status, "sequential.failures": call.attempts}
        with traces.chosen(place.trace_id, traces.call_span_id(call.id)):
            span = self._tracer.start_span(
                f"call {call.operation}",
                traces.within(run),
                SpanKind.INTERNAL,
                about,
                _link_to_child(call, place.trace_flags),
                traces.nanoseconds(call.created_at),
            )
        if call.error is not None:
            span.set_status(_failed(call.error))
        span.end(traces.nanoseconds(call.ended_at))

    def attempted(self, span: Span, ending: str, error: JSON) -> None:
        """A call was performed, or given up meanwhile."""
        if error is not None:
            span.set_status(_failed(error))
        span.set_attribute("sequential.outcome", ending)
        span.end()

    # ---- where a run is

    async def _place(self, store: StorageAdapter, run_id: str) -> tuple[int, int]:
        """The trace of a run, and whether it is sampled."""
        if run_id not in self._places:
            self.run(await store.get_task_run(run_id) or TaskRun(id=run_id), [])
        return self._places[run_id]

    def _remember(self, run_id: str, trace: int, flags: int) -> None:
        self._places[run_id] = (trace, flags)
        self._places.move_to_end(run_id)
        if len(self._places) > _REMEMBERED:
            self._places.popitem(last=False)


def _failed(error: JSON) -> Status:
    """The type of an error only: its message may hold what is nobody's business."""
    kind = error.get("type", "error") if isinstance(error, dict) else "error"
    return Status(StatusCode.ERROR, str(kind))


def _link_to_child(call: StackRun, flags: int) -> list[Link]:
    if not rules.is_child(call):
        return []
    child = rules.child_id(call)
    return [Link(traces.remote(traces.own_trace_id(child), traces.run_span_id(child), flags))]


def _about(run: TaskRun) -> Mapping[str, str]:
    return {
        "sequential.run_id": run.id,
        "sequential.task": run.task_identifier,
        "sequential.version": run.version,
        "sequential.runner": run.runner,
    }


def _about_call(call: StackRun) -> dict[str, AttributeValue]:
    return {"sequential.run_id": call.task_run_id, "sequential.call_id": call.id}
