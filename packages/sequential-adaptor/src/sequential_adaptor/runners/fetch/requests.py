"""From the arguments of ``fetch`` to a request."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from json import dumps as _to_json
from typing import Any
from urllib.parse import urlencode, urlsplit

from sequential_adaptor import values
from sequential_adaptor.errors import InvalidValue
from sequential_adaptor.runners.fetch.wire import request_to_json
from sequential_adaptor.values import JSON

Pairs = Mapping[str, Any] | Sequence[tuple[str, Any]]


def request(method: str, url: Any, headers: Any, params: Pairs | None, json: Any, data: Any) -> dict[str, JSON]:
    """The request as JSON; ``ValueError`` or ``TypeError`` for what can be none."""
    kind, body = _body(json, data)
    given = [(str(name), str(text)) for name, text in _items(headers or ())]
    if kind is not None and not any(name.lower() == "content-type" for name, _ in given):
        given.append(("content-type", kind))
    made = request_to_json(method, _url(str(url), params), given, body)
    values.check(made)
    return made


def _url(url: str, params: Pairs | None) -> str:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.netloc:
        raise ValueError(f"{url!r} is no http:// or https:// address")
    added = urlencode(_fields(params or ())) if params else ""
    query = f"{parts.query}&{added}" if parts.query and added else parts.query or added
    return parts._replace(query=query, fragment="").geturl()


def _body(json: Any, data: Any) -> tuple[str | None, bytes]:
    if json is not None and data is not None:
        raise TypeError("give `json` or `data`, not both")
    if json is not None:
        return "application/json", _utf8(_to_json(json, ensure_ascii=False, allow_nan=False, separators=(",", ":")))
    if data is None or isinstance(data, bytes):
        return None, data or b""
    if isinstance(data, str):
        return "text/plain; charset=utf-8", _utf8(data)
    return "application/x-www-form-urlencoded", urlencode(_fields(data)).encode()


def _utf8(text: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError as error:
        raise InvalidValue(
            "$.body", f"{error.object[error.start]!r} is half a surrogate pair and not Unicode text"
        ) from None


def _fields(pairs: Pairs) -> list[tuple[str, str]]:
    return [
        (str(name), _text(value)) for name, given in _items(pairs) for value in _several(given) if value is not None
    ]


def _items(pairs: Any) -> Iterable[tuple[Any, Any]]:
    return pairs.items() if isinstance(pairs, Mapping) else pairs


def _several(value: Any) -> Iterable[Any]:
    return value if isinstance(value, list | tuple) else (value,)


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
