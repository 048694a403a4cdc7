"""What is read for many records at once is what would be read one by one."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sequential_adaptor import values
from sequential_adaptor.records import StackRun, TaskFunction, TaskRun, field_names, fields_of, from_columns
from sequential_adaptor.testing.strategies import json_values


@given(st.lists(st.none() | json_values(), max_size=8))
def test_texts_read_together_are_the_values_of_each(given: list[Any]) -> None:
    """``None`` stands for no text; the text ``null`` is a value."""
    texts = [None if value is None else values.encode(value) for value in given]
    found = values.decode_all([*texts, "null"])
    assert [None if text is None else values.encode(value) for text, value in zip(texts, found, strict=False)] == texts
    assert found[-1] is None


def test_large_texts_are_read_too() -> None:
    large = "x" * 600_000
    assert values.decode_all([values.encode(large), None, values.encode([large])]) == [large, None, [large]]
    assert values.decode_all([]) == []


def test_a_damaged_text_moves_nothing_into_another() -> None:
    with pytest.raises(ValueError, match="Extra data"):
        values.decode_all(["1,2", "3"])


@pytest.mark.parametrize("kind", [TaskRun, StackRun, TaskFunction])
@pytest.mark.parametrize("count", [0, 1, 3])
def test_records_made_of_columns_are_those_that_the_columns_were_taken_of(kind: Any, count: int) -> None:
    records = [kind(**{name: f"{name} {number}" for name in field_names(kind)}) for number in range(count)]
    columns = [[fields_of(kind)(record)[place] for record in records] for place in range(len(field_names(kind)))]
    assert from_columns(kind, columns) == records
