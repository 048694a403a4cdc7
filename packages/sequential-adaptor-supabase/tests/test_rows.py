"""Records to rows and back, without a database."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from sequential_adaptor import values
from sequential_adaptor.backends.supabase.rows import STACK_RUNS
from sequential_adaptor.records import StackRun

PAYLOADS: list[Any] = [None, 0, False, "", [], {}, -0.0, 1e22, 10**700, "𝄞\u0000", {"b": [1, {"a": None}], "a": 2}]
NOW = datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=UTC)


def row_of(record: StackRun, *, text: bool) -> dict[str, Any]:
    """The row as one of the doors has it: times as text, or as they are."""
    given = {**dict.fromkeys(STACK_RUNS.fields), **STACK_RUNS.write_record(record)}
    return given if text else {**given, "created_at": record.created_at, "ended_at": record.ended_at}


@pytest.mark.parametrize("text", [True, False])
@pytest.mark.parametrize("more", [[], ["x" * 1_100_000]], ids=["small", "large"])
def test_records_come_back_as_they_were(text: bool, more: list[Any]) -> None:
    """Many at once or one by one, of which some have a payload or a time where others have none."""
    records = [
        StackRun(id=f"r.{n}", task_run_id="r", result=value, log=None if n % 2 else [value], created_at=NOW, **ended)
        for n, value in enumerate([*PAYLOADS, *more])
        for ended in ({}, {"ended_at": NOW})
    ]
    rows = [row_of(record, text=text) for record in records]
    found = STACK_RUNS.read_all(rows)
    assert found == records == [STACK_RUNS.read(row) for row in rows]
    assert values.identical([one.result for one in found], [one.result for one in records])
    assert STACK_RUNS.read_all([]) == []
