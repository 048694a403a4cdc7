"""HTTP as JSON: the shapes in which requests and responses are stored, and how to get from them to bytes and back.

A request (``input`` of the operations ``fetch`` and ``httpx``)::

    {"method": "POST", "url": "https://...", "headers": [["content-type", "application/json"], ...], "body": BODY}

A response (``result`` of the same)::

    {"status": 200, "headers": [["content-type", "text/html"], ...], "body": BODY, "url": "https://... (after
    redirects)"}

BODY is ``None`` where there is none, text where the bytes are UTF-8 (always exactly these bytes, whatever charset the
headers name), else ``{"base64": "..."}``. Header names are lower case, repeated headers are repeated pairs. A body is
stored as it is after content and transfer encodings are undone, so the headers that speak of them are not stored.

A failure to get a response at all is stored as ``{"type": "httpx.ConnectTimeout", "message": ..., "retryable": true}``.

``options`` of these calls: ``timeout`` (seconds, or ``{"connect", "read", "write", "pool"}`` for ``httpx``, each
seconds or ``None``), ``attempts`` (``fetch`` only), ``follow_redirects`` (``fetch`` only; ``httpx`` follows them by
itself, as calls of their own), ``idempotency_key`` (``False``: send none), ``secrets`` (``{placeholder: keystore
key}``).
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from urllib.parse import quote, quote_plus

from sequential_adaptor.runners.fetch.addresses import hide_url
from sequential_adaptor.values import JSON

Headers = tuple[tuple[str, str], ...]

# They speak of one connection or of the length on it; whoever sends the request writes its own.
_CONNECTION_HEADERS = frozenset(
    {"accept-encoding", "connection", "content-length", "host", "keep-alive", "proxy-connection", "te"}
    | {"trailer", "transfer-encoding", "upgrade"}
)
_ANSWER_HEADERS = frozenset({"connection", "keep-alive", "trailer", "transfer-encoding"})


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """A request ready to be sent: real header values, real bytes."""

    method: str
    url: str
    headers: Headers
    body: bytes

    def header(self, name: str) -> str | None:
        """The first header of that name (any case), if there is one."""
        return _first(self.headers, name)


@dataclass(frozen=True, slots=True)
class HttpResponse:
    """An answer as it was recorded, its body whole and decoded."""

    status: int
    headers: Headers
    body: bytes
    url: str

    def header(self, name: str) -> str | None:
        """The first header of that name (any case), if there is one."""
        return _first(self.headers, name)


def request_to_json(method: str, url: str, headers: Iterable[tuple[str, str]], body: bytes) -> dict[str, JSON]:
    """A request as it is stored. Headers of the connection are left out, ``host`` too where it is that of the URL."""
    host = url.partition("://")[2].partition("/")[0].rpartition("@")[2].lower()
    kept = [
        [name, value]
        for name, value in ((name.lower(), value) for name, value in headers)
        if name not in _CONNECTION_HEADERS or (name == "host" and value.lower() != host)
    ]
    return {"method": method.upper(), "url": url, "headers": kept, "body": body_to_json(body)}


def request_from_json(value: Mapping[str, JSON], secrets: Mapping[str, str] | None = None) -> HttpRequest:
    """The request to send. ``secrets`` maps placeholders to real values, which are put in escaped for their place."""
    headers = tuple((name, text) for name, text in value["headers"])
    request = HttpRequest(value["method"], value["url"], headers, body_from_json(value["body"]))
    return fill_request(request, secrets) if secrets else request


def response_to_json(status: int, headers: Iterable[tuple[str, str]], body: bytes, url: str) -> dict[str, JSON]:
    """An answer as it is stored; ``body`` is what is left when content and transfer encodings are undone.

    What is secret in the address is not stored: whoever asked knows it.
    """
    pairs = [[name.lower(), text] for name, text in headers]
    gone = _ANSWER_HEADERS
    if any(name == "content-encoding" for name, _ in pairs):
        gone = gone | {"content-encoding", "content-length"}
    return {
        "status": status,
        "headers": [pair for pair in pairs if pair[0] not in gone],
        "body": body_to_json(body),
        "url": hide_url(url),
    }


def response_from_json(value: Mapping[str, JSON]) -> HttpResponse:
    """A recorded answer."""
    headers = tuple((name, text) for name, text in value["headers"])
    return HttpResponse(value["status"], headers, body_from_json(value["body"]), value["url"])


def body_to_json(body: bytes) -> JSON:
    """Bytes as stored: ``None``, text where they are UTF-8, else base64."""
    if not body:
        return None
    try:
        return body.decode("utf-8")
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(body).decode("ascii")}


def body_from_json(value: JSON) -> bytes:
    """The bytes that :func:`body_to_json` was given."""
    if value is None:
        return b""
    if isinstance(value, str):
        return value.encode("utf-8")
    return base64.b64decode(value["base64"])


def fill_request(request: HttpRequest, secrets: Mapping[str, str]) -> HttpRequest:
    """The request with real values for placeholders: quoted in URLs, escaped in JSON and forms, and in Basic ones."""
    kind = (request.header("content-type") or "").partition(";")[0].strip().lower()
    escape: Callable[[str], str] = _plain
    if kind == "application/json" or kind.endswith("+json"):
        escape = _in_json
    elif kind == "application/x-www-form-urlencoded":
        escape = _in_form
    body = request.body
    for placeholder, real in secrets.items():
        body = body.replace(placeholder.encode(), escape(real).encode())
    url = _fill(request.url, {placeholder: quote(real, safe="") for placeholder, real in secrets.items()})
    headers = tuple((name, _fill_header(text, secrets)) for name, text in request.headers)
    return HttpRequest(request.method, url, headers, body)


def fill_value(value: JSON, secrets: Mapping[str, str]) -> JSON:
    """A copy of a JSON value with real values for placeholders, wherever they stand in its texts (keys excepted)."""
    if isinstance(value, str):
        return _fill(value, secrets)
    if isinstance(value, list):
        return [fill_value(item, secrets) for item in value]
    if isinstance(value, dict):
        return {key: fill_value(item, secrets) for key, item in value.items()}
    return value


def basic_credentials(header: str) -> str | None:
    """The ``user:password`` of a Basic authorization header, ``None`` where it is not one."""
    scheme, _, encoded = header.partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        return base64.b64decode(encoded, validate=True).decode("utf-8")
    except ValueError:
        return None


def _fill_header(text: str, secrets: Mapping[str, str]) -> str:
    credentials = basic_credentials(text)
    if credentials is None:
        return _fill(text, secrets)
    filled = _fill(credentials, secrets)
    return text if filled == credentials else "Basic " + base64.b64encode(filled.encode()).decode("ascii")


def _fill(text: str, secrets: Mapping[str, str]) -> str:
    for placeholder, real in secrets.items():
        text = text.replace(placeholder, real)
    return text


def _in_json(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)[1:-1]


def _in_form(text: str) -> str:
    return quote_plus(text)


def _plain(text: str) -> str:
    return text


def _first(headers: Headers, name: str) -> str | None:
    wanted = name.lower()
    return next((text for found, text in headers if found.lower() == wanted), None)
