"""What is counted and measured."""

from __future__ import annotations

from opentelemetry.metrics import MeterProvider, get_meter


class Metrics:
    """One instrument for each thing that is worth a graph; their names are documented, and stay."""

    def __init__(self, provider: MeterProvider | None) -> None:
        meter = get_meter("sequential_adaptor", meter_provider=provider)
        self.started = meter.create_counter("sequential.runs.started", "{run}", "Runs that were begun")
        self.ended = meter.create_counter("sequential.runs.ended", "{run}", "Runs that have ended, by their status")
        self.calls = meter.create_counter("sequential.calls", "{call}", "Calls that have ended, by their status")
        self.attempts = meter.create_counter(
            "sequential.call.attempts",
            "{attempt}",
            "Performances of calls, by their outcome: ok, error, retryable, cancelled",
        )
        self.claim_latency = meter.create_histogram(
            "sequential.claim.latency", "s", "From when something is due until a worker has it"
        )
        self.held = meter.create_up_down_counter("sequential.runs.held", "{run}", "Runs that this process holds now")
        self.leases_lost = meter.create_counter(
            "sequential.leases.lost", "{lease}", "Claims that were lost before they were given back"
        )
