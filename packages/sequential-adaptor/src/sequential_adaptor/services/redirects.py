"""Where a redirect leads: the request that follows an answer of 301, 302, 303, 307 or 308 (RFC 9110, 15.4)."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from sequential_adaptor.errors import CallFailed

if TYPE_CHECKING:
    import httpx

    from sequential_adaptor.runners.fetch.wire import HttpRequest

MOST = 20
STATUSES = frozenset({301, 302, 303, 307, 308})

_CREDENTIALS = frozenset({"authorization", "proxy-authorization", "cookie", "x-api-key", "api-key", "x-goog-api-key"})


def redirected(
    request: HttpRequest, status: int, location: str, secret_headers: frozenset[str], *, secret_body: bool
) -> HttpRequest:
    """The next request. Credentials, and whatever holds a secret, go to no other origin than that they were meant for.

    Raises httpx's ``InvalidURL`` for a location that is none, and :class:`CallFailed` where a body with a secret would
    have to go to another origin.
    """
    import httpx

    source = httpx.URL(request.url)
    target = source.join(location)
    if source.fragment and not target.fragment:
        target = target.copy_with(fragment=source.fragment)
    changed = replace(request, url=str(target), headers=tuple(one for one in request.headers if one[0] != "host"))
    if _becomes_get(request.method, status):
        kept = tuple(one for one in changed.headers if not one[0].startswith("content-"))
        changed = replace(changed, method="GET", body=b"", headers=kept)
    if _keeps_credentials(source, target):
        return changed
    if changed.body and secret_body:
        raise CallFailed(
            f"redirected to {target.host}, and the body holds a secret meant for {source.host}", type="SecretNotSent"
        )
    private = _CREDENTIALS | secret_headers
    return replace(changed, headers=tuple(one for one in changed.headers if one[0] not in private))


def _becomes_get(method: str, status: int) -> bool:
    return (status in (302, 303) and method not in ("GET", "HEAD")) or (status == 301 and method == "POST")


def _keeps_credentials(source: httpx.URL, target: httpx.URL) -> bool:
    if _origin(source) == _origin(target):
        return True
    upgrade = (source.scheme, target.scheme) == ("http", "https")
    return upgrade and source.host == target.host and (_port(source), _port(target)) == (80, 443)


def _origin(url: httpx.URL) -> tuple[str, str, int | None]:
    return url.scheme, url.host, _port(url)


def _port(url: httpx.URL) -> int | None:
    return url.port or {"http": 80, "https": 443}.get(url.scheme)
