"""The answer that ``fetch`` gives."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

_NO_CHARSET = "utf-8"


class Headers(Mapping[str, str]):
    """Headers by name, whatever the case; values of repeated ones are joined by ``", "``, ``pairs`` has them apart."""

    __slots__ = ("_joined", "pairs")

    def __init__(self, pairs: tuple[tuple[str, str], ...]) -> None:
        self.pairs = pairs
        self._joined: dict[str, str] = {}
        for name, text in pairs:
            known = self._joined.get(name.lower())
            self._joined[name.lower()] = text if known is None else f"{known}, {text}"

    def __getitem__(self, name: str) -> str:
        return self._joined[name.lower()]

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and name.lower() in self._joined

    def __iter__(self) -> Iterator[str]:
        return iter(self._joined)

    def __len__(self) -> int:
        return len(self._joined)

    def __repr__(self) -> str:
        return f"Headers({self._joined!r})"


class Response:
    """An HTTP answer, read whole. ``url`` is where it came from, after redirects."""

    __slots__ = ("content", "headers", "status_code", "url")

    def __init__(self, status_code: int, headers: tuple[tuple[str, str], ...], content: bytes, url: str) -> None:
        self.status_code = status_code
        self.headers = Headers(headers)
        self.content = content
        self.url = url

    @property
    def ok(self) -> bool:
        """Whether the status is below 400."""
        return self.status_code < 400

    @property
    def text(self) -> str:
        """The body as text, by the charset that the headers name, else UTF-8; what does not fit becomes U+FFFD."""
        try:
            return self.content.decode(self._charset(), "replace")
        except LookupError:
            return self.content.decode(_NO_CHARSET, "replace")

    def json(self) -> Any:
        """The value of a JSON body, ``ValueError`` where it is none."""
        import json

        return json.loads(self.content)

    def raise_for_status(self) -> Response:
        """The response; from 400 on :class:`~sequential_adaptor.errors.ServiceError`, with the ``status_code``."""
        if self.ok:
            return self
        from http import HTTPStatus

        from sequential_adaptor.errors import ServiceError

        known = self.status_code in HTTPStatus._value2member_map_
        phrase = f" {HTTPStatus(self.status_code).phrase}" if known else ""
        raise ServiceError(
            f"{self.status_code}{phrase} from {self.url}",
            type="HTTPStatusError",
            operation="fetch",
            status_code=self.status_code,
        )

    def __repr__(self) -> str:
        return f"<Response {self.status_code} from {self.url}>"

    def _charset(self) -> str:
        for part in self.headers.get("content-type", "").split(";")[1:]:
            name, _, value = part.partition("=")
            if name.strip().lower() == "charset":
                return value.strip().strip("\"'") or _NO_CHARSET
        return _NO_CHARSET
