"""The keys of a state: the ones there are, those of XState v4 that mean nothing any more, and likely slips."""

from __future__ import annotations

from sequential_adaptor.errors import nearest
from sequential_adaptor.flow.problems import Findings, at
from sequential_adaptor.values import JSON

_SHAPE = ("id", "key", "type", "initial", "states", "history", "target", "parallel", "order")
_CONDUCT = ("on", "always", "after", "entry", "exit", "invoke", "onDone", "onError", "output", "context", "route")
_NOTES = ("tags", "meta", "description", "version", "schemas", "types", "tsTypes", "options", "delimiter", "strict")
_INVOCATION = ("input", "retry", "timeout", "map")
STATE_KEYS = frozenset((*_SHAPE, *_CONDUCT, *_NOTES, *_INVOCATION))
_GONE = {
    "data": "is XState v4's; write 'output'",
    "activities": "are XState v4's; write 'invoke'",
    "onEntry": "is XState v3's; write 'entry'",
    "onExit": "is XState v3's; write 'exit'",
}


def check_keys(config: dict[str, JSON], where: str, findings: Findings) -> None:
    """Warn of keys that are hardly meant as they stand; any other unknown key is nobody's business."""
    for key in sorted(key for key in config.keys() - STATE_KEYS if key[:1].isalpha()):
        near = nearest(key, STATE_KEYS)
        if key in _GONE:
            findings.warning(at(where, key), f"{key!r} {_GONE[key]}")
        elif near is not None:
            findings.warning(at(where, key), f"unknown key {key!r} has no effect; nearest is {near!r}")
