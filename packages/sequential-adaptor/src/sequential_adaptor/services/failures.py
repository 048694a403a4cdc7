"""Which failures pass by themselves, and when to try again."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

from sequential_adaptor import outcomes

if TYPE_CHECKING:
    import httpx

LONGEST_WAIT = 86_400.0
"""A ``Retry-After`` beyond a day counts as a day."""


def is_retryable_status(status_code: int) -> bool:
    """408, 429 and 5xx: the same request may succeed later."""
    return status_code in (408, 429) or 500 <= status_code <= 599


def retry_after_seconds(header: str | None, now: datetime | None = None) -> float | None:
    """Seconds to wait as a ``Retry-After`` header (RFC 9110, 10.2.3) asks, 0 to a day; ``None`` where it doesn't."""
    text = (header or "").strip()
    if not text:
        return None
    try:
        seconds = float(text) if text.isascii() else math.nan
    except ValueError:
        seconds = _until(text, now or datetime.now(UTC))
    return None if math.isnan(seconds) else min(max(seconds, 0.0), LONGEST_WAIT)


def _until(text: str, now: datetime) -> float:
    try:
        at = parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        return math.nan
    # A date in the zone "-0000" comes back naive; HTTP dates are UTC whatever they say.
    return ((at if at.tzinfo else at.replace(tzinfo=UTC)) - now).total_seconds()


def is_retryable_error(error: Exception) -> bool:
    """Whether an error of the network passes by itself; one that says so in ``retryable`` is believed."""
    told = getattr(error, "retryable", None)
    if isinstance(told, bool):
        return told
    return isinstance(error, (ConnectionError, TimeoutError)) or _is_network_error(error)


def _is_network_error(error: Exception) -> bool:
    if not type(error).__module__.startswith("httpx"):
        return False
    import httpx

    if isinstance(error, (httpx.UnsupportedProtocol, httpx.LocalProtocolError)):
        return False
    return isinstance(error, httpx.TransportError)


def type_of(error: BaseException) -> str:
    """The name under which an error is stored: ``ValueError``, ``httpx.ConnectTimeout``."""
    kind = type(error)
    module = kind.__module__
    return kind.__qualname__ if module == "builtins" else f"{module}.{kind.__qualname__}"


def message_of(error: BaseException) -> str:
    """What an error says, or its name where it says nothing, as many time-outs do."""
    return outcomes.message_of(error) or type(error).__name__


def reason_phrase(response: httpx.Response) -> str:
    """``503 Service Unavailable``."""
    return f"{response.status_code} {response.reason_phrase}".rstrip()
