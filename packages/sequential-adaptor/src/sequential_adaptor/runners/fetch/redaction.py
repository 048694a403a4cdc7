"""Which parts of a request are secret, and the request without them."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from sequential_adaptor.runners.fetch.addresses import HIDDEN, hide_url
from sequential_adaptor.runners.fetch.wire import basic_credentials
from sequential_adaptor.values import JSON

HEADERS = frozenset({"authorization", "proxy-authorization", "cookie", "x-api-key", "api-key", "x-goog-api-key"})


@dataclass(frozen=True, slots=True)
class SecretParts:
    """``headers``: names, in lower case, of those whose values are not stored. Addresses have rules of their own."""

    headers: frozenset[str] = HEADERS

    def hide(self, request: dict[str, JSON], placeholders: Collection[str]) -> dict[str, JSON] | None:
        """The request with ``***`` for what is secret, ``None`` where nothing is. Placeholders are no secrets."""
        url = hide_url(request["url"], placeholders)
        headers = [
            [name, HIDDEN if name in self.headers and not _is_placeholder(text, placeholders) else text]
            for name, text in request["headers"]
        ]
        if url == request["url"] and headers == request["headers"]:
            return None
        return {**request, "url": url, "headers": headers}


def _is_placeholder(text: str, placeholders: Collection[str]) -> bool:
    """Whether a header's value is a placeholder, alone, after a scheme's name, or as a Basic password."""
    if not placeholders:
        return False
    credentials = basic_credentials(text)
    if credentials is not None:
        return credentials.partition(":")[2] in placeholders
    scheme, _, rest = text.rpartition(" ")
    return rest in placeholders and (not scheme or scheme.replace("-", "").isalnum())
