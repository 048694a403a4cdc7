"""The backend is found by its name when it is installed."""

from __future__ import annotations

from importlib.metadata import entry_points

from sequential_adaptor import create_adapter
from sequential_adaptor.backends.template import TemplateAdapter


def test_the_entry_point_is_the_adapter() -> None:
    """The distribution registers the adapter under its name."""
    (found,) = entry_points(group="sequential_adaptor.backends", name="template")
    assert found.load() is TemplateAdapter


async def test_it_is_created_by_name() -> None:
    """`create_adapter` finds the backend by its name or a storage URL, and hands it its configuration."""
    async with create_adapter("template", name="by-name") as adapter:
        assert isinstance(adapter, TemplateAdapter)
        await adapter.set_keystore("key", 1)
    async with create_adapter("template:by-name") as again:
        assert await again.get_keystore("key") == 1
