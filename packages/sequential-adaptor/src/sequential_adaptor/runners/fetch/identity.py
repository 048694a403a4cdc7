"""What makes a replayed call the same as the recorded one."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from sequential_adaptor.runners.fetch.wire import body_from_json
from sequential_adaptor.values import JSON

HTTP_OPERATIONS = frozenset({"fetch", "httpx"})
_BOUNDARY = re.compile(r"""boundary="?([^";\s]+)"?""", re.IGNORECASE)


def same(operation: str, input: JSON, recorded_operation: str, recorded_input: JSON) -> bool:
    """Whether both are one call: operation, method, URL without secrets, body; never headers, never durations."""
    if operation != recorded_operation:
        return False
    return bool(input == recorded_input) or _identity(operation, input) == _identity(operation, recorded_input)


def described(operation: str, input: JSON) -> str:
    """The call as a person reads it in a message."""
    if operation in HTTP_OPERATIONS and isinstance(input, Mapping):
        return f"{operation} {input.get('method')} {input.get('url')} {_shortened(input.get('body'))}".rstrip()
    return f"{operation} {_shortened(input)}".rstrip()


def _identity(operation: str, input: JSON) -> Any:
    if operation == "sleep" or operation.startswith("wait:"):
        return None
    if operation not in HTTP_OPERATIONS or not isinstance(input, Mapping):
        return input
    return input.get("method"), input.get("url"), _normalised_body(input)


def _normalised_body(input: Mapping[str, JSON]) -> JSON:
    for name, text in input.get("headers", ()):
        if name == "content-type" and text.startswith("multipart/") and (found := _BOUNDARY.search(text)):
            return body_from_json(input["body"]).replace(found[1].encode(), b"boundary")
    return input.get("body")


def _shortened(value: JSON, limit: int = 200) -> str:
    if value is None:
        return ""
    text = value if isinstance(value, str) else repr(value)
    return text if len(text) <= limit else f"{text[: limit - 1]}…"
