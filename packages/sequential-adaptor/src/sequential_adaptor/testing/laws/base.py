"""What every section of laws stands on: the one fixture that a backend gives, and those that are made from it."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any, ClassVar, Final, TypeAlias, TypeVar

import pytest
import pytest_asyncio

from sequential_adaptor.storage import StorageAdapter
from sequential_adaptor.testing.notes import note_law, note_not_offered
from sequential_adaptor.testing.storage import Storage

NewStore: TypeAlias = Callable[[], Storage]
OpenAdapter: TypeAlias = Callable[[], Awaitable[StorageAdapter]]
Law = TypeVar("Law", bound=Callable[..., Any])

CAPABILITIES: Final = ("atomic", "sharing", "reopening", "processes")
"""What a backend may not offer: commits and claims that are right for many adapters; a store that is open twice at a
time;
a store that is there again when all adapters were closed; a store that several processes open."""

_NUMBER = re.compile(r"([A-Z]\d+)\. ")


def needs(*capabilities: str) -> Callable[[Law], Law]:
    """Mark a law that only a backend with these capabilities can keep."""

    def mark(law: Law) -> Law:
        law.__dict__["needs"] = capabilities
        return law

    return mark


def where_offered(method: str) -> Callable[[Law], Law]:
    """Mark a law about a method of the base class that an adapter may do without."""

    def mark(law: Law) -> Law:
        law.__dict__["method"] = method
        return law

    return mark


def law_number(law: Callable[..., Any]) -> str | None:
    """The number that a law cites in its docstring, as in ``R1``; ``None`` for a test that is no law."""
    found = _NUMBER.match(law.__doc__ or "")
    return None if found is None else found.group(1)


def law_sentence(law: Callable[..., Any]) -> str:
    """The law itself, as its test says it: its docstring on one line."""
    return " ".join((law.__doc__ or "").split())


class Laws:
    """Base of the sections. A backend's test class inherits from ``StorageLaws``, which has them all.

    ``differences`` declares what the backend does not offer, each with the reason: a capability (``sharing``,
    ``reopening``, ``processes``; ``atomic`` is read from the adapter itself), or the number of a single law. Those laws
    are skipped by name, and the report lists them.
    """

    pytestmark: ClassVar[list[pytest.MarkDecorator]] = [pytest.mark.asyncio]
    differences: ClassVar[Mapping[str, str]] = {}

    @pytest.fixture
    def new_store(self) -> NewStore:
        """A function that makes a new, empty store each time it is called, and returns the :class:`Storage` of it."""
        raise NotImplementedError(
            f"give {type(self).__name__} its fixture:\n"
            "    @pytest.fixture\n"
            "    def new_store(self, tmp_path):\n"
            "        return lambda: Storage(MyAdapter, path=tmp_path / new_id())"
        )

    @pytest.fixture
    def storage(self, new_store: NewStore) -> Storage:
        """The store of this test."""
        return new_store()

    @pytest_asyncio.fixture(autouse=True)
    async def _declared(self, request: pytest.FixtureRequest, storage: Storage) -> None:
        number = law_number(request.function)
        if number is None:
            return
        note_law(request.node, number)
        reason = self._reason(request.function, number, await storage.make())
        if reason is not None:
            note_not_offered(request.node, number, reason)
            pytest.skip(f"law {number} is not offered: {reason}")

    def _reason(self, law: Callable[..., Any], number: str, adapter: StorageAdapter) -> str | None:
        if number in self.differences:
            return self.differences[number]
        for capability in getattr(law, "needs", ()):
            if capability in self.differences:
                return f"{capability}: {self.differences[capability]}"
            if capability == "atomic" and not adapter.atomic:
                return "atomic: the adapter says atomic = False, so one worker at a time may use a store"
        method = getattr(law, "method", None)
        if method is not None and getattr(type(adapter), method) is getattr(StorageAdapter, method):
            return f"{method}: the adapter does without"
        return None

    @pytest_asyncio.fixture
    async def open_adapter(self, storage: Storage) -> AsyncIterator[OpenAdapter]:
        """A function that opens the store of this test once more; what it opened is closed when the test ends."""
        opened: list[StorageAdapter] = []

        async def open_adapter() -> StorageAdapter:
            opened.append(await storage.open())
            return opened[-1]

        yield open_adapter
        for adapter in opened:
            await adapter.close()

    @pytest_asyncio.fixture
    async def adapter(self, open_adapter: OpenAdapter) -> StorageAdapter:
        """An open adapter on the store of this test."""
        return await open_adapter()
