"""What the answer of an HTTP service means."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sequential_adaptor import values
from sequential_adaptor.errors import InvalidValue, ServiceError
from sequential_adaptor.services.failures import is_retryable_status, reason_phrase, retry_after_seconds
from sequential_adaptor.values import JSON

if TYPE_CHECKING:
    import httpx

_SHOWN = 300


def answer_of(response: httpx.Response, body: bytes) -> JSON:
    """The value of ``result`` where the body is an object with that key, whatever the value, else the whole body.

    A body that says ``error`` under a status of success is an answer like any other: services differ in what they
    mean by it. Any status but success is a :class:`ServiceError`, with what the body says about it. An answer without
    content (204, 205) is ``None``.
    """
    if not response.is_success:
        raise _refusal(response, body)
    if response.status_code in (204, 205) and not body:
        return None
    answer = _decoded(response, body)
    return answer["result"] if isinstance(answer, dict) and "result" in answer else answer


def _decoded(response: httpx.Response, body: bytes) -> JSON:
    try:
        answer = values.decode_foreign(body)
        values.check(answer)
    except InvalidValue as error:
        raise ServiceError(f"the answer cannot be stored: {error}", type="InvalidValue") from error
    except (ValueError, RecursionError) as error:
        kind = response.headers.get("content-type", "no content type")
        raise ServiceError(f"the answer is not JSON ({kind}): {_excerpt(body)}", type="InvalidAnswer") from error
    return answer


def _refusal(response: httpx.Response, body: bytes) -> ServiceError:
    message = reason_phrase(response)
    if response.is_redirect:
        message += "; redirects of services are not followed, base_url must be the final address"
    else:
        told = _told(body)
        message += f": {told}" if told else ""
    status = response.status_code
    wait = retry_after_seconds(response.headers.get("retry-after"))
    return ServiceError(message, retryable=is_retryable_status(status), status_code=status, retry_after=wait)


def _told(body: bytes) -> str:
    """What a service says went wrong: ``error`` or ``message`` of its JSON, else the beginning of its text."""
    try:
        found = values.decode_foreign(body)
    except (ValueError, RecursionError):
        return _excerpt(body)
    for key in ("error", "message", "detail"):
        if isinstance(found, dict) and found.get(key):
            found = found[key]
    return _excerpt(found.encode("utf-8", "replace") if isinstance(found, str) else body)


def _excerpt(body: bytes) -> str:
    text = " ".join(body[: 4 * _SHOWN].decode("utf-8", "replace").split())
    text = "".join(sign for sign in text if sign.isprintable())
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 1]}…"
