"""A worker whose spans go to a file, one JSON line each: ``python telling_worker.py STORAGE SPANS``."""

import asyncio
import json
import os
import sys
from collections.abc import Sequence

from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExporter, SpanExportResult

from sequential_adaptor import Worker


class Lines(SpanExporter):
    """Writes each span when it has ended: a kill loses those only that have not."""

    def __init__(self, path: str) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        for span in spans:
            os.write(self._file, json.dumps(json.loads(span.to_json())).encode() + b"\n")
        return SpanExportResult.SUCCESS


provider = TracerProvider()
provider.add_span_processor(SimpleSpanProcessor(Lines(sys.argv[2])))
trace.set_tracer_provider(provider)
asyncio.run(Worker(sys.argv[1], lease=1.0).run(until_idle=True))
