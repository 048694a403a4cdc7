"""How a runner runs all of its frames."""

from __future__ import annotations

from dataclasses import dataclass, field

from sequential_adaptor.runners.fetch.redaction import SecretParts


@dataclass(frozen=True, slots=True)
class Limits:
    """How many calls one frame may make, and from how many on it is warned about."""

    warn_calls: int = 10_000
    max_calls: int = 100_000


@dataclass(frozen=True, slots=True)
class Rules:
    """``max_body``: how many bytes a request's body may have."""

    limits: Limits = field(default_factory=Limits)
    secret_parts: SecretParts = field(default_factory=SecretParts)
    max_body: int = 16 * 1024 * 1024
