"""Values that are not JSON, with the path that their refusal names, and ids that nobody may use."""

from __future__ import annotations

import enum
import math
from collections import OrderedDict
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID


class _Number(enum.IntEnum):
    ONE = 1


BAD_VALUES: tuple[tuple[Any, str], ...] = (
    (math.nan, ""),
    ([1, {"score": math.inf}], "[1].score"),
    ({"a": [0, -math.inf]}, ".a[1]"),
    ((1, 2), ""),
    ([{1, 2}], "[0]"),
    (b"x", ""),
    ({"when": datetime(2024, 1, 1, tzinfo=UTC)}, ".when"),
    ({"id": UUID(int=1)}, ".id"),
    (Decimal(1), ""),
    (_Number.ONE, ""),
    (OrderedDict(a=1), ""),
    ({1: "a"}, ""),
    ({"a": {None: 1}}, ".a"),
    ("\ud800", ""),
    ({"deep": ["\udfff"]}, ".deep[0]"),
    ({"k\ud800": 1}, ""),
    ({"strange key": [object()]}, '["strange key"][0]'),
)
BAD_IDS: tuple[Any, ...] = (
    "",
    "..",
    "../x",
    "a/b",
    "/etc/passwd",
    "a\\b",
    "run-1\n",
    "\nrun-1",
    "run 1",
    " run-1",
    "-run",
    "_run",
    ".run",
    "run\u00001",
    "é",
    "１",
    "a" * 256,
    "x'; DROP TABLE task_runs; --",
    "%",
    "a:b",
    None,
    5,
    True,
    b"run-1",
    ["run-1"],
)
