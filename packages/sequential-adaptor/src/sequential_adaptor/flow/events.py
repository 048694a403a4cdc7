"""Events from outside: their form, and a copy that is the machine's alone."""

from __future__ import annotations

from collections.abc import Mapping

from sequential_adaptor import values
from sequential_adaptor.flow.errors import EventError
from sequential_adaptor.values import JSON


def event_of(event: object) -> dict[str, JSON]:
    """An event as an object that is ours alone."""
    found = {"type": event} if isinstance(event, str) else event
    kind = found.get("type") if isinstance(found, Mapping) else None
    if not isinstance(found, Mapping) or not isinstance(kind, str) or not kind or kind == "*":
        raise EventError(f"{event!r} is no event; it is a type, or an object that has one as 'type'")
    if kind.startswith("xstate."):
        raise EventError(f"{kind!r} is an event that only the machine makes; end an invocation with resolve or reject")
    return {"type": str(kind)} if len(found) == 1 else values.copy(dict(found))
