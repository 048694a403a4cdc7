"""Secrets that stay out of sight: in ``repr``, in error messages, in what is stored."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from urllib.parse import quote, quote_plus

HIDDEN = "[hidden]"


class Secret:
    """A text that shows itself only to :meth:`reveal`."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        """The text itself; for the one place that sends it."""
        return self._text

    def __repr__(self) -> str:
        return HIDDEN

    def __reduce__(self) -> str:
        raise TypeError("a secret is not pickled")


def redact(text: str, secrets: Iterable[str]) -> str:
    """``text`` without the secrets, however they are written in it."""
    return mask(text, dict.fromkeys(secrets, HIDDEN))


def mask(text: str, shown: Mapping[str, str]) -> str:
    """``text`` with each secret, plain or as a URL, JSON or Python writes it, replaced by what ``shown`` has for it."""
    shapes = {shape: name for secret, name in shown.items() if secret for shape in _shapes(secret)}
    # The longest first: a secret may be a part of another one.
    for shape in sorted(shapes, key=len, reverse=True):
        text = text.replace(shape, shapes[shape])
    return text


def _shapes(secret: str) -> set[str]:
    quoted = {quote(secret, safe=""), quote(secret), quote_plus(secret)}
    return {secret, *quoted, json.dumps(secret)[1:-1], repr(secret)[1:-1], repr(secret.encode())[2:-1]}
