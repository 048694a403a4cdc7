"""The name under which a command's layer is found again."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence

from sequential_adaptor import values
from sequential_adaptor.values import JSON

KEY_VERSION = 1
"""Counts what would make an old layer a wrong answer: how commands are run, how changes are captured."""


def command_key(
    command: str,
    *,
    parent: str | None,
    shell: Sequence[str],
    isolation: str,
    input: JSON = None,
    stdin: bytes | None = None,
    environment: Mapping[str, str] | None = None,
    salt: str = "",
    ignore: Sequence[str] = (),
) -> str:
    """The sha256 (hex) of everything that a command's outcome is taken to depend on.

    Every part is under its own name in one JSON text, so that no two orders have the same.
    """
    parts: dict[str, JSON] = {
        "version": KEY_VERSION,
        "command": command,
        "input": input,
        "stdin": None if stdin is None else hashlib.sha256(stdin).hexdigest(),
        "parent": parent,
        "environment": dict(sorted((environment or {}).items())),
        "shell": list(shell),
        "isolation": isolation,
        "salt": salt,
        "ignore": list(ignore),
    }
    return _digest(parts)


def commit_key(message: str, parent: str | None) -> str:
    """The key of a layer that adopts what was changed by hand."""
    return _digest({"version": KEY_VERSION, "commit": message, "parent": parent})


def _digest(parts: dict[str, JSON]) -> str:
    return hashlib.sha256(values.encode(parts).encode("utf-8")).hexdigest()
