"""Section J: a value comes back exactly as it went in, key order and all."""

from __future__ import annotations

import asyncio
from typing import Any

from hypothesis import given, settings

from sequential_adaptor import values
from sequential_adaptor.records import JSON_FIELDS, StackRun
from sequential_adaptor.storage import Create, StorageAdapter, Update
from sequential_adaptor.testing.laws.base import Laws, NewStore
from sequential_adaptor.testing.laws.samples import KINDS, call, create, get, plain, query, update
from sequential_adaptor.testing.strategies import PATIENT, json_values
from sequential_adaptor.values import JSON, MAX_DEPTH


class JsonLaws(Laws):
    """Section J."""

    async def test_every_way_in_and_out_is_exact(self, adapter: StorageAdapter) -> None:
        """J1. A value is the same, in every payload field, through every method that takes or gives one."""
        value = {"z": [1, 1.0, True, None, -0.0], "a": {"": "é𝄞\u0000"}, "m": 10**30}
        for kind in KINDS:
            payloads = dict.fromkeys(JSON_FIELDS[kind], value)
            seen = [await create(adapter, plain(kind, "x-1", **payloads)), await get(adapter, kind, "x-1")]
            await create(adapter, plain(kind, "x-2"))
            seen += [await update(adapter, kind, "x-2", **payloads), *await query(adapter, kind)]
            await adapter.commit([Create(plain(kind, "x-3", **payloads)), Create(plain(kind, "x-4"))], id=f"{kind}-1")
            await adapter.commit([Update(kind, "x-4", payloads)], id=f"{kind}-2")
            seen += [await get(adapter, kind, "x-3"), await get(adapter, kind, "x-4")]
            for record in seen:
                for name in JSON_FIELDS[kind]:
                    assert values.identical(getattr(record, name), value), (name, record)
        (claim,) = await adapter.claim_stack_runs("w", ids=["x-3"])
        (kept,) = await adapter.heartbeat([claim])
        assert values.identical([claim.stack_run.input, kept.stack_run.state], [value, value])

    async def test_the_order_of_keys_is_kept(self, adapter: StorageAdapter) -> None:
        """J2. The order of keys is part of a value, at every level."""
        keys = ["b", "a", "10", "9", "", "Z", "é", "aa", "_id", "1"]
        for order in (keys, keys[::-1], sorted(keys), sorted(keys, key=len)):
            value = {key: {inner: [{inner: 1, key: 2} if inner != key else {}] for inner in order} for key in order}
            await _through(adapter, value)

    async def test_integers_of_any_size(self, adapter: StorageAdapter) -> None:
        """J3. Integers are exact at any size: beyond 2**53, beyond 64 bits, of 5,000 digits, of either sign."""
        for power in (53, 63, 64, 128, 1024):
            await _through(adapter, [2**power - 1, 2**power, 2**power + 1, -(2**power), -(2**power) - 1])
        await _through(adapter, [10**4999, -(10**4999) - 7, {"big": 10**5000 - 1}])

    async def test_floats_are_exact(self, adapter: StorageAdapter) -> None:
        """J4. Floats are exact and stay floats: `-0.0`, `1.0`, `1e22`, the smallest and the largest."""
        await _through(
            adapter, [-0.0, 0.0, 1.0, -1.0, 1e22, 1e23, 0.1, 0.1 + 0.2, 5e-324, 1.7976931348623157e308, 1e-7]
        )
        await _through(adapter, [float(2**53), 123456789012345680.0, 1e16, 1e15, 2.5, 100.0, 1e100])

    async def test_any_unicode_is_kept(self, adapter: StorageAdapter) -> None:
        """J5. Text is kept code point by code point, also as a key: U+0000, astral planes, nothing normalised."""
        texts = [
            "\u0000",
            "a\u0000b",
            "\x01\x1f\x7f\x80",
            "é",
            "e\u0301",
            "𝄞🏳️‍🌈",
            "\u2028\u2029",
            "\ufeff",
            "\uffff\U0010ffff",
        ]
        texts += ["\\u0000", "\\", '"', "/", "</script>", "\r\n\t", " ", "", "ß", "İ", "\u200f\u202e", "ﬀ"]
        for text in texts:
            await _through(adapter, [text, {text: text}])
        await _through(adapter, {text: place for place, text in enumerate(texts)})

    async def test_values_that_look_like_others_stay_what_they_are(self, adapter: StorageAdapter) -> None:
        """J6. Nothing is interpreted: text that looks like a number, a time, `null` or an operator stays text."""
        for text in (
            "1",
            "1.0",
            "null",
            "true",
            "NaN",
            "2020-02-29T12:30:15.123457Z",
            "$ne",
            "{}",
            "[]",
            '"',
            "__proto__",
        ):
            await _through(adapter, [text, {text: {text: [text]}}])
        await _through(
            adapter, {"$ref": "#", "$oid": "5", "a.b": 1, "a": {"b": 2}, "": {"": 3}, "$": 1, "constructor": {}}
        )

    async def test_values_nest_as_deep_as_is_promised(self, adapter: StorageAdapter) -> None:
        """J7. Lists and objects nest `MAX_DEPTH` levels deep."""
        lists: Any = 1
        objects: Any = 1
        for _ in range(MAX_DEPTH):
            lists, objects = [lists], {"a": objects}
        await _through(adapter, lists)
        await _through(adapter, objects)

    async def test_the_kinds_of_nothing_are_different(self, adapter: StorageAdapter) -> None:
        """J8. `None`, `False`, `0`, `0.0`, `-0.0`, `""`, `[]` and `{}` are eight values, at the top and inside."""
        nothings: list[JSON] = [None, False, 0, 0.0, -0.0, "", [], {}]
        for value in nothings:
            await _through(adapter, value)
        await _through(
            adapter, [nothings, {str(place): value for place, value in enumerate(nothings)}, [[]], [{}], {"": {}}]
        )

    async def test_large_values_are_kept(self, adapter: StorageAdapter) -> None:
        """J9. A value of two million characters, or of 20,000 items, is a value like any other."""
        await _through(adapter, "x𝄞" * 1_000_000)
        await _through(adapter, [{"n": n, "text": str(n)} for n in range(20_000)])

    async def test_any_value_comes_back_exactly(self, new_store: NewStore) -> None:
        """J10. Whatever JSON value one can think of comes back exactly, or is refused by every backend alike."""
        storage = new_store()

        async def check(value: JSON) -> None:
            async with await storage.make() as adapter:
                await _through(adapter, value)

        @settings(max_examples=60, deadline=None, suppress_health_check=PATIENT, database=None)
        @given(json_values())
        def law(value: JSON) -> None:
            asyncio.run(check(value))

        await asyncio.to_thread(law)


async def _through(adapter: StorageAdapter, value: JSON) -> None:
    """Put the value in by keystore and record, and see that it is the same when it comes back."""
    await adapter.set_keystore("value", value)
    assert values.identical(await adapter.get_keystore("value"), value)
    stored = await adapter.get_stack_run("x.1") or await create(adapter, call(1, "x"))
    changed = await adapter.update_stack_run(stored.id, result=value, input=value)
    found = await get(adapter, StackRun, stored.id)
    for given_back in (changed.result, changed.input, found.result, found.input):
        assert values.identical(given_back, value)
