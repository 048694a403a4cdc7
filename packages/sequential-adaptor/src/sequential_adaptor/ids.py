"""Ids and names: what they may look like, and how new ones are made.

Everything here is checked before it touches a path, a URL or SQL.
"""

from __future__ import annotations

import os
import re
import threading
import time

from sequential_adaptor.errors import InvalidId

_RUN = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_GENERATED = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,254}")

_RUN_RULE = "1 to 64 characters, A-Z a-z 0-9 _ - only, and a letter or digit first"
_NAME_RULE = "1 to 64 characters, A-Z a-z 0-9 . _ - only, and a letter or digit first"
_GENERATED_RULE = "1 to 255 characters, A-Z a-z 0-9 . _ - only, and a letter or digit first"


def check_run_id(value: object) -> str:
    """A run id as users choose them, or :class:`InvalidId`."""
    return _check("run id", value, _RUN, _RUN_RULE)


def check_stack_run_id(value: object) -> str:
    """A stack run's id (``<frame id>.<n>``), or :class:`InvalidId`."""
    return _check("stack run id", value, _GENERATED, _GENERATED_RULE)


def check_identifier(value: object) -> str:
    """A task function's name, or :class:`InvalidId`."""
    return _check("identifier", value, _NAME, _NAME_RULE)


def check_key(value: object) -> str:
    """A keystore key, or :class:`InvalidId`."""
    return _check("keystore key", value, _NAME, _NAME_RULE)


def check_plugin_name(type: str, value: object) -> str:
    """The name of a plugin of that type, or :class:`InvalidId`."""
    return _check(f"{type} name", value, _NAME, _NAME_RULE)


def _check(kind: str, value: object, pattern: re.Pattern[str], rule: str) -> str:
    if type(value) is not str or pattern.fullmatch(value) is None:
        raise InvalidId(kind, value, rule)
    return value


_lock = threading.Lock()
_last = 0


def new_id() -> str:
    """A UUIDv7 as text (RFC 9562, section 5.7): ids made later in one process sort later, also within a millisecond."""
    global _last
    with _lock:
        # 48 bits of milliseconds and 12 bits of the fraction (method 3), never the same or smaller twice
        ticks = time.time_ns() * 4096 // 1_000_000
        _last = ticks = max(ticks, _last + 1)
    milliseconds, fraction = ticks >> 12, ticks & 0xFFF
    tail = int.from_bytes(os.urandom(8), "big") & 0x3FFF_FFFF_FFFF_FFFF
    number = milliseconds << 80 | 0x7 << 76 | fraction << 64 | 0b10 << 62 | tail
    text = f"{number:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"
