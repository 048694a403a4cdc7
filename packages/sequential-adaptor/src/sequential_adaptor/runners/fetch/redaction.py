"""Which parts of a request are secret, and the request without them."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from urllib.parse import unquote_plus

from sequential_adaptor.runners.fetch.wire import basic_credentials
from sequential_adaptor.values import JSON

HIDDEN = "***"

HEADERS = frozenset({"authorization", "proxy-authorization", "cookie", "x-api-key", "api-key", "x-goog-api-key"})
FIELDS = frozenset({"key", "api_key", "access_token", "token"})
_SIGNATURE = "sig"


@dataclass(frozen=True, slots=True)
class SecretParts:
    """Names, in lower case, of the headers and query fields whose values are not stored (nor are fields named ``sig*``)."""

    headers: frozenset[str] = HEADERS
    fields: frozenset[str] = FIELDS

    def extended(self, headers: Iterable[str] = (), fields: Iterable[str] = ()) -> SecretParts:
        """The same and more."""
        more = {name.lower() for name in headers}, {name.lower() for name in fields}
        return SecretParts(self.headers | more[0], self.fields | more[1])

    def hide(self, request: dict[str, JSON], placeholders: Collection[str]) -> dict[str, JSON] | None:
        """The request with ``***`` for what is secret, ``None`` where nothing is. Placeholders are no secrets."""
        url = self._url(request["url"], placeholders)
        headers = [
            [name, HIDDEN if name in self.headers and not _is_placeholder(text, placeholders) else text]
            for name, text in request["headers"]
        ]
        if url == request["url"] and headers == request["headers"]:
            return None
        return {**request, "url": url, "headers": headers}

    def _url(self, url: str, placeholders: Collection[str]) -> str:
        scheme, colon, rest = url.partition("://")
        authority, slash, path = rest.partition("/")
        path, mark, query = path.partition("?") if slash else (path, "", "")
        if not slash:
            authority, mark, query = authority.partition("?")
        fields = [self._field(field, placeholders) for field in query.split("&")] if query else []
        return scheme + colon + _authority(authority, placeholders) + slash + path + mark + "&".join(fields)

    def _field(self, field: str, placeholders: Collection[str]) -> str:
        name, equals, text = field.partition("=")
        plain = unquote_plus(name).lower()
        if not text or text in placeholders or not (plain in self.fields or plain.startswith(_SIGNATURE)):
            return field
        return name + equals + HIDDEN


def _authority(authority: str, placeholders: Collection[str]) -> str:
    credentials, at, host = authority.rpartition("@")
    user, colon, password = credentials.partition(":")
    if not password or password in placeholders:
        return authority
    return user + colon + HIDDEN + at + host


def _is_placeholder(text: str, placeholders: Collection[str]) -> bool:
    """Whether a header's value is a placeholder, alone, after a scheme's name, or as a Basic password."""
    if not placeholders:
        return False
    credentials = basic_credentials(text)
    if credentials is not None:
        return credentials.partition(":")[2] in placeholders
    scheme, _, rest = text.rpartition(" ")
    return rest in placeholders and scheme.replace("-", "").isalnum() if scheme else rest in placeholders
