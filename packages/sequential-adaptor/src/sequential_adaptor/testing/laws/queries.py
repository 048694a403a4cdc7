"""Section Q: queries find by equality, in a total order, page by page."""

from __future__ import annotations

from datetime import timedelta, timezone
from typing import Any

import pytest

from sequential_adaptor.errors import ConfigurationError, InvalidValue, UnknownField
from sequential_adaptor.records import JSON_FIELDS, StackRun, TaskRun, field_names
from sequential_adaptor.storage import Create, StorageAdapter
from sequential_adaptor.testing.laws.base import Laws
from sequential_adaptor.testing.laws.samples import (
    FUTURE,
    KINDS,
    PAST,
    Kind,
    call,
    create,
    frame,
    full,
    get,
    ids_of,
    plain,
    query,
    task_run,
)


class QueryLaws(Laws):
    """Section Q."""

    async def test_every_field_can_be_asked_for(self, adapter: StorageAdapter) -> None:
        """Q1. A filter finds the records whose field equals its value, on every field there is."""
        for kind in KINDS:
            wanted = await create(adapter, plain(kind, "run-2"), full(kind))
            other = await get(adapter, kind, "run-2")
            for name in field_names(kind):
                value, missing = getattr(wanted, name), getattr(other, name)
                if value != missing:
                    assert await query(adapter, kind, {name: value}) == [wanted], name

    async def test_a_list_means_any_of_them(self, adapter: StorageAdapter) -> None:
        """Q2. A list in a filter finds the records that have one of its values; an empty list finds nothing."""
        for kind in KINDS:
            await create(adapter, *(plain(kind, id, status=id) for id in ("pending", "failed", "completed")))
            found = await query(adapter, kind, {"status": ["failed", "pending", "failed"]})
            assert sorted(ids_of(found)) == ["failed", "pending"]
            assert await query(adapter, kind, {"status": []}) == []
            many = [f"none-{n}" for n in range(1200)]
            assert ids_of(await query(adapter, kind, {"id": [*many, "failed", "failed"]})) == ["failed"]

    async def test_all_fields_of_a_filter_count(self, adapter: StorageAdapter) -> None:
        """Q3. A filter with several fields finds the records that meet them all; an empty one finds every record."""
        await create(adapter, *(call(n, status=("failed", "pending")[n % 2], attempts=n) for n in range(4)))
        assert ids_of(await adapter.query_stack_runs({"status": "failed", "attempts": [1, 2]})) == ["run-1.2"]
        assert len(await adapter.query_stack_runs({})) == len(await adapter.query_stack_runs()) == 4

    async def test_none_is_asked_for_like_a_value(self, adapter: StorageAdapter) -> None:
        """Q4. `None` in a filter, alone or in a list, finds the records that have nothing in that field."""
        await create(adapter, call(1, worker=None), call(2, worker="w"), call(3, worker="v"), call(4, due_at=FUTURE))
        assert ids_of(await adapter.query_stack_runs({"worker": [None, "v"]}, order_by="id")) == [
            "run-1.1",
            "run-1.3",
            "run-1.4",
        ]
        assert await adapter.query_stack_runs({"due_at": None}) == []
        assert len(await adapter.query_stack_runs({"ended_at": None, "position": None})) == 4

    async def test_payloads_are_equal_as_exact_json(self, adapter: StorageAdapter) -> None:
        """Q5. Payload fields are compared as exact JSON: `1`, `1.0` and `True` are three values, and key order
        counts."""
        payloads: list[Any] = [1, 1.0, True, 0, -0.0, None, "", "1", {"a": 1, "b": 2}, {"b": 2, "a": 1}, [], {}, [[]]]
        for kind in KINDS:
            await create(adapter, *(plain(kind, f"x-{n}", input=value) for n, value in enumerate(payloads)))
            for n, value in enumerate(payloads):
                assert ids_of(await query(adapter, kind, {"input": [value]})) == [f"x-{n}"], value
            assert ids_of(await query(adapter, kind, {"input": {"b": 2, "a": 1}})) == ["x-9"]

    async def test_unknown_fields_are_named(self, adapter: StorageAdapter) -> None:
        """Q6. An unknown field in a filter or an order raises `UnknownField`, which names those that there are."""
        for kind in KINDS:
            for name in ("statsu", "", "id = id --", 'status"', "status'; DROP TABLE task_runs; --", "1"):
                for attempt in ({name: 1}, {"status": "failed", name: []}):
                    with pytest.raises(UnknownField) as caught:
                        await query(adapter, kind, attempt)
                    assert set(caught.value.fields) == set(field_names(kind))
                with pytest.raises(UnknownField):
                    await query(adapter, kind, order_by=name)

    async def test_the_order_is_total(self, adapter: StorageAdapter) -> None:
        """Q7. Records come ordered by any plain field, `None` first, then by id; `newest_first` is exactly the
        reverse."""
        for kind in KINDS:
            await create(adapter, *self._assorted(kind))
            stored = await query(adapter, kind)
            for name in field_names(kind):
                if name in JSON_FIELDS[kind]:
                    continue
                expected = [id for *_, id in sorted(_key(getattr(one, name), one.id) for one in stored)]
                assert ids_of(await query(adapter, kind, order_by=name)) == expected, name
                assert ids_of(await query(adapter, kind, order_by=name, newest_first=True)) == expected[::-1], name

    @staticmethod
    def _assorted(kind: Kind) -> list[Any]:
        source, rows = full(kind), []
        names = [name for name in field_names(kind) if name not in ("id", "created_at")]
        for n in range(6):
            some = {name: getattr(source, name) for place, name in enumerate(names) if (place + n) % 3}
            rows.append(plain(kind, f"x{n * 7 % 6}", created_at=PAST, **some))
        return rows

    async def test_text_is_ordered_by_code_point(self, adapter: StorageAdapter) -> None:
        """Q8. Text is ordered by code point, not by a language's rules."""
        texts = ["Z", "a", "A", "é", "z", "~", "-", "𝄞", "\uffee", "10", "9", "a b", "ab", ""]
        await create(adapter, *(call(n, operation=text) for n, text in enumerate(texts)))
        found = await adapter.query_stack_runs(order_by="operation")
        assert [one.operation for one in found] == sorted(texts)
        await create(adapter, *(task_run(id) for id in ("b", "B", "a_", "a-", "a1", "A")))
        assert ids_of(await adapter.query_task_runs(order_by="id")) == sorted(["b", "B", "a_", "a-", "a1", "A"])

    async def test_the_default_order_is_by_creation(self, adapter: StorageAdapter) -> None:
        """Q9. Without an order, records come by `created_at`, then by id."""
        times = {"a": PAST, "b": PAST - timedelta(microseconds=1), "c": PAST, "d": PAST - timedelta(days=1)}
        for kind in KINDS:
            await create(adapter, *(plain(kind, id, created_at=time) for id, time in times.items()))
            assert ids_of(await query(adapter, kind)) == ["d", "b", "a", "c"]

    async def test_a_limit_cuts(self, adapter: StorageAdapter) -> None:
        """Q10. `limit` gives the first so many, 0 none; a cursor is there exactly when more follow; what is no count is
        refused."""
        for kind in KINDS:
            await create(adapter, *(plain(kind, f"x{n}", created_at=PAST) for n in range(5)))
            for limit in range(7):
                page = await query(adapter, kind, limit=limit)
                assert ids_of(page) == [f"x{n}" for n in range(min(limit, 5))]
                assert (page.cursor is not None) == (0 < limit < 5)
            assert (await query(adapter, kind)).cursor is None
            for no_count in (-1, 1.5, "3", True):
                with pytest.raises(ConfigurationError):
                    await query(adapter, kind, limit=no_count)

    async def test_pages_cover_everything_once(self, adapter: StorageAdapter) -> None:
        """Q11. Page after page by cursor gives every record exactly once, in order, by any field and in both
        directions."""
        for kind in KINDS:
            await create(adapter, *self._assorted(kind))
            for name in (name for name in field_names(kind) if name not in JSON_FIELDS[kind]):
                for newest_first in (False, True):
                    options: dict[str, Any] = {"order_by": name, "newest_first": newest_first}
                    page = await query(adapter, kind, limit=2, **options)
                    paged = ids_of(page)
                    while page.cursor is not None and len(paged) < 9:
                        page = await query(adapter, kind, limit=2, cursor=page.cursor, **options)
                        paged += ids_of(page)
                    assert paged == ids_of(await query(adapter, kind, **options)), options

    async def test_pages_survive_what_comes_in_between(self, adapter: StorageAdapter) -> None:
        """Q12. Records that are created between two pages never make another one come twice, or not at all."""
        for kind in KINDS:
            there = [f"m{n}" for n in range(6)]
            await create(adapter, *(plain(kind, id, created_at=PAST) for id in there))
            paged, cursor, number = list[str](), None, 0
            while True:
                page = await query(adapter, kind, {"status": "pending"}, limit=1, cursor=cursor)
                paged, cursor, number = paged + ids_of(page), page.cursor, number + 1
                if cursor is None:
                    break
                for letter in ("a", "z"):
                    await create(adapter, plain(kind, f"{letter}{number}", created_at=PAST, status="failed"))
                await create(adapter, plain(kind, f"a{number}-early", created_at=PAST))
            assert paged == there

    async def test_a_cursor_belongs_to_its_order(self, adapter: StorageAdapter) -> None:
        """Q13. A cursor is good for the order it came from; with another, or made up, it raises
        `ConfigurationError`."""
        await create(adapter, *(task_run(f"x{n}") for n in range(3)))
        cursor = (await adapter.query_task_runs(limit=1)).cursor
        for options in ({"order_by": "id"}, {"newest_first": True}):
            with pytest.raises(ConfigurationError):
                await query(adapter, TaskRun, limit=1, cursor=cursor, **options)
        for made_up in ("", "x", "e30=", "' OR 1=1 --", "é"):
            with pytest.raises(ConfigurationError):
                await adapter.query_task_runs(limit=1, cursor=made_up)

    async def test_a_large_answer_is_whole(self, adapter: StorageAdapter) -> None:
        """Q14. An answer without a limit is whole: 1,500 records come in one."""
        for start in range(0, 1500, 250):
            changes = [Create(call(n, status="completed")) for n in range(start, start + 250)]
            await adapter.commit(changes, id=f"commit-{start}")
        found = await adapter.query_stack_runs({"task_run_id": "run-1"}, order_by="sequence")
        assert [one.sequence for one in found] == list(range(1500))

    async def test_values_are_compared_literally(self, adapter: StorageAdapter) -> None:
        """Q15. Values in a filter are compared literally: no wildcard, no pattern, no letter case, no SQL."""
        await create(adapter, *(call(n, operation=text) for n, text in enumerate(("abc", "ABC", "a%", "a' OR '1'='1"))))
        counts = {"a%": 1, "a_c": 0, "%": 0, "abc": 1, "a' OR '1'='1": 1, "' OR 1=1 --": 0, "../x": 0}
        for text, expected in counts.items():
            assert len(await adapter.query_stack_runs({"operation": text})) == expected, text
        assert await adapter.query_task_runs({"id": "../../etc/passwd"}) == []

    async def test_values_have_the_type_of_the_field(self, adapter: StorageAdapter) -> None:
        """Q16. A value that the field could never hold raises `InvalidValue`: nothing is equal in one backend only."""
        for filter in (
            {"attempts": True},
            {"attempts": "0"},
            {"attempts": [0, 1.0]},
            {"status": 1},
            {"status": {"$ne": "failed"}},
            {"due_at": "2020-02-29T12:30:15Z"},
            {"due_at": PAST.replace(tzinfo=None)},
            {"input": {1}},
            {"id": "\ud800"},
        ):
            with pytest.raises(InvalidValue):
                await adapter.query_stack_runs(filter)

    async def test_times_are_compared_as_instants(self, adapter: StorageAdapter) -> None:
        """Q17. A time in a filter finds the same instant, whatever zone it is written in."""
        await create(adapter, call(1), call(2, due_at=PAST + timedelta(microseconds=1)))
        there = PAST.astimezone(timezone(timedelta(hours=-3)))
        assert ids_of(await adapter.query_stack_runs({"due_at": there})) == ["run-1.1"]

    async def test_pending_calls(self, adapter: StorageAdapter) -> None:
        """Q18. `get_pending_stack_runs` gives the pending calls that are due and that no live lease holds, never
        frames."""
        await create(
            adapter,
            call(1),
            frame("run-2"),
            call(3, due_at=FUTURE),
            call(4, status="in_progress"),
            call(5, status="completed"),
            call(6, worker="w", token=1, lease_expires_at=FUTURE),
            call(7, worker="w", token=1, lease_expires_at=PAST),
            call(8, status="suspended_waiting_child"),
        )
        pending = await adapter.get_pending_stack_runs()
        assert ids_of(pending) == ["run-1.1", "run-1.7"]
        assert pending[0] == await adapter.get_stack_run("run-1.1")

    async def test_pending_calls_come_oldest_first(self, adapter: StorageAdapter) -> None:
        """Q19. `get_pending_stack_runs` gives all of them, the longest due first, then by id."""
        order = [3, 1, 4, 5, 9, 2, 6]
        await create(adapter, *(call(n, due_at=PAST + timedelta(microseconds=n // 2)) for n in order))
        assert ids_of(await adapter.get_pending_stack_runs()) == [f"run-1.{n}" for n in sorted(order)]
        await create(adapter, *(plain(StackRun, f"more.{n}") for n in range(300)))
        assert len(await adapter.get_pending_stack_runs()) == 307


def _key(value: Any, id: str) -> tuple[bool, Any, str]:
    return (False, "", id) if value is None else (True, value, id)
