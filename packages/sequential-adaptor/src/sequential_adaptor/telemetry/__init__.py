"""Seeing it from outside: OpenTelemetry spans and metrics, and log lines that say which run they are about.

Off until :func:`instrument` is called, or the environment says ``SEQUENTIAL_TELEMETRY=otel``; OpenTelemetry is not
imported before. ``active`` is what the engine asks at each place where there is something to tell: ``None`` when off.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from sequential_adaptor.telemetry.logs import RunIds

if TYPE_CHECKING:
    from opentelemetry.metrics import MeterProvider
    from opentelemetry.trace import TracerProvider

    from sequential_adaptor.telemetry.otel import Telemetry

__all__ = ["RunIds", "active", "instrument", "uninstrument"]

active: Telemetry | None = None


def instrument(*, tracer_provider: TracerProvider | None = None, meter_provider: MeterProvider | None = None) -> None:
    """Tell OpenTelemetry what happens from now on in this process; through the global providers by default.

    Needs ``pip install "sequential-adaptor[otel]"``. The second time replaces the first.
    """
    global active
    try:
        from sequential_adaptor.telemetry.otel import Telemetry
    except ModuleNotFoundError as error:
        from sequential_adaptor.errors import ConfigurationError

        raise ConfigurationError(
            f'{error.name!r} is not installed. Try: pip install "sequential-adaptor[otel]"'
        ) from error
    active = Telemetry(tracer_provider, meter_provider)


def uninstrument() -> None:
    """Tell nothing any more."""
    global active
    active = None


def instrument_as_asked() -> None:
    """Do what the environment asks for: ``SEQUENTIAL_TELEMETRY=otel``."""
    asked = os.environ.get("SEQUENTIAL_TELEMETRY", "")
    if asked == "otel" and active is None:
        instrument()
    elif asked not in ("", "otel", "off"):
        from sequential_adaptor.errors import ConfigurationError

        raise ConfigurationError(f"SEQUENTIAL_TELEMETRY is {asked!r}; it is 'otel', or 'off'")
