"""The outcome that somebody gives to a call in place of the recorded one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from sequential_adaptor import values
from sequential_adaptor.engine import rules
from sequential_adaptor.errors import ConfigurationError
from sequential_adaptor.outcomes import Outcome, error_as_json
from sequential_adaptor.records import StackRun
from sequential_adaptor.values import JSON

_HTTP: Final = frozenset({"fetch", "httpx"})
_WHOLE_ANSWER: Final = frozenset({"status", "headers", "body"})


def replacement(call: StackRun, changes: Mapping[str, Any]) -> Outcome:
    """``{"result": value}`` or ``{"error": ...}`` as the outcome of this call, checked."""
    if len(changes) != 1 or not changes.keys() <= {"result", "error"}:
        raise ConfigurationError(
            f'changes give the call one outcome, {{"result": value}} or {{"error": ...}}, and not {sorted(changes)}'
        )
    if call.operation == rules.SLEEP:
        raise ConfigurationError(f"call {call.id} is a sleep, which has no outcome to replace; leave the changes away")
    if "result" in changes:
        values.check(changes["result"], "$.changes.result")
        return Outcome(result=_result(call, changes["result"]))
    if call.operation.startswith(rules.WAIT):
        raise ConfigurationError(f"call {call.id} waits for an event: give it a result, which is the event's data")
    error = _error(changes["error"])
    values.check(error, "$.changes.error")
    return Outcome(error=_of_child(call, error) if rules.is_child(call) else error)


def _result(call: StackRun, given: JSON) -> JSON:
    """For an HTTP request a whole answer, as stored; any other value is the body of the answer that there was."""
    if call.operation not in _HTTP or (isinstance(given, dict) and given.keys() >= _WHOLE_ANSWER):
        return given
    before = call.result if isinstance(call.result, dict) else {}
    url = call.input.get("url", "") if isinstance(call.input, dict) else ""
    kept = [pair for pair in before.get("headers", []) if pair[0] not in ("content-length", "content-type")]
    kind = "text/plain; charset=utf-8" if isinstance(given, str) else "application/json"
    body = given if isinstance(given, str) else values.encode(given)
    headers = [*kept, ["content-type", kind]]
    return {"status": before.get("status", 200), "headers": headers, "body": body, "url": before.get("url", url)}


def _error(given: Any) -> dict[str, JSON]:
    """An error as people give it, as it is stored."""
    if isinstance(given, BaseException):
        return error_as_json(given)
    if isinstance(given, str):
        return {"type": "CallFailed", "message": given}
    if not isinstance(given, dict) or not isinstance(given.get("message"), str):
        raise ConfigurationError('an error is its message, or an object: {"type": "ServiceError", "message": "..."}')
    return {"type": "CallFailed", **given}


def _of_child(call: StackRun, error: dict[str, JSON]) -> dict[str, JSON]:
    """The error of a child run is the child's own, within that of the call."""
    return {"type": "TaskFailed", "run": rules.child_id(call), "message": error["message"], "cause": error}
