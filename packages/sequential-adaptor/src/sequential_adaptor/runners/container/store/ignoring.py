"""Patterns of paths that layers leave alone."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from sequential_adaptor.errors import ConfigurationError

Ignored = Callable[[str, bool], bool]


def ignored(patterns: Sequence[str]) -> Ignored | None:
    """Whether a path is to be left alone, given that it is a folder or not; ``None`` where there is no pattern."""
    if isinstance(patterns, str):
        raise ConfigurationError(f"ignore is a list of patterns, not text: [{patterns!r}]")
    if not patterns:
        return None
    anything = _any([pattern for pattern in patterns if not pattern.endswith("/")])
    folders = _any([pattern.rstrip("/") for pattern in patterns if pattern.endswith("/")])
    return lambda path, is_folder: bool(anything(path) or (is_folder and folders(path)))


def _any(patterns: Sequence[str]) -> Callable[[str], object]:
    if not patterns:
        return lambda path: None
    try:
        return re.compile("|".join(map(_expression, patterns)), re.DOTALL).fullmatch
    except re.error as error:
        raise ConfigurationError(f"ignore patterns {list(patterns)} cannot be: {error.msg}") from error


def _expression(pattern: str) -> str:
    """A name matches at any depth, what has a separator in it from the root."""
    body = pattern.strip("/")
    if not body or pattern.startswith("!"):
        raise ConfigurationError(f"ignore pattern {pattern!r} means nothing here; write a name, a path or a glob")
    start = "" if "/" in pattern.rstrip("/") else "(?:.*/)?"
    return f"(?:{start}{''.join(map(_part, _TOKENS.findall(body)))})"


def _part(token: str) -> str:
    fixed = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}.get(token)
    if fixed is not None:
        return fixed
    if token.startswith("[") and len(token) > 1:
        negated = token[1] == "!"
        inside = _SPECIAL.sub(r"\\\g<0>", token[1:-1].removeprefix("!"))
        return f"[{'^' if negated else ''}{inside}]"
    return re.escape(token)


_SPECIAL = re.compile(r"[\\\[\]^&~|]")
_TOKENS = re.compile(r"\*\*/|\*\*|\*|\?|\[!?[^\]/]+\]|.", re.DOTALL)
