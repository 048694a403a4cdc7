"""Section F: every version of a task function is kept, under the hash of its text."""

from __future__ import annotations

import contextlib
import hashlib

import pytest

from sequential_adaptor import values
from sequential_adaptor.errors import InvalidValue, SequentialError
from sequential_adaptor.records import TaskFunction
from sequential_adaptor.storage import StorageAdapter
from sequential_adaptor.testing.laws.base import Laws
from sequential_adaptor.testing.laws.samples import FALSY, PAST


class FunctionLaws(Laws):
    """Section F."""

    async def test_a_version_is_the_hash_of_the_text(self, adapter: StorageAdapter) -> None:
        """F1. A stored function is given back with the sha256 of its text as version, and with the time it was
        stored."""
        before = await adapter.now()
        stored = await adapter.store_task_function("digest", "async def main(): ...", "flow", {"by": "me"})
        assert stored.version == hashlib.sha256(b"async def main(): ...").hexdigest()
        assert (stored.identifier, stored.runner, stored.metadata) == ("digest", "flow", {"by": "me"})
        assert stored.created_at is not None
        assert before <= stored.created_at <= await adapter.now()
        assert await adapter.get_task_function("digest") == stored
        assert await adapter.get_task_function("digest", stored.version) == stored

    async def test_source_is_kept_to_the_byte(self, adapter: StorageAdapter) -> None:
        """F2. Source text comes back unchanged: line ends, spaces at the end, tabs, no last newline, any Unicode,
        empty."""
        texts = [
            "",
            " ",
            "\n",
            "a\r\nb\rc\n",
            "a \t\n\n\n",
            "x = 'é𝄞\u2028'",
            "\ufeffx",
            "# e\u0301",
            "\x0c",
            "x" * 200_000,
        ]
        for text in texts:
            stored = await adapter.store_task_function("digest", text)
            assert stored.code == text
            assert stored.version == hashlib.sha256(text.encode("utf-8")).hexdigest()
        for text in texts:
            found = await adapter.get_task_function("digest", hashlib.sha256(text.encode("utf-8")).hexdigest())
            assert found is not None
            assert found.code == text

    async def test_the_version_stored_last_is_current(self, adapter: StorageAdapter) -> None:
        """F3. Without a version one gets the one that was stored last; the others are there under theirs."""
        versions = [(await adapter.store_task_function("digest", f"v{n}")).version for n in range(4)]
        current = await adapter.get_task_function("digest")
        assert current is not None
        assert current.code == "v3"
        for n, version in enumerate(versions):
            found = await adapter.get_task_function("digest", version)
            assert found is not None
            assert found.code == f"v{n}"

    async def test_the_same_text_is_one_version(self, adapter: StorageAdapter) -> None:
        """F4. The same text stored again is the same version, and the current one from then on."""
        first = await adapter.store_task_function("digest", "old")
        await adapter.store_task_function("digest", "new")
        again = await adapter.store_task_function("digest", "old")
        assert again.version == first.version
        current = await adapter.get_task_function("digest")
        assert current is not None
        assert current.code == "old"

    async def test_unknown_functions_give_none(self, adapter: StorageAdapter) -> None:
        """F5. An unknown identifier or version gives `None`; one function's version is not another's."""
        version = (await adapter.store_task_function("digest", "1")).version
        assert await adapter.get_task_function("other") is None
        assert await adapter.get_task_function("other", version) is None
        assert await adapter.get_task_function("digest", "0" * 64) is None
        assert await adapter.get_task_function("digest", version[:12]) is None

    async def test_a_version_is_never_a_path(self, adapter: StorageAdapter) -> None:
        """F6. What is no version finds nothing, or is refused: it reaches no path and no SQL."""
        await adapter.store_task_function("digest", "1")
        for version in ("", "..", "../digest", "%", "*", "' OR 1=1 --", "a\u0000", "\ud800", "x" * 5000):
            with contextlib.suppress(SequentialError):
                assert await adapter.get_task_function("digest", version) is None

    async def test_records_and_mappings_count_as_functions(self, adapter: StorageAdapter) -> None:
        """F7. `store_task_function` takes a record or a mapping as well, and keeps a time that is given."""
        given = TaskFunction(identifier="digest", code="1", runner="flow", metadata=[1], created_at=PAST)
        stored = await adapter.store_task_function(given)
        assert stored == given.replace(version=hashlib.sha256(b"1").hexdigest())
        assert await adapter.store_task_function(stored) == stored
        other = await adapter.store_task_function({"identifier": "other", "code": "2"})
        assert await adapter.get_task_function("other") == other

    async def test_modules_are_part_of_a_version(self, adapter: StorageAdapter) -> None:
        """F8. Modules stored with a function come back exactly, and change its version."""
        bare = await adapter.store_task_function("digest", "import a")
        modules = {"b.c": "y = 2\r\n", "a": "x = 1"}
        stored = await adapter.store_task_function({"identifier": "digest", "code": "import a", "modules": modules})
        found = await adapter.get_task_function("digest", stored.version)
        assert stored.version != bare.version
        assert found is not None
        assert values.identical(found.modules, modules)
        other = await adapter.store_task_function({**_without_version(stored), "modules": {**modules, "a": "x = 2"}})
        assert other.version not in (stored.version, bare.version)

    async def test_metadata_is_kept_exactly(self, adapter: StorageAdapter) -> None:
        """F9. Metadata is a value like any other, the falsy ones too."""
        for place, metadata in enumerate((*FALSY, {"z": 1.0, "a": [10**30]})):
            stored = await adapter.store_task_function(f"f{place}", "1", "fetch", metadata)
            found = await adapter.get_task_function(f"f{place}")
            assert found is not None
            assert values.identical([stored.metadata, found.metadata], [metadata, metadata])

    async def test_a_wrong_version_is_refused(self, adapter: StorageAdapter) -> None:
        """F10. A record whose version is not the hash of its text raises `InvalidValue`, and is not stored."""
        with pytest.raises(InvalidValue, match="version"):
            await adapter.store_task_function(TaskFunction(identifier="digest", code="1", version="0" * 64))
        assert await adapter.get_task_function("digest") is None

    async def test_functions_are_kept_apart(self, adapter: StorageAdapter) -> None:
        """F11. Identifiers are compared exactly, dots and letter case included; each has versions of its own."""
        names = ("a", "A", "a.b", "a.B", "a-b", "a_b", "a.b.c")
        for name in names:
            await adapter.store_task_function(name, "same text", "fetch", name)
        for name in names:
            found = await adapter.get_task_function(name)
            assert found is not None
            assert (found.identifier, found.metadata) == (name, name)

    async def test_functions_are_not_shared(self, adapter: StorageAdapter) -> None:
        """F12. Nothing is shared: changing metadata after it was given, or handed out, changes nothing stored."""
        given = {"tags": [1]}
        stored = await adapter.store_task_function("digest", "1", "fetch", given)
        given["tags"].append(2)
        stored.metadata["tags"].append(3)
        for _ in range(2):
            found = await adapter.get_task_function("digest")
            assert found is not None
            assert found.metadata == {"tags": [1]}
            found.metadata["tags"].append(4)


def _without_version(function: TaskFunction) -> dict[str, object]:
    return {"identifier": function.identifier, "code": function.code}
