"""Section B, on ids: one that is not plain reaches no path, no URL and no SQL."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from sequential_adaptor.errors import InvalidId
from sequential_adaptor.records import StackRun, TaskRun
from sequential_adaptor.storage import Create, StorageAdapter, Update, Wake
from sequential_adaptor.testing.laws.bad_samples import BAD_IDS
from sequential_adaptor.testing.laws.base import Laws
from sequential_adaptor.testing.laws.samples import create, everything, plain


class BadIdLaws(Laws):
    """Section B, on ids."""

    async def test_bad_ids_reach_nothing(self, adapter: StorageAdapter) -> None:
        """B9. An id that is not plain (paths, line ends, empty, too long, no text) raises `InvalidId`, in every
        method."""
        for id in BAD_IDS:
            for attempt in _uses_of_an_id(adapter, id):
                with pytest.raises(InvalidId):
                    await attempt()
        assert await everything(adapter) == []

    async def test_bad_ids_in_records_reach_nothing(self, adapter: StorageAdapter) -> None:
        """B10. A record whose ids are not plain is refused by `create_*` and `commit`; nothing of it is written."""
        for id in (id for id in BAD_IDS if id):  # without an id, one is filled in
            for record in (
                plain(TaskRun, id),
                plain(TaskRun, "run-1", task_identifier=id),
                plain(StackRun, id),
                plain(StackRun, "x.1", task_run_id=id),
            ):
                with pytest.raises(InvalidId):
                    await create(adapter, record)
                with pytest.raises(InvalidId):
                    await adapter.commit([Create(plain(TaskRun, "good")), Create(record)], id="commit-1")
        assert await everything(adapter) == []

    async def test_the_longest_ids_are_kept(self, adapter: StorageAdapter) -> None:
        """B11. Run ids, names and keys of 64 characters and stack run ids of 255 are kept; one more is refused."""
        run, name, deep = "r" * 64, "a." + "b" * 62, "r" * 64 + ".1" * 95 + "4"
        await create(adapter, plain(TaskRun, run, task_identifier=name), plain(StackRun, deep, task_run_id=run))
        await adapter.store_task_function(name, "1")
        await adapter.set_keystore(name, 1)
        assert len(deep) == 255
        assert await adapter.get_stack_run(deep) is not None
        assert await adapter.get_task_run(run) is not None
        assert await adapter.get_keystore(name) == 1
        for attempt in (
            lambda: create(adapter, plain(TaskRun, run + "r")),
            lambda: create(adapter, plain(StackRun, deep + "1")),
            lambda: adapter.store_task_function(name + "b", "1"),
            lambda: adapter.set_keystore(name + "b", 1),
            lambda: create(adapter, plain(TaskRun, "run.1")),
        ):
            with pytest.raises(InvalidId):
                await attempt()

    async def test_ids_that_look_alike_are_different(self, adapter: StorageAdapter) -> None:
        """B12. Ids are compared exactly: letter case counts, and no name means anything to the store."""
        names = [
            "run",
            "Run",
            "RUN",
            "run-1",
            "run_1",
            "con",
            "nul",
            "index",
            "lock",
            "journal",
            "null",
            "0",
            "00",
            "1e3",
        ]
        for place, id in enumerate(names):
            await create(adapter, plain(TaskRun, id, input=place), plain(StackRun, id, input=place, task_run_id=id))
            await adapter.set_keystore(id, place)
            await adapter.store_task_function(id, f"{place}")
        for place, id in enumerate(names):
            run, found = await adapter.get_task_run(id), await adapter.get_stack_run(id)
            assert run is not None
            assert found is not None
            assert (run.input, found.input) == (place, place)
            assert await adapter.get_keystore(id) == place
            function = await adapter.get_task_function(id)
            assert function is not None
            assert function.code == f"{place}"


def _uses_of_an_id(adapter: StorageAdapter, id: Any) -> tuple[Callable[[], Awaitable[Any]], ...]:
    uses: tuple[Callable[[], Awaitable[Any]], ...] = (
        lambda: adapter.get_task_run(id),
        lambda: adapter.update_task_run(id, status="failed"),
        lambda: adapter.get_stack_run(id),
        lambda: adapter.update_stack_run(id, status="failed"),
        lambda: adapter.get_task_function(id),
        lambda: adapter.get_keystore(id),
        lambda: adapter.set_keystore(id, 1),
        lambda: adapter.delete_keystore(id),
        lambda: adapter.commit([Update(TaskRun, id, {"status": "failed"})], id="commit-1"),
        lambda: adapter.commit([Update(StackRun, id, {"status": "failed"})], id="commit-1"),
        lambda: adapter.commit([Wake(id)], id="commit-1"),
    )
    return (*uses, lambda: adapter.store_task_function(id, "1")) if isinstance(id, str) else uses
