"""Spans and metrics: one trace for a run, whoever works on it."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ParentBasedTraceIdRatio

from sequential_adaptor import CallFailed, ConfigurationError, Engine, ServiceClient, telemetry
from sequential_adaptor.records import StackRun
from sequential_adaptor.storage import Claim
from sequential_adaptor.testing import SkippingEngine

WORKER = Path(__file__).with_name("telling_worker.py")
PARENT = """
import asyncio

async def main(n):
    await asyncio.sleep(3600)
    await step(double, n)
    found = await run_task("child", 2)
    await wait_for_event("go")
    return found

def double(n):
    return n * 2
"""
CHILD = "async def main(n):\n    return await step(len, [n])\n"


def parents(spans: dict[str, list[Any]]) -> dict[str, str]:
    """The name of each span's parent, by its own."""
    names = {span.context.span_id: span.name for found in spans.values() for span in found}
    return {
        span.name: names.get(span.parent.span_id, "?") if span.parent else ""
        for found in spans.values()
        for span in found
    }


async def test_one_trace_for_a_run_over_all_its_residences(otel: Any) -> None:
    """The run, each time that it is held, each call, each attempt; a child has a trace of its own, linked both ways."""
    async with SkippingEngine() as engine:
        await engine.publish("child", CHILD)
        await engine.publish("parent", PARENT)
        run = await engine.submit("parent", 1, id="one")
        await engine.advance(7200)
        await run.send("go")
        assert await run.result() == 1
    spans = otel.spans
    assert parents(spans) == {
        "run parent": "",
        "hold parent": "run parent",
        "call step:double": "run parent",
        "step:double": "call step:double",
        "call task:child": "run parent",
        "call wait:go": "run parent",
        "run child": "",
        "hold child": "run child",
        "call step:len": "run child",
        "step:len": "call step:len",
    }
    traces = {name: {f"{span.context.trace_id:x}" for span in found} for name, found in spans.items()}
    assert traces["run parent"] == traces["hold parent"] == traces["call wait:go"] == traces["step:double"]
    assert traces["run child"] == traces["hold child"] == traces["step:len"] != traces["run parent"]
    (parent,), (child,), (call,) = spans["run parent"], spans["run child"], spans["call task:child"]
    assert [link.context.span_id for link in child.links] == [call.context.span_id]
    assert [link.context.span_id for link in call.links] == [child.context.span_id]
    assert (parent.end_time - parent.start_time) > 3600 * 10**9
    assert parent.attributes["sequential.run_id"] == "one"
    assert parent.attributes["sequential.status"] == "completed"
    assert len(spans["hold parent"]) == len({span.context.span_id for span in spans["hold parent"]}) >= 3


async def test_the_caller_s_context_is_taken_along(otel: Any) -> None:
    """What is submitted within a span is in its trace, with the state that its vendor gave it."""
    async with SkippingEngine() as engine:
        await engine.publish("child", CHILD)
        with otel.provider.get_tracer("app").start_as_current_span("GET /") as asked:
            run = await engine.submit("child", 1)
        await run.result()
        alone = await engine.submit("child", 1)
        await alone.result()
    first, second = otel.spans["run child"]
    assert first.context.trace_id == asked.get_span_context().trace_id
    assert first.parent.span_id == asked.get_span_context().span_id
    assert second.parent is None


async def test_what_performs_a_call_is_within_its_span(otel: Any) -> None:
    """So whatever a step or a service tells OpenTelemetry is below it; retries are one span each."""
    inside = []
    services = ServiceClient()

    async def shop(method: str, params: Any) -> str:
        inside.append(trace.get_current_span().get_span_context().span_id)
        if len(inside) < 3:
            raise CallFailed("not now", retryable=True)
        return "ok"

    services.register_service("shop", shop)
    async with SkippingEngine(services=services) as engine:
        await engine.publish("buys", 'async def main():\n    return await call_host_tool("shop", "buy", 1)')
        await engine.run("buys")
    attempts = otel.spans["shop.buy"]
    assert [span.context.span_id for span in attempts] == inside
    assert [span.attributes["sequential.outcome"] for span in attempts] == ["retryable", "retryable", "ok"]
    assert [span.status.status_code.name for span in attempts] == ["ERROR", "ERROR", "UNSET"]
    (call,) = otel.spans["call shop.buy"]
    assert {span.parent.span_id for span in attempts} == {call.context.span_id}
    assert call.attributes["sequential.failures"] == 2
    assert otel.points("sequential.call.attempts") == {("shop.buy", "retryable"): 2, ("shop.buy", "ok"): 1}


async def test_failures_show_and_messages_do_not(otel: Any) -> None:
    """An error's type is told; its message, which may hold anything, is not."""
    code = "async def main():\n    await step(fail)\ndef fail():\n    raise LookupError('s3cret')"
    async with SkippingEngine() as engine:
        await engine.publish("fails", code)
        run = await engine.submit("fails")
        with pytest.raises(Exception, match="s3cret"):
            await run.result()
    for name in ("run fails", "call step:fail", "step:fail"):
        (span,) = otel.spans[name]
        assert (span.status.status_code.name, span.status.description) == ("ERROR", "LookupError")
        assert "s3cret" not in span.to_json()
    assert otel.points("sequential.runs.ended") == {("fails", "failed"): 1}
    assert otel.points("sequential.calls") == {("step:fail", "failed"): 1}


async def test_metrics(otel: Any) -> None:
    """Runs begun and ended, calls, how long claims take, and what is held: nothing, in the end."""
    async with SkippingEngine() as engine:
        await engine.publish("child", CHILD)
        for n in range(3):
            await engine.run("child", n)
    assert otel.points("sequential.runs.started") == {("child",): 3}
    assert otel.points("sequential.runs.ended") == {("child", "completed"): 3}
    assert otel.points("sequential.calls") == {("step:len", "completed"): 3}
    assert otel.points("sequential.runs.held") == {("child",): 0}
    assert otel.points("sequential.claim.latency") == {("frame",): 3}


def test_a_claim_of_a_call_has_taken_no_longer_than_there_is_the_call(otel: Any) -> None:
    """Although it is due where its frame stands in the line."""
    now = datetime.now(UTC)
    places = {"due_at": now - timedelta(hours=1), "created_at": now - timedelta(seconds=2)}
    call = StackRun(id="run.1", task_run_id="run", parent_stack_run_id="run", operation="shop.buy", **places)
    assert telemetry.active is not None
    telemetry.active.claimed([Claim(call, "worker", 1, now)], now)
    assert otel.sums("sequential.claim.latency") == {("call",): 2.0}


async def test_a_run_is_sampled_as_a_whole_or_not_at_all() -> None:
    """Each process decides by the trace alone, so all decide alike: no run is told of in part."""
    exporter, provider = InMemorySpanExporter(), TracerProvider(sampler=ParentBasedTraceIdRatio(0.5))
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    names: dict[str, set[str]] = {}
    async with SkippingEngine() as engine:
        await engine.publish("one", "import asyncio\nasync def main():\n    await sleep(9)\n    await step(len, [])")
        for number in range(30):
            telemetry.instrument(tracer_provider=provider, meter_provider=MeterProvider())
            await engine.submit("one", id=f"run-{number}")
            await engine.advance(1)
            telemetry.instrument(tracer_provider=provider, meter_provider=MeterProvider())  # as another process would
            await engine.handle(f"run-{number}").result()
    telemetry.uninstrument()
    for span in exporter.get_finished_spans():
        names.setdefault(str(span.attributes["sequential.run_id"]), set()).add(span.name)  # type: ignore[index]  # it has some
    assert all(found == {"run one", "hold one", "call sleep", "call step:len", "step:len"} for found in names.values())
    assert 0 < len(names) < 30


async def test_spans_have_the_times_of_the_store(otel: Any) -> None:
    """A run begins when it began, and not when it was submitted or told of; a call that is given up is told of too."""
    code = """
import asyncio
async def main():
    try:
        async with asyncio.timeout(5):
            await call_host_tool("shop", "slow", 1)
    except TimeoutError:
        return "late"
"""
    services = ServiceClient()

    async def shop(method: str, params: Any) -> None:
        await asyncio.sleep(60)

    services.register_service("shop", shop)
    start = datetime(2030, 1, 1, tzinfo=UTC)
    async with SkippingEngine(start=start, services=services) as engine:
        await engine.publish("gives_up", code.replace("timeout(5)", "timeout(0.2)"))
        run = await engine.submit("gives_up", at=start + timedelta(days=2))
        assert await run.result() == "late"
    (span,), (attempt,) = otel.spans["run gives_up"], otel.spans["shop.slow"]
    began = datetime.fromtimestamp(span.start_time / 10**9, UTC)
    assert start + timedelta(days=2) <= began < start + timedelta(days=2, hours=1)
    assert attempt.attributes["sequential.outcome"] == "cancelled"
    (call,) = otel.spans["call shop.slow"]
    assert call.attributes["sequential.status"] == "cancelled"


async def test_who_ends_a_run_by_force_tells_of_its_end(otel: Any) -> None:
    """Its holder can not, and may be dead; its children are told of too, each in its own trace."""
    async with SkippingEngine() as engine:
        await engine.publish("waits", 'async def main():\n    await wait_for_event("go")')
        await engine.publish("parent", 'async def main():\n    await run_task("waits")')
        run = await engine.submit("parent", id="one")
        await engine.advance(1)
        await run.cancel(force=True)
    (parent,), (child,) = otel.spans["run parent"], otel.spans["run waits"]
    assert [span.attributes["sequential.status"] for span in (parent, child)] == ["cancelled", "cancelled"]
    assert {span.parent.span_id for span in otel.spans["hold parent"]} == {parent.context.span_id}
    assert otel.points("sequential.runs.ended") == {("parent", "cancelled"): 1, ("waits", "cancelled"): 1}


class Broken(SpanProcessor):
    """Whatever it is told of, it fails."""

    def on_start(self, span: Any, parent_context: Any = None) -> None:
        raise RuntimeError("no telemetry today")


async def test_what_is_told_never_stops_the_work(caplog: pytest.LogCaptureFixture) -> None:
    """A broken exporter costs its spans, and says so in the log; the run ends as it would have."""
    provider = TracerProvider()
    provider.add_span_processor(Broken())
    telemetry.instrument(tracer_provider=provider, meter_provider=MeterProvider())
    try:
        async with SkippingEngine() as engine:
            await engine.publish("child", CHILD)
            assert await engine.run("child", 1) == 1
    finally:
        telemetry.uninstrument()
    assert "could not be told; the work goes on" in caplog.text


def spans_in(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


@pytest.mark.slow
async def test_one_trace_over_processes_and_a_kill(tmp_path: Path) -> None:
    """A worker is killed in the middle of a call; another one goes on, and both tell of the same trace."""
    code = f"""
import os, signal, pathlib

async def main():
    first = await step(pid)
    second = await step(killed_once)
    return [first, second]

def pid():
    return os.getpid()

def killed_once():
    mark = pathlib.Path({str(tmp_path / "killed")!r})
    if not mark.exists():
        mark.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return os.getpid()
"""
    storage, spans = f"folder:{tmp_path / 'tasks'}", tmp_path / "spans.jsonl"
    environment = {**os.environ, "SEQUENTIAL_TELEMETRY": "otel"}
    async with Engine(storage) as engine:
        await engine.publish("dies", code)
        await engine.submit("dies", id="one")
    codes = [
        subprocess.run([sys.executable, WORKER, storage, spans], env=environment, timeout=120).returncode for _ in "ab"
    ]
    assert codes == [-9, 0]
    found = spans_in(spans)
    assert len({span["context"]["trace_id"] for span in found}) == 1
    ids = {span["context"]["span_id"] for span in found}
    assert len(ids) == len(found)
    assert {span["parent_id"] for span in found} <= {*ids, None}
    names = sorted(span["name"] for span in found)
    assert names.count("run dies") == names.count("call step:pid") == names.count("call step:killed_once") == 1
    async with Engine(storage) as engine:
        first, second = await engine.handle("one").result(timeout=5)
    assert first != second


def test_off_is_off() -> None:
    """Nothing of OpenTelemetry is imported, whatever is imported of ours and run."""
    code = (
        "import sys, asyncio; from sequential_adaptor.testing import SkippingEngine\n"
        "async def main():\n"
        "    async with SkippingEngine() as engine:\n"
        "        await engine.publish('one', 'async def main():\\n    return await step(len, [])')\n"
        "        assert await engine.run('one') == 0\n"
        "asyncio.run(main()); assert not [name for name in sys.modules if name.startswith('opentelemetry')]"
    )
    environment = {name: value for name, value in os.environ.items() if name != "SEQUENTIAL_TELEMETRY"}
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60, env=environment)


async def test_the_environment_may_ask_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """``otel`` turns it on, and anything else is refused with what there is."""
    monkeypatch.setenv("SEQUENTIAL_TELEMETRY", "jaeger")
    with pytest.raises(ConfigurationError, match="it is 'otel', or 'off'"):
        async with SkippingEngine():
            pass
    monkeypatch.setenv("SEQUENTIAL_TELEMETRY", "otel")
    async with SkippingEngine():
        assert telemetry.active is not None
    telemetry.uninstrument()
