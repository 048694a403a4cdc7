"""Section R, on changes: a field at a time, to whatever a record may hold."""

from __future__ import annotations

import pytest

from sequential_adaptor.errors import InvalidValue, RecordNotFound
from sequential_adaptor.lifecycles import STACK_RUN, TASK_RUN
from sequential_adaptor.records import JSON_FIELDS, TIME_FIELDS, StackRun, TaskRun, field_names
from sequential_adaptor.storage import StorageAdapter
from sequential_adaptor.testing.laws.base import Laws
from sequential_adaptor.testing.laws.samples import (
    FUTURE,
    KINDS,
    call,
    create,
    everything,
    full,
    get,
    plain,
    task_run,
    update,
)


class UpdateLaws(Laws):
    """Section R, on changes."""

    async def test_an_update_changes_those_fields_and_no_others(self, adapter: StorageAdapter) -> None:
        """R10. `update_*` changes the fields it names and `updated_at`, nothing else, and returns the record as it is
        now."""
        for kind in KINDS:
            before = await create(adapter, full(kind))
            started = await adapter.now()
            after = await update(adapter, kind, before.id, status="failed", error={"type": "E", "message": ""})
            assert after == before.replace(
                status="failed", error={"type": "E", "message": ""}, updated_at=after.updated_at
            )
            assert started <= after.updated_at <= await adapter.now()
            assert await get(adapter, kind, before.id) == after

    async def test_every_field_can_be_changed(self, adapter: StorageAdapter) -> None:
        """R11. Every field but `id` and `created_at` can be changed to another value, and to `None` where that is
        allowed."""
        for kind in KINDS:
            target, source = plain(kind, "run-1"), full(kind)
            await create(adapter, target)
            names = [name for name in field_names(kind) if name not in ("id", "created_at")]
            for name in names:
                changed = await update(adapter, kind, "run-1", **{name: getattr(source, name)})
                assert getattr(changed, name) == getattr(source, name), name
            stored = await get(adapter, kind, "run-1")
            assert stored == source.replace(created_at=stored.created_at, updated_at=stored.updated_at)
            for name in JSON_FIELDS[kind] | (TIME_FIELDS[kind] - {"created_at", "updated_at"}):
                changed = await update(adapter, kind, "run-1", **{name: None})
                assert getattr(changed, name) is None, name

    async def test_updates_are_raw(self, adapter: StorageAdapter) -> None:
        """R12. `update_*` stores any status that there is over any other: lifecycles are the engine's business."""
        await create(adapter, task_run(), call())
        for kind, id, states in ((TaskRun, "run-1", TASK_RUN.states), (StackRun, "run-1.1", STACK_RUN.states)):
            for status in (*states, *reversed(states)):
                assert (await update(adapter, kind, id, status=status)).status == status

    async def test_an_unknown_id_cannot_be_updated(self, adapter: StorageAdapter) -> None:
        """R13. `update_*` raises `RecordNotFound` for an unknown id, and stores nothing."""
        for kind in KINDS:
            with pytest.raises(RecordNotFound) as caught:
                await update(adapter, kind, "nobody", status="failed")
            assert caught.value.id == "nobody"
        assert await everything(adapter) == []

    async def test_an_id_is_for_ever(self, adapter: StorageAdapter) -> None:
        """R14. `id` and `created_at` cannot be changed; naming them with the value they have is harmless."""
        for kind in KINDS:
            stored = await create(adapter, full(kind))
            for name, value in (("id", "other"), ("created_at", FUTURE)):
                with pytest.raises(InvalidValue, match=name):
                    await update(adapter, kind, stored.id, **{name: value})
            same = await update(adapter, kind, stored.id, id=stored.id, created_at=stored.created_at)
            assert same.replace(updated_at=stored.updated_at) == stored
