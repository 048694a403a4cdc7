"""Section R: records are stored whole, changed field by field, and belong to nobody but the store."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta, timezone
from uuid import UUID

import pytest

from sequential_adaptor import values
from sequential_adaptor.errors import RecordExists
from sequential_adaptor.lifecycles import STACK_RUN
from sequential_adaptor.records import JSON_FIELDS, StackRun, TaskRun, field_names, to_json
from sequential_adaptor.storage import StorageAdapter
from sequential_adaptor.testing.laws.base import Laws, OpenAdapter, needs
from sequential_adaptor.testing.laws.samples import (
    FALSY,
    KINDS,
    PAST,
    call,
    create,
    frame,
    full,
    get,
    plain,
    query,
    task_run,
    update,
)


class RecordLaws(Laws):
    """Section R."""

    async def test_a_created_record_is_given_back_whole(self, adapter: StorageAdapter) -> None:
        """R1. A record is given back as it was created, in every field, by `create_*`, `get_*` and `query_*` alike."""
        for kind in KINDS:
            record = full(kind)
            stored = await create(adapter, record)
            assert stored == record
            assert await get(adapter, kind, record.id) == record
            assert await query(adapter, kind) == [record]
            assert values.identical(to_json(stored), to_json(await get(adapter, kind, record.id)))

    async def test_what_is_missing_is_filled_in(self, adapter: StorageAdapter) -> None:
        """R2. A record created without id, status and times has them when it comes back: a UUIDv7, `pending`, and
        now."""
        before = await adapter.now()
        run = await adapter.create_task_run({"task_identifier": "digest", "version": "a" * 64})
        after = await adapter.now()
        assert UUID(run.id).version == 7
        assert run.status == "pending"
        assert run.created_at is not None
        assert before <= run.created_at <= after
        assert run.updated_at == run.created_at
        assert await adapter.get_task_run(run.id) == run

    async def test_stack_runs_are_named_by_their_place(self, adapter: StorageAdapter) -> None:
        """R3. Without an id, a root frame has the id of its run, and a call `<frame id>.<sequence>`."""
        root = await adapter.create_stack_run({"task_run_id": "run-1"})
        child = await adapter.create_stack_run(
            {"task_run_id": "run-1", "parent_stack_run_id": "run-1", "sequence": 7, "operation": "fetch"}
        )
        assert (root.id, child.id) == ("run-1", "run-1.7")

    async def test_a_pending_stack_run_is_due_at_once(self, adapter: StorageAdapter) -> None:
        """R4. A pending stack run without `due_at` is due at once; with any other status it stays without."""
        for status in STACK_RUN.states:
            made = await adapter.create_stack_run(plain(StackRun, f"x.{status}", status=status, due_at=None))
            if status == "pending":
                assert made.due_at is not None
                assert made.due_at <= await adapter.now()
            else:
                assert made.due_at is None

    async def test_a_mapping_counts_as_a_record(self, adapter: StorageAdapter) -> None:
        """R5. `create_*` takes a mapping of fields as it takes a record, and `update_*` a mapping as it takes
        keywords."""
        for kind in KINDS:
            record = full(kind)
            given = {name: getattr(record, name) for name in field_names(kind)}
            stored = await (adapter.create_task_run(given) if kind is TaskRun else adapter.create_stack_run(given))
            assert stored == record
        one = await adapter.update_task_run("run-1", {"status": "failed"})
        two = await adapter.update_task_run("run-1", status="running", result=0)
        assert (one.status, two.status, two.result) == ("failed", "running", 0)

    @needs("sharing")
    async def test_what_is_stored_is_visible_at_once(self, open_adapter: OpenAdapter) -> None:
        """R6. What a method stored is seen by every other adapter of the store as soon as the method returns."""
        one, two = await open_adapter(), await open_adapter()
        for place in range(10):
            writer, reader = (one, two) if place % 2 else (two, one)
            stored = await create(writer, task_run(f"run-{place}"), call(place))
            assert await reader.get_stack_run(stored.id) == stored
            changed = await writer.update_stack_run(stored.id, result=place, status="completed")
            assert await reader.get_stack_run(stored.id) == changed
            assert len(await reader.query_task_runs()) == place + 1

    async def test_creating_the_same_again_is_success(self, adapter: StorageAdapter) -> None:
        """R7. Creating an identical record once more succeeds, gives back what is stored, and changes nothing."""
        for record in (task_run(), call(), call(2, due_at=None), full(TaskRun).replace(id="run-2")):
            stored = await create(adapter, record)
            assert await create(adapter, record) == stored
            assert await get(adapter, type(record), record.id) == stored

    async def test_another_record_of_the_same_id_is_refused(self, adapter: StorageAdapter) -> None:
        """R8. Creating a record that differs from the one of that id in anything raises `RecordExists` and changes
        nothing."""
        for first, second in ((1, True), (1, 1.0), (0, False), (None, []), ({"a": 1, "b": 2}, {"b": 2, "a": 1})):
            for kind in KINDS:
                id = f"x-{kind.__name__}-{abs(hash(repr((first, second))))}"
                stored = await create(adapter, plain(kind, id, input=first))
                with pytest.raises(RecordExists) as caught:
                    await create(adapter, plain(kind, id, input=second))
                assert caught.value.id == id
                assert values.identical(to_json(await get(adapter, kind, id)), to_json(stored))

    async def test_an_unknown_id_gives_none(self, adapter: StorageAdapter) -> None:
        """R9. `get_*` gives `None` for an id that no record of that kind has."""
        await create(adapter, task_run("only-a-run"), call(1, "only-a-call"))
        assert await adapter.get_task_run("nobody") is None
        assert await adapter.get_stack_run("nobody.1") is None
        assert await adapter.get_stack_run("only-a-run") is None

    async def test_records_are_not_shared(self, adapter: StorageAdapter) -> None:
        """R15. Nothing is shared: changing a value after it was given, or one that was handed out, changes nothing
        stored."""
        for kind in KINDS:
            given = {"list": [1]}
            handed_out = [await create(adapter, plain(kind, "run-1", input=given))]
            given["list"].append(2)
            handed_out.append(await get(adapter, kind, "run-1"))
            handed_out.extend(await query(adapter, kind))
            handed_out.append(await update(adapter, kind, "run-1", status="failed"))
            handed_out.extend([await get(adapter, kind, "run-1"), *await query(adapter, kind, {"id": "run-1"})])
            for record in handed_out:
                record.input["list"].append(3)
            assert (await get(adapter, kind, "run-1")).input == {"list": [1]}
            later = [1]
            await update(adapter, kind, "run-1", result=later)
            later.append(2)
            assert (await get(adapter, kind, "run-1")).result == [1]

    async def test_times_are_instants(self, adapter: StorageAdapter) -> None:
        """R16. A time comes back as the same instant, to the microsecond, aware and in UTC, whatever zone it was given
        in."""
        east = timezone(timedelta(hours=5, minutes=45))
        times = (
            datetime(1900, 1, 1, tzinfo=UTC),
            datetime(2024, 2, 29, 23, 59, 59, 999999, tzinfo=east),
            datetime(2024, 6, 1, 0, 0, 0, 1, tzinfo=timezone(-timedelta(hours=9))),
            datetime(9999, 12, 31, 23, 59, 59, 999999, tzinfo=UTC),
        )
        for place, time in enumerate(times):
            given = plain(StackRun, f"x.{place}", due_at=time, created_at=time)
            for stored in (await create(adapter, given), await get(adapter, StackRun, given.id)):
                assert stored.due_at == stored.created_at == time
                assert stored.due_at.utcoffset() == timedelta(0)
            changed = await update(adapter, StackRun, given.id, ended_at=time)
            assert changed.ended_at == time
            assert changed.ended_at.utcoffset() == timedelta(0)

    async def test_no_record_needs_another(self, adapter: StorageAdapter) -> None:
        """R17. A record may name others that do not exist: copies arrive in any order."""
        await create(adapter, call(1, "no-run"), task_run("child", parent_stack_run_id="no-run.99"))
        assert (await adapter.get_task_run("child")) is not None

    async def test_kinds_have_ids_of_their_own(self, adapter: StorageAdapter) -> None:
        """R18. A run and its root frame share an id, and nothing else: changing the one leaves the other alone."""
        await create(adapter, task_run(), frame())
        await adapter.update_task_run("run-1", status="failed", result=1)
        stored = await adapter.get_stack_run("run-1")
        assert stored is not None
        assert (stored.status, stored.result) == ("pending", None)

    async def test_falsy_values_are_values(self, adapter: StorageAdapter) -> None:
        """R19. `0`, `False`, `""`, `[]`, `{}` and `None` are kept apart in every payload field, and replace what was
        there."""
        for kind in KINDS:
            for place, value in enumerate(FALSY):
                created = plain(kind, f"x-{place}", **dict.fromkeys(JSON_FIELDS[kind], value))
                await create(adapter, created, plain(kind, f"y-{place}", input="there", result="there"))
                await update(adapter, kind, f"y-{place}", **dict.fromkeys(JSON_FIELDS[kind], value))
                for id in (f"x-{place}", f"y-{place}"):
                    stored = await get(adapter, kind, id)
                    for name in JSON_FIELDS[kind]:
                        assert values.identical(getattr(stored, name), value), (name, value)

    async def test_text_is_kept_whatever_is_in_it(self, adapter: StorageAdapter) -> None:
        """R20. Text fields hold quotes, SQL, line ends, path separators and any Unicode, unchanged."""
        texts = (
            "'; DROP TABLE task_runs; --",
            '"',
            "\\",
            "a\nb\r\nc",
            "../..",
            "%s {0} $1 ?",
            "e\u0301 é 𝄞 \u2028",
            " ",
        )
        for place, text in enumerate(texts):
            record = call(place, operation=text, worker=text, last_commit=text)
            assert await create(adapter, record) == await adapter.get_stack_run(record.id)
            assert (await adapter.get_stack_run(record.id)) is not None
            (found,) = await adapter.query_stack_runs({"operation": text})
            assert (found.operation, found.worker, found.last_commit) == (text, text, text)

    async def test_many_at_once(self, adapter: StorageAdapter) -> None:
        """R21. Methods may be called side by side: each does what it does alone."""
        await asyncio.gather(*(create(adapter, task_run(f"run-{n}"), frame(f"run-{n}")) for n in range(60)))
        await asyncio.gather(*(adapter.update_task_run(f"run-{n}", result=n) for n in range(60)))
        stored = await adapter.query_task_runs()
        assert {run.id: run.result for run in stored} == {f"run-{n}": n for n in range(60)}

    async def test_created_at_may_be_given(self, adapter: StorageAdapter) -> None:
        """R22. Ids and times that are given are kept as they are: records move between stores unchanged."""
        for kind in KINDS:
            given = plain(kind, "moved", created_at=PAST, updated_at=PAST + timedelta(days=1))
            stored = await create(adapter, given)
            assert (stored.id, stored.created_at, stored.updated_at) == ("moved", PAST, PAST + timedelta(days=1))
