"""Section K: the keystore keeps values under names."""

from __future__ import annotations

from sequential_adaptor import values
from sequential_adaptor.storage import StorageAdapter
from sequential_adaptor.testing.laws.base import Laws, OpenAdapter, needs
from sequential_adaptor.testing.laws.samples import FALSY


class KeystoreLaws(Laws):
    """Section K."""

    async def test_a_value_is_kept_under_its_key(self, adapter: StorageAdapter) -> None:
        """K1. A value is given back under its key; an unknown key gives `None`."""
        await adapter.set_keystore("openai.key", {"secret": "sk-1"})
        assert await adapter.get_keystore("openai.key") == {"secret": "sk-1"}
        assert await adapter.get_keystore("openai") is None

    async def test_a_value_replaces_the_one_before(self, adapter: StorageAdapter) -> None:
        """K2. Setting a key again replaces its whole value."""
        for value in ({"a": 1}, {"b": 2}, "text", None, 0):
            await adapter.set_keystore("key", value)
            assert values.identical(await adapter.get_keystore("key"), value)

    async def test_deleting_says_whether_there_was_one(self, adapter: StorageAdapter) -> None:
        """K3. `delete_keystore` forgets the key and says whether there was one, also where its value was `None`."""
        assert await adapter.delete_keystore("key") is False
        for value in (1, *FALSY):
            await adapter.set_keystore("key", value)
            assert await adapter.delete_keystore("key") is True
            assert await adapter.get_keystore("key") is None
            assert await adapter.delete_keystore("key") is False

    async def test_falsy_values_are_kept(self, adapter: StorageAdapter) -> None:
        """K4. `0`, `False`, `""`, `[]`, `{}`, `None` and `-0.0` are values like any other."""
        for value in FALSY:
            await adapter.set_keystore("key", value)
            assert values.identical(await adapter.get_keystore("key"), value)

    async def test_keys_are_kept_apart(self, adapter: StorageAdapter) -> None:
        """K5. Keys are compared exactly, letter case and dots included; deleting one leaves the others."""
        keys = ("a", "A", "a.b", "a.B", "a-b", "a_b", "aa")
        for key in keys:
            await adapter.set_keystore(key, key)
        await adapter.delete_keystore("A")
        assert [await adapter.get_keystore(key) for key in keys] == ["a", None, *keys[2:]]

    async def test_values_are_not_shared(self, adapter: StorageAdapter) -> None:
        """K6. Nothing is shared: changing a value after it was given, or handed out, changes nothing stored."""
        given = {"list": [1]}
        await adapter.set_keystore("key", given)
        given["list"].append(2)
        (await adapter.get_keystore("key"))["list"].append(3)
        assert await adapter.get_keystore("key") == {"list": [1]}

    @needs("sharing")
    async def test_other_adapters_see_it_at_once(self, open_adapter: OpenAdapter) -> None:
        """K7. What one adapter sets or deletes, every other adapter of the store sees at once."""
        one, two = await open_adapter(), await open_adapter()
        for n in range(3):
            await one.set_keystore("key", n)
            assert await two.get_keystore("key") == n
            await two.delete_keystore("key")
            assert await one.get_keystore("key") is None
