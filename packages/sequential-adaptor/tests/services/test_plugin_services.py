"""Services that installed plug-ins offer (registry type ``service``)."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from sequential_adaptor import registry
from sequential_adaptor.errors import ServiceError
from sequential_adaptor.registry.entry_points import EntryPoints
from sequential_adaptor.services import ServiceClient


class Counter:
    made = 0
    closed = 0

    def __init__(self) -> None:
        type(self).made += 1

    async def init(self) -> None:
        await asyncio.sleep(0)

    def count(self) -> int:
        return type(self).made

    async def close(self) -> None:
        type(self).closed += 1


@pytest.fixture
def plugins(monkeypatch: pytest.MonkeyPatch) -> registry.Registry:
    """A registry of this test's own over what is installed."""
    own = registry.Registry(EntryPoints())
    monkeypatch.setattr(registry, "has", own.has)
    monkeypatch.setattr(registry, "create", own.create)
    Counter.made = Counter.closed = 0
    own.register("service", "counter", Counter)
    return own


@pytest.mark.usefixtures("plugins")
async def test_a_plugins_service_is_made_once_at_its_first_call_and_closed_with_the_client() -> None:
    async with ServiceClient() as client:
        assert Counter.made == 0
        answers = await asyncio.gather(*(client.call("counter", "count") for _ in range(5)))
        assert answers == [1] * 5
    assert (Counter.made, Counter.closed) == (1, 1)


@pytest.mark.usefixtures("plugins")
async def test_what_is_registered_with_the_client_comes_first() -> None:
    async with ServiceClient() as client:
        client.register_service("counter", lambda method, params: "mine")
        assert await client.call("counter", "count") == "mine"
    assert Counter.made == 0


async def test_a_plugin_that_does_not_work_is_an_error_that_says_so(plugins: registry.Registry) -> None:
    def broken() -> Any:
        raise RuntimeError("no licence")

    plugins.register("service", "broken", broken)
    async with ServiceClient() as client:
        with pytest.raises(ServiceError, match=r"broken\.m: no licence"):
            await client.call("broken", "m")
