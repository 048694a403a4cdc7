"""Making a plugin: its options in the way it accepts them, ``init``, and closing what could not be made ready."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sequential_adaptor.errors import ConfigurationError, PluginError, UnknownName
from sequential_adaptor.registry import Registry
from sequential_adaptor.registry.entry_points import EntryPoints


class ByKeyword:
    def __init__(self, path: str = ".", depth: int = 1) -> None:
        self.given = {"path": path, "depth": depth}


class ByMapping:
    def __init__(self, config: Mapping[str, Any]) -> None:
        self.given = dict(config)


class ByAnnotatedMapping:
    def __init__(self, what_it_needs: dict[str, Any] | None = None, *, clock: Any = None) -> None:
        self.given = dict(what_it_needs or {})


class ByPosition:
    def __init__(self, given: Any, /) -> None:
        self.given = dict(given)


class ByAnything:
    def __init__(self, **options: Any) -> None:
        self.given = options


def function(path: str = ".", depth: int = 1) -> ByKeyword:
    return ByKeyword(path, depth)


async def async_function(path: str = ".", depth: int = 1) -> ByKeyword:
    await asyncio.sleep(0)
    return ByKeyword(path, depth)


FACTORIES = [ByKeyword, ByMapping, ByAnnotatedMapping, ByPosition, ByAnything, function, async_function]


@pytest.mark.parametrize("factory", FACTORIES)
async def test_a_factory_gets_its_options_in_the_way_it_accepts_them(registry: Registry, factory: Any) -> None:
    registry.register("service", "x", factory)
    options = {"path": "", "depth": 0}
    for made in (
        await registry.create("service", "x", options),
        await registry.create("service", "x", **options),
        await registry.create("service", "x", {"path": "", "depth": 7}, depth=0),
    ):
        assert made.given == options


@pytest.mark.parametrize("factory", FACTORIES)
async def test_no_options_are_no_options(registry: Registry, factory: Any) -> None:
    registry.register("service", "x", factory)
    expected = {"path": ".", "depth": 1} if factory in (ByKeyword, function, async_function) else {}
    for made in (await registry.create("service", "x"), await registry.create("service", "x", {})):
        assert made.given == expected


@pytest.mark.parametrize("name", ["config", "options", "settings"])
async def test_a_parameter_of_a_telling_name_takes_the_mapping_and_its_default_stands_without_one(
    registry: Registry, name: str
) -> None:
    made: dict[str, Any] = {}
    exec(f"def needs({name}): return [{name}]\ndef may({name}='default'): return [{name}]", made)
    registry.register("service", "needs", made["needs"])
    registry.register("service", "may", made["may"])
    for plugin in ("needs", "may"):
        assert await registry.create("service", plugin, a=1) == [{"a": 1}]
    assert await registry.create("service", "needs") == [{}]
    assert await registry.create("service", "may") == ["default"]


@given(st.dictionaries(st.sampled_from(["path", "depth", "config", "type", "name", "self"]), st.integers()))
def test_any_option_names_reach_a_mapping_unchanged(options: dict[str, int]) -> None:
    registry = Registry(EntryPoints())
    registry.register("service", "x", ByPosition)
    assert asyncio.run(registry.create("service", "x", options)).given == options


async def test_a_mapping_parameter_can_be_named_too(registry: Registry) -> None:
    registry.register("service", "x", ByMapping)
    assert (await registry.create("service", "x", config={"a": None})).given == {"a": None}


async def test_an_option_that_there_is_not_is_refused_with_those_there_are(registry: Registry) -> None:
    registry.register("service", "x", ByKeyword)
    with pytest.raises(ConfigurationError) as caught:
        await registry.create("service", "x", pth=".")
    assert str(caught.value) == "service 'x' has no option 'pth' (options: path, depth). Did you mean 'path'?"


async def test_an_option_that_is_needed_is_named(registry: Registry) -> None:
    def needs(dsn: str, size: int = 1) -> None: ...

    registry.register("service", "x", needs)
    with pytest.raises(ConfigurationError, match=r"service 'x' needs the option 'dsn' \(options: dsn, size\)"):
        await registry.create("service", "x", size=0)


async def test_a_type_error_inside_a_factory_is_its_own(registry: Registry) -> None:
    def fails() -> None:
        raise TypeError("its own")

    registry.register("service", "x", fails)
    with pytest.raises(TypeError, match="its own"):
        await registry.create("service", "x")


@pytest.mark.parametrize("config", ["path", ["path"], 3])
async def test_a_config_that_is_no_mapping_is_refused(registry: Registry, config: Any) -> None:
    registry.register("service", "x", ByKeyword)
    with pytest.raises(ConfigurationError, match="a config is a mapping"):
        await registry.create("service", "x", config)


async def test_a_factory_that_makes_nothing_is_reported(registry: Registry) -> None:
    registry.register("service", "x", lambda: None)
    with pytest.raises(PluginError, match="the factory of service 'x' returned None"):
        await registry.create("service", "x")


@pytest.mark.parametrize("made", [0, False, "", [], {}])
async def test_falsy_things_are_things(registry: Registry, made: Any) -> None:
    registry.register("service", "x", lambda: made)
    assert await registry.create("service", "x") is made


async def test_unknown_names_and_types_are_errors(registry: Registry) -> None:
    with pytest.raises(UnknownName):
        await registry.create("service", "x")


class Life:
    """Writes down what happens to it."""

    def __init__(self, init: BaseException | None = None, close: BaseException | None = None) -> None:
        self.events: list[str] = []
        self._errors = {"init": init, "close": close}

    async def init(self) -> None:
        self._happen("init")

    async def close(self) -> None:
        self._happen("close")

    def _happen(self, event: str) -> None:
        self.events.append(event)
        error = self._errors[event]
        if error is not None:
            raise error


class Disposable(Life):
    close = None  # type: ignore[assignment]  # the other way of closing, in place of it

    def dispose(self) -> None:
        self._happen("close")


class Synchronous(Life):
    def init(self) -> None:  # type: ignore[override]  # synchronous on purpose
        self._happen("init")


@pytest.mark.parametrize("life", [Life, Disposable, Synchronous])
async def test_what_is_made_is_made_ready_once_and_left_open(registry: Registry, life: type[Life]) -> None:
    registry.register("service", "x", life)
    assert (await registry.create("service", "x")).events == ["init"]


@pytest.mark.parametrize("life", [Life, Disposable, Synchronous])
@pytest.mark.parametrize("error", [OSError("disk"), asyncio.CancelledError(), KeyboardInterrupt()])
async def test_what_cannot_be_made_ready_is_closed_and_the_error_goes_up(
    registry: Registry, life: type[Life], error: BaseException
) -> None:
    error.__cause__ = ValueError("why")
    made = life(init=error)
    registry.register("service", "x", lambda: made)
    with pytest.raises(type(error)) as caught:
        await registry.create("service", "x")
    assert caught.value is error
    assert isinstance(caught.value.__cause__, ValueError)
    assert made.events == ["init", "close"]


async def test_an_error_on_closing_does_not_hide_the_one_before_it(registry: Registry) -> None:
    made = Life(init=OSError("first"), close=RuntimeError("second"))
    registry.register("service", "x", lambda: made)
    with pytest.raises(OSError, match="first") as caught:
        await registry.create("service", "x")
    assert "RuntimeError('second')" in "".join(caught.value.__notes__)
