"""The values of secrets, which are stored as references and looked up when a call goes out."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

from sequential_adaptor.errors import CallFailed
from sequential_adaptor.values import JSON

Resolve = Callable[[str], Awaitable[JSON]]


async def resolved(names: Mapping[str, str] | None, resolve: Resolve | None) -> dict[str, str]:
    """For each placeholder the value of its secret, or :class:`CallFailed` with the command that sets it."""
    found: dict[str, str] = {}
    for placeholder, name in (names or {}).items():
        value = await resolve(name) if resolve is not None else None
        if not isinstance(value, str):
            problem = "has no secret" if value is None else "has something that is not text under"
            raise CallFailed(
                f"the keystore {problem} {name!r}; set it: sequential keystore set {name}", type="SecretNotFound"
            )
        found[placeholder] = value
    return found
