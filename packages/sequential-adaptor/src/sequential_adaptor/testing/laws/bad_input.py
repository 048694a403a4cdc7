"""Section B: what no backend can keep is refused by all of them, in the same words, and nothing is written."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import pytest

from sequential_adaptor.errors import InvalidValue, UnknownField
from sequential_adaptor.records import JSON_FIELDS, StackRun, TaskRun, field_names
from sequential_adaptor.storage import Change, Create, StorageAdapter, Update
from sequential_adaptor.testing.laws.bad_samples import BAD_VALUES
from sequential_adaptor.testing.laws.base import Laws
from sequential_adaptor.testing.laws.samples import (
    KINDS,
    PAST,
    call,
    create,
    everything,
    full,
    get,
    ids_of,
    plain,
    task_run,
    update,
)
from sequential_adaptor.values import MAX_DEPTH


class BadInputLaws(Laws):
    """Section B."""

    async def test_what_is_not_json_is_refused_with_its_path(self, adapter: StorageAdapter) -> None:
        """B1. A value that would not come back exactly raises `InvalidValue` with its path, in every payload field."""
        for kind in KINDS:
            stored = await create(adapter, plain(kind, "run-1"))
            for value, path in BAD_VALUES:
                for name in JSON_FIELDS[kind]:
                    for attempt in (
                        partial(create, adapter, plain(kind, "run-2", **{name: value})),
                        partial(update, adapter, kind, "run-1", **{name: value}),
                    ):
                        assert (await _refused(attempt)).path == f"$.{name}{path}"
            assert await get(adapter, kind, "run-1") == stored
            assert await get(adapter, kind, "run-2") is None

    async def test_other_ways_in_refuse_the_same(self, adapter: StorageAdapter) -> None:
        """B2. Keystore and metadata of functions refuse the same values, with the same path, and keep what they had."""
        await adapter.set_keystore("key", "before")
        for value, path in BAD_VALUES:
            assert (await _refused(partial(adapter.set_keystore, "key", value))).path == f"${path}"
            found = await _refused(partial(adapter.store_task_function, "digest", "1", "fetch", value))
            assert found.path == f"$.metadata{path}"
        assert await adapter.get_keystore("key") == "before"
        assert await adapter.get_task_function("digest") is None

    async def test_a_commit_refuses_the_same(self, adapter: StorageAdapter) -> None:
        """B3. A commit with such a value anywhere raises `InvalidValue`, and nothing of the commit is written."""
        stored = await create(adapter, call(1))
        for number, (value, path) in enumerate(BAD_VALUES):
            for bad in (Create(call(3, state=value)), Update(StackRun, "run-1.1", {"state": value})):
                changes: list[Change] = [Create(call(2)), Update(StackRun, "run-1.1", {"result": 1}), bad]
                found = await _refused(partial(adapter.commit, changes, id=f"commit-{number}"))
                assert found.path == f"$.state{path}"
        assert await everything(adapter) == [stored]

    async def test_what_nests_too_deep_is_refused(self, adapter: StorageAdapter) -> None:
        """B4. One level more than `MAX_DEPTH` is refused everywhere; so are a value in itself and a very deep one."""
        deep: Any = 1
        for _ in range(MAX_DEPTH + 1):
            deep = [deep]
        circle: list[Any] = []
        circle.append(circle)
        bottomless: Any = 1
        for _ in range(100_000):
            bottomless = [bottomless]
        for value in (deep, circle, bottomless):
            await _refused(partial(adapter.set_keystore, "key", value))
            await _refused(partial(adapter.create_task_run, task_run(input=value)))
        assert await adapter.get_keystore("key") is None

    async def test_unknown_fields_are_refused(self, adapter: StorageAdapter) -> None:
        """B5. A field that a record does not have raises `UnknownField`, which names those that there are."""
        await create(adapter, task_run(), call())
        attempts: tuple[tuple[type, Callable[[], Awaitable[Any]]], ...] = (
            (TaskRun, lambda: adapter.create_task_run({"task_identifier": "digest", "stauts": "pending"})),
            (TaskRun, lambda: adapter.update_task_run("run-1", stauts="failed", result=1)),
            (StackRun, lambda: adapter.create_stack_run({"task_run_id": "run-1", "stauts": "pending"})),
            (StackRun, lambda: adapter.update_stack_run("run-1.1", {"result": 1, "status = 1; --": "failed"})),
            (StackRun, lambda: adapter.commit([Update(StackRun, "run-1.1", {"result": 1, "stauts": 1})], id="c-1")),
            (TaskRun, lambda: adapter.commit([Update(TaskRun, "run-1", {"result": 1}, {"stauts": 1})], id="c-2")),
        )
        for kind, attempt in attempts:
            with pytest.raises(UnknownField) as caught:
                await attempt()
            assert set(caught.value.fields) == set(field_names(kind))
        assert [one.result for one in await everything(adapter)] == [None, None]

    async def test_fields_have_their_types(self, adapter: StorageAdapter) -> None:
        """B6. A plain field refuses a value of another type, a count below 0 or above 2**53 - 1, and text with
        U+0000."""
        await create(adapter, task_run(), call())
        stored = await everything(adapter)
        for kind, id, name, value in (
            (TaskRun, "run-1", "status", None),
            (TaskRun, "run-1", "status", 1),
            (TaskRun, "run-1", "runner", b"fetch"),
            (TaskRun, "run-1", "version", ["a"]),
            (TaskRun, "run-1", "parent_stack_run_id", 0),
            (TaskRun, "run-1", "started_at", "2020-01-01T00:00:00Z"),
            (TaskRun, "run-1", "ended_at", 1.5),
            (StackRun, "run-1.1", "attempts", True),
            (StackRun, "run-1.1", "attempts", "1"),
            (StackRun, "run-1.1", "wakes", 1.0),
            (StackRun, "run-1.1", "token", -1),
            (StackRun, "run-1.1", "sequence", 2**53),
            (StackRun, "run-1.1", "attempts", None),
            (StackRun, "run-1.1", "worker", "a\ud800"),
            (StackRun, "run-1.1", "operation", "a\u0000b"),
        ):
            found = await _refused(partial(update, adapter, kind, id, **{name: value}))
            assert found.path.startswith(f"$.{name}")
        assert await everything(adapter) == stored

    async def test_times_need_a_zone(self, adapter: StorageAdapter) -> None:
        """B7. A time without a zone raises `InvalidValue`: it would be another instant on another machine."""
        naive = PAST.replace(tzinfo=None)
        await create(adapter, call())
        await _refused(lambda: adapter.create_stack_run(call(2, due_at=naive)))
        await _refused(lambda: adapter.update_stack_run("run-1.1", ended_at=naive))
        await _refused(lambda: adapter.commit([Update(StackRun, "run-1.1", {"due_at": naive})], id="c-1"))
        assert ids_of(await everything(adapter)) == ["run-1.1"]

    async def test_unknown_statuses_are_refused(self, adapter: StorageAdapter) -> None:
        """B8. A status that the kind of record does not have raises `InvalidValue`, which names those that there
        are."""
        await create(adapter, task_run(), call())
        for kind, id, status in (
            (TaskRun, "run-1", "in_progress"),
            (TaskRun, "run-1", ""),
            (StackRun, "run-1.1", "running"),
            (StackRun, "run-1.1", "PENDING"),
        ):
            for attempt in (
                partial(update, adapter, kind, id, status=status),
                partial(create, adapter, plain(kind, "new", status=status)),
                partial(adapter.commit, [Update(kind, id, {"status": status})], id="c-1"),
            ):
                assert "pending" in str(await _refused(attempt))

    async def test_a_refused_update_leaves_no_trace(self, adapter: StorageAdapter) -> None:
        """B13. A change that is refused leaves the record as it was, `updated_at` included."""
        for kind in KINDS:
            stored = await create(adapter, full(kind))
            for bad in ({"status": "none"}, {"result": math.nan}, {"nothing": 1}, {"runner": 5}, {"id": "other"}):
                with pytest.raises((InvalidValue, UnknownField)):
                    await update(adapter, kind, stored.id, **{"input": "changed", **bad})
            assert await get(adapter, kind, stored.id) == stored


async def _refused(attempt: Callable[[], Awaitable[Any]]) -> InvalidValue:
    with pytest.raises(InvalidValue) as caught:
        await attempt()
    return caught.value
