"""The JSON that every backend keeps: what round-trips exactly, and what is refused with its path.

A value is ``None``, a bool, an int of any size, a finite float, a ``str`` of Unicode scalar values, a list, or a dict
with ``str`` keys whose order is part of the value. ``decode(encode(value))`` is the same value: same types, same order,
``-0.0`` and ``1e22`` included. Everything else is refused, by every backend alike, because it would come back as
something else: tuples, sets, bytes, dates, subclasses (an ``IntEnum``, an ``OrderedDict``), NaN, lone surrogates.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Sequence
from decimal import Decimal
from math import isfinite
from typing import Any, TypeAlias

from sequential_adaptor.errors import InvalidValue

# A recursive alias would be exact, and make every use of a stored value a cast.
JSON: TypeAlias = Any

MAX_DEPTH = 200
"""How deep lists and objects may nest: far beyond what people write, and safe for every parser on the way."""

_PLAIN_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_REMEDIES = {
    "tuple": "a tuple would come back as a list; use a list",
    "set": "a set has no order; use a sorted list",
    "frozenset": "a frozenset has no order; use a sorted list",
    "bytes": "bytes are not JSON; use base64 text",
    "bytearray": "bytes are not JSON; use base64 text",
    "datetime": "a datetime is not JSON; use .isoformat()",
    "date": "a date is not JSON; use .isoformat()",
    "UUID": "a UUID is not JSON; use str(...)",
    "Decimal": "a Decimal is not JSON; use str(...)",
    "coroutine": "a coroutine is not JSON; was `await` forgotten?",
    "generator": "a generator is not JSON; use list(...), or `return` instead of `yield`",
    "async_generator": "an async generator is not JSON; make a list of it, or use `return` instead of `yield`",
}
# Python converts no more digits than sys.get_int_max_str_digits(), which is never under 640.
_LARGE = 1_000_000
_SAFE_DIGITS = 600
_SAFE_INT = 10**_SAFE_DIGITS
_SHOWN_STEPS = 20


def encode(value: JSON) -> str:
    """The value as compact JSON text, or :class:`InvalidValue` with the path of what cannot be kept."""
    return _render(value, None)


def encode_readable(value: JSON) -> str:
    """The same value as :func:`encode`, indented for people."""
    return _render(value, 2)


def decode(text: str | bytes) -> JSON:
    """The value of JSON text that :func:`encode` made."""
    return _decoder.decode(text if isinstance(text, str) else text.decode("utf-8"))


def decode_foreign(text: bytes) -> JSON:
    """The value of JSON that another program wrote; the byte order mark that some begin with is no part of it."""
    return decode(text.decode("utf-8-sig"))


def decode_all(texts: Sequence[str | None]) -> list[JSON]:
    """The values of texts that :func:`encode` made, ``None`` for ``None``; all at once, which takes half the time."""
    given = [text for text in texts if text is not None]
    if not given:
        return [None] * len(texts)
    if sum(map(len, given)) > _LARGE:  # large ones are not copied together
        return [None if text is None else decode(text) for text in texts]
    decoded = decode(f"[{','.join(given)}]")
    if len(decoded) != len(given):  # damaged texts: `1,2` is no value, and would move all behind it
        return [None if text is None else decode(text) for text in texts]
    found = iter(decoded)
    return [None if text is None else next(found) for text in texts]


def copy(value: JSON) -> JSON:
    """A fresh copy of a value, checked on the way."""
    return decode(encode(value))


def check(value: object, path: str = "$") -> None:
    """Raise :class:`InvalidValue` where ``value`` would not round-trip exactly."""
    _check(value, (path,), MAX_DEPTH)


def identical(left: object, right: object) -> bool:
    """Whether two values are one value to storage, where ``1``, ``1.0`` and ``True`` are three and order counts."""
    return encode(left) == encode(right)


def _render(value: JSON, indent: int | None) -> str:
    large = _check(value, ("$",), MAX_DEPTH)
    encoder = (_compact if indent is None else _readable).encode
    if not large:
        return encoder(value)
    # The stand-ins hold 128 random bits, so that no text of the value can be taken for one.
    mark = os.urandom(16).hex()
    digits: list[str] = []
    text = encoder(_stand_in(value, mark, digits))
    return re.sub(f'"{mark}:([0-9]+)"', lambda match: digits[int(match.group(1))], text)


def _check(value: object, path: tuple[str | int, ...], depth: int) -> bool:
    """Refuse what does not round-trip; say whether there is an integer too large for Python's own conversion."""
    kind = type(value)
    if value is None or kind is bool:
        return False
    if kind is str:
        _check_text(value, path)  # type: ignore[arg-type]  # its type is exactly str
        return False
    if kind is int:
        return not -_SAFE_INT < value < _SAFE_INT  # pyright: ignore[reportOperatorIssue]  # its type is exactly int
    if kind is float:
        if not isfinite(value):  # type: ignore[arg-type]  # its type is exactly float
            raise InvalidValue(_written(path), f"{_number_name(value)} is not JSON; use None or text")
        return False
    if kind is dict or kind is list:
        if depth == 0:
            raise InvalidValue(_written(path), f"nested deeper than {MAX_DEPTH} levels, or within itself")
        return _check_items(value, path, depth - 1)
    raise InvalidValue(_written(path), _refusal(value))


def _check_items(value: Any, path: tuple[str | int, ...], depth: int) -> bool:
    large = False
    if type(value) is list:
        for index, item in enumerate(value):
            large |= _check(item, (*path, index), depth)
        return large
    for key, item in value.items():
        if type(key) is not str:
            raise InvalidValue(_written(path), f"key {key!r} is {_a(type(key).__name__)}; JSON keys are text")
        _check_text(key, path)
        large |= _check(item, (*path, key), depth)
    return large


def _check_text(value: str, path: tuple[str | int, ...]) -> None:
    if value.isascii():
        return
    try:
        value.encode("utf-8")
    except UnicodeEncodeError as error:
        unit = value[error.start]
        raise InvalidValue(_written(path), f"{unit!r} is half a surrogate pair and not Unicode text") from None


def _number_name(value: object) -> str:
    return {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}[repr(value)]


def _refusal(value: object) -> str:
    kind = type(value)
    remedy = _REMEDIES.get(kind.__name__)
    if remedy is not None:
        return remedy
    base = next((base for base in (bool, int, float, str, list, dict) if issubclass(kind, base)), None)
    if base is not None:
        return f"{_a(kind.__name__)} would come back as a plain {base.__name__}; use {base.__name__}(...)"
    return f"{_a(kind.__name__)} is not JSON; use None, bool, int, float, str, list or dict"


def _a(name: str) -> str:
    return f"{'an' if name[:1].lower() in 'aeiou' else 'a'} {name}"


def _written(path: tuple[str | int, ...]) -> str:
    head, *rest = path
    steps = [_segment(part) for part in rest]
    if len(steps) > _SHOWN_STEPS:
        steps[_SHOWN_STEPS // 2 : -_SHOWN_STEPS // 2] = ["..."]
    return str(head) + "".join(steps)


def _segment(part: str | int) -> str:
    if isinstance(part, str) and _PLAIN_KEY.fullmatch(part):
        return f".{part}"
    return f"[{part!r}]" if isinstance(part, int) else f"[{json.dumps(part)}]"


_compact = json.JSONEncoder(ensure_ascii=False, allow_nan=False, check_circular=False, separators=(",", ":"))
_readable = json.JSONEncoder(ensure_ascii=False, allow_nan=False, check_circular=False, indent=2)


def _stand_in(value: JSON, mark: str, digits: list[str]) -> JSON:
    """A copy in which each integer too large for the encoder is a marked text; its digits are put by."""
    if type(value) is dict:
        return {key: _stand_in(item, mark, digits) for key, item in value.items()}
    if type(value) is list:
        return [_stand_in(item, mark, digits) for item in value]
    if type(value) is int and not -_SAFE_INT < value < _SAFE_INT:
        digits.append(str(Decimal(value)))
        return f"{mark}:{len(digits) - 1}"
    return value


def _parse_int(text: str) -> int:
    return int(text) if len(text) <= _SAFE_DIGITS else int(Decimal(text))


def _refuse_constant(name: str) -> None:
    raise InvalidValue("$", f"{name} is not JSON")


_decoder = json.JSONDecoder(parse_int=_parse_int, parse_constant=_refuse_constant)
