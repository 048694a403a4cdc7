"""Copies of JSON values, so that what a task does to a value is seen by nobody else."""

from __future__ import annotations

from typing import Any

from sequential_adaptor import values
from sequential_adaptor.errors import InvalidValue
from sequential_adaptor.values import JSON


def fresh(value: JSON) -> JSON:
    """A copy of a value that is known to be JSON."""
    kind = type(value)
    if kind is dict:
        return {key: fresh(item) for key, item in value.items()}
    if kind is list:
        return [fresh(item) for item in value]
    return value


def checked(value: Any, what: str) -> JSON:
    """A copy of a value that a task hands out; :class:`InvalidValue` names ``what`` it is, and where it is no JSON."""
    try:
        values.check(value)
    except InvalidValue as error:
        path, _, reason = str(error).partition(": ")
        raise InvalidValue(path, f"{reason} ({what} must be JSON)") from None
    return fresh(value)
