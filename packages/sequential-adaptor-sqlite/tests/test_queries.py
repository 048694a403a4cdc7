"""Queries where SQL might differ from what is asked: cursors that somebody made up, and very many values."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from sequential_adaptor import ConfigurationError
from sequential_adaptor.backends.sqlite import SQLiteAdapter


@pytest.mark.parametrize(
    ("order_by", "value", "id"),
    [
        ("task_identifier", 5, "a"),
        ("task_identifier", ["x"], "a"),
        ("task_identifier", {"x": 1}, "a"),
        ("task_identifier", "\ud800", "a"),
        ("task_identifier", "x", "\ud800"),
        ("task_identifier", True, "a"),
        ("created_at", 5, "a"),
        ("created_at", "yesterday", "a"),
        ("created_at", "2026-01-01T00:00:00", "a"),
    ],
)
async def test_a_cursor_that_was_made_up_is_refused(adapter: SQLiteAdapter, order_by: str, value: Any, id: str) -> None:
    """A cursor holds nothing that its field could not: the error says where to take one from."""
    text = json.dumps([order_by, False, value, id])
    cursor = base64.urlsafe_b64encode(text.encode()).decode()
    with pytest.raises(ConfigurationError, match="cursor"):
        await adapter.query_task_runs(order_by=order_by, cursor=cursor)


@pytest.mark.parametrize("count", [0, 1, 500, 501, 40_000])
async def test_any_number_of_values_may_be_asked_for(adapter: SQLiteAdapter, count: int) -> None:
    """SQLite has a limit for bound values, and a filter has none; what is asked for with it counts as well."""
    await adapter.create_task_run({"id": "r0", "task_identifier": "a"})
    await adapter.create_task_run({"id": "r1", "task_identifier": "b"})
    ids = [f"r{number}" for number in range(count)]
    found = await adapter.query_task_runs(
        {"id": ids, "task_identifier": ["a", "c"], "parent_stack_run_id": [None, "x"]}
    )
    assert [run.id for run in found] == (["r0"] if count else [])


async def test_payloads_are_compared_whole(adapter: SQLiteAdapter) -> None:
    """A payload equals a value with the same types in the same order, and None is a value like others."""
    inputs = [None, 0, False, "", "null", [], {}, {"a": 1, "b": 2}, {"b": 2, "a": 1}, 1, 1.0, True]
    for number, input in enumerate(inputs):
        await adapter.create_task_run({"id": f"r{number}", "task_identifier": "x", "input": input})
    for number, input in enumerate(inputs):
        found = await adapter.query_task_runs({"input": [input]})
        assert [run.id for run in found] == [f"r{number}"]
    assert len(await adapter.query_task_runs({"input": [None, 1, True]})) == 3
