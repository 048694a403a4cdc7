"""What installed distributions offer: found without an import, loaded on demand, broken ones out of everybody's way."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from sequential_adaptor.errors import AlreadyRegistered, PluginError, UnknownName
from sequential_adaptor.registry import Registry

GROUPS = {
    "adapter": "backends",
    "runner": "runners",
    "service": "services",
    "command": "commands",
    "loader": "loaders",
}


@pytest.mark.parametrize(("type", "group"), GROUPS.items())
async def test_each_type_has_its_group(registry: Registry, install: Any, type: str, group: str) -> None:
    source = "class Thing:\n    pass\n"
    install("toy", f"[sequential_adaptor.{group}]\nthing = toy_thing:Thing\n", {"toy_thing": source})
    assert registry.has(type, "thing")
    assert type_name(await registry.create(type, "thing")) == "toy_thing.Thing"


def type_name(made: object) -> str:
    return f"{made.__class__.__module__}.{made.__class__.__qualname__}"


def test_listing_imports_nothing_and_get_imports(registry: Registry, install: Any) -> None:
    install("toy", "[sequential_adaptor.loaders]\nthing = toy_lazy:make\n", {"toy_lazy": "def make(): ...\n"})
    assert registry.list("loader") == ["thing"]
    assert registry.has("loader", "thing")
    assert list(registry.registries["loader"]) == ["thing"]
    assert "toy_lazy" not in sys.modules
    registry.get("loader", "thing")
    assert "toy_lazy" in sys.modules


BROKEN = {
    "import": ("toy_broken:make", "import no_such_module_at_all\n", "No module named 'no_such_module_at_all'"),
    "syntax": ("toy_broken:make", "def make(:\n", "SyntaxError"),
    "raises": ("toy_broken:make", "raise RuntimeError('on import')\n", "RuntimeError: on import"),
    "no name": ("toy_broken:made", "def make(): ...\n", "AttributeError"),
    "no module": ("toy_missing:make", "", "No module named 'toy_missing'"),
    "not callable": ("toy_broken:make", "make = 3\n", "is not callable: 3"),
    "no value": ("", "", "cannot be loaded"),
}


@pytest.mark.parametrize("case", BROKEN)
async def test_a_broken_one_shows_its_reason_when_asked_for_and_breaks_no_other(
    registry: Registry, install: Any, case: str
) -> None:
    value, source, reason = BROKEN[case]
    entry_points = f"[sequential_adaptor.loaders]\nbroken = {value}\nworks = toy_works:make\n"
    install("toy", entry_points, {"toy_broken": source, "toy_works": "def make(): return 'made'\n"})
    assert registry.list("loader") == ["broken", "works"]
    assert await registry.create("loader", "works") == "made"
    for _ in range(2):  # the second time, too
        with pytest.raises(PluginError, match="loader 'broken' of toy 1.0") as caught:
            await registry.create("loader", "broken")
        assert reason in str(caught.value)
    assert caught.value.__cause__ is not None or case == "not callable"


@pytest.mark.parametrize(
    "text", ["[sequential_adaptor.loaders]\nno equals sign\n", "[sequential_adaptor.loaders\nx = \xff"]
)
def test_unreadable_metadata_of_one_distribution_hides_no_other(registry: Registry, install: Any, text: str) -> None:
    install("works", "[sequential_adaptor.loaders]\nworks = toy_works:make\n")
    site: Path = install("bad", "")
    (site / "bad-1.0.dist-info" / "entry_points.txt").write_bytes(text.encode("latin-1"))
    assert "works" in registry.list("loader")


def test_metadata_that_cannot_be_read_is_named_when_a_name_is_not_found(registry: Registry, install: Any) -> None:
    site: Path = install("bad", "")
    (site / "bad-1.0.dist-info" / "entry_points.txt").write_bytes(b"[sequential_adaptor.loaders]\nx = \xff\n")
    with pytest.raises(UnknownName) as caught:
        registry.get("loader", "x")
    assert "UnicodeDecodeError" in "".join(caught.value.__notes__)


def test_two_distributions_with_one_name_are_both_named_when_it_is_asked_for(registry: Registry, install: Any) -> None:
    install("toy-one", "[sequential_adaptor.loaders]\nthing = toy_one:make\n", {"toy_one": "def make(): ...\n"})
    install("toy-two", "[sequential_adaptor.loaders]\nthing = toy_two:make\n", {"toy_two": "def make(): ...\n"})
    assert registry.list("loader") == ["thing"]
    with pytest.raises(PluginError) as caught:
        registry.get("loader", "thing")
    for part in ("toy-one 1.0 (toy_one:make)", "toy-two 1.0 (toy_two:make)", "replace=True"):
        assert part in str(caught.value)
    with pytest.raises(AlreadyRegistered):
        registry.register("loader", "thing", dict)
    registry.register("loader", "thing", dict, replace=True)
    assert registry.get("loader", "thing") is dict


def test_one_distribution_in_two_folders_of_sys_path_counts_once(registry: Registry, install: Any) -> None:
    for folder in ("second", "first"):
        source = f"def make(): return {folder!r}\n"
        install("toy", "[sequential_adaptor.loaders]\nthing = toy_twice:make\n", {"toy_twice": source}, folder=folder)
    assert registry.get("loader", "thing")() == "first"


def test_what_is_installed_later_is_found(registry: Registry, install: Any) -> None:
    install("early", "[sequential_adaptor.loaders]\nearly = toy_early:make\n")
    assert registry.list("loader") == ["early"]
    install("late", "[sequential_adaptor.loaders]\nlate = toy_late:make\n")
    assert registry.list("loader") == ["early", "late"]


def test_other_groups_and_other_programs_entry_points_are_left_alone(registry: Registry, install: Any) -> None:
    install("toy", "[sequential_adaptor.other]\nx = a:b\n[console_scripts]\ny = c:d\n")
    assert registry.list("loader") == []


def test_built_ins_come_through_the_same_door(registry: Registry) -> None:
    assert "folder" in registry.list("adapter")
    assert "fetch" in registry.list("runner")
    assert not registry._factories
