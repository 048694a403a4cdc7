"""How a call went, and errors as they are stored."""

from __future__ import annotations

import traceback
from dataclasses import dataclass

from sequential_adaptor.errors import CallFailed, InvalidValue, ServiceError
from sequential_adaptor.values import JSON


@dataclass(frozen=True, slots=True)
class Outcome:
    """One performance of a call: a ``result``, or an ``error`` as stored.

    ``retryable`` says that the same call may well succeed later; a ``result`` may be so too (an HTTP answer of 503,
    which is what the task gets when no attempt is left). ``retry_after`` is what the other side asked for, in seconds.
    """

    result: JSON = None
    error: JSON = None
    retryable: bool = False
    retry_after: float | None = None


def error_as_json(error: BaseException, *, with_traceback: bool = False) -> dict[str, JSON]:
    """``{"type", "message", "traceback"?, "retryable"?, "status_code"?}``, always storable."""
    found: dict[str, JSON] = {"type": type_name(error), "message": message_of(error)}
    if isinstance(error, CallFailed):
        found |= {"type": error.type, "message": storable_text(error.message)}
        if error.retryable:
            found["retryable"] = True
    if isinstance(error, ServiceError) and error.status_code is not None:
        found["status_code"] = error.status_code
    if with_traceback:
        found["traceback"] = storable_text("".join(traceback.format_exception(error)))
    return found


def failed(error: Exception) -> Outcome:
    """The outcome of a call that raised."""
    retryable = isinstance(error, CallFailed) and error.retryable
    retry_after = error.retry_after if isinstance(error, ServiceError) else None
    return Outcome(error=error_as_json(error), retryable=retryable, retry_after=retry_after)


def not_storable(operation: str, error: InvalidValue) -> Outcome:
    """The outcome of a call that gave back what is not JSON."""
    message = f"the result of {operation} cannot be stored: {error}"
    return Outcome(error={"type": "InvalidValue", "message": message})


def type_name(error: BaseException) -> str:
    """The name by which an error's class can be found again: bare for builtins and ours, else with its module."""
    kind = type(error)
    bare = kind.__module__ in ("builtins", "sequential_adaptor.errors")
    return kind.__qualname__ if bare else f"{kind.__module__}.{kind.__qualname__}"


def message_of(error: BaseException) -> str:
    """What an error says, as text that can be stored; an error may also fail to say it."""
    try:
        return storable_text(str(error))
    except Exception:  # as tracebacks have it
        return "<exception str() failed>"


def storable_text(text: str) -> str:
    """Text that every backend takes: half surrogate pairs become what a terminal would show."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")
