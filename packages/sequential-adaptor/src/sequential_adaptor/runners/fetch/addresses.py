"""Addresses without what is secret in them: passwords, and the values of query fields that are keys."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from urllib.parse import unquote_plus

HIDDEN = "***"

_SIGNATURE = "sig"
_fields = {"key", "api_key", "access_token", "token"}


def also_secret(fields: Iterable[str]) -> None:
    """Hide the values of these query fields too, in any case of letters and for as long as the process lives."""
    _fields.update(name.lower() for name in fields)


def hide_url(url: str, placeholders: Collection[str] = ()) -> str:
    """The address with ``***`` for a password, and for the values of secret query fields (those named ``sig*`` too)."""
    if "?" not in url and "@" not in url:
        return url
    scheme, colon, rest = url.partition("://")
    before, mark, query = rest.partition("?")
    authority, slash, path = before.partition("/")
    fields = "&".join(_field(field, placeholders) for field in query.split("&"))
    return scheme + colon + _authority(authority, placeholders) + slash + path + mark + fields


def _field(field: str, placeholders: Collection[str]) -> str:
    name, equals, text = field.partition("=")
    plain = unquote_plus(name).lower()
    if not text or text in placeholders or not (plain in _fields or plain.startswith(_SIGNATURE)):
        return field
    return name + equals + HIDDEN


def _authority(authority: str, placeholders: Collection[str]) -> str:
    credentials, at, host = authority.rpartition("@")
    user, colon, password = credentials.partition(":")
    if not password or password in placeholders:
        return authority
    return user + colon + HIDDEN + at + host
