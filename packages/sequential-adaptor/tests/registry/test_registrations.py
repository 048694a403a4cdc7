"""Names and factories: register, get, has, list, registries."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from typing import Any

import pytest

from sequential_adaptor.errors import AlreadyRegistered, InvalidId, PluginError, UnknownName, UnknownType
from sequential_adaptor.registry import TYPES, Registry
from sequential_adaptor.registry.entry_points import EntryPoints


class Thing:
    pass


class Other:
    pass


@pytest.mark.parametrize("type", TYPES)
def test_what_is_registered_is_found_under_its_type_and_name_only(registry: Registry, type: str) -> None:
    registry.register(type, "thing", Thing)
    assert registry.get(type, "thing") is Thing
    assert [each for each in TYPES if registry.has(each, "thing")] == [type]
    assert "thing" in registry.list(type)


def test_list_is_sorted(registry: Registry) -> None:
    for name in ("b", "c", "a"):
        registry.register("loader", name, Thing)
    assert registry.list("loader") == ["a", "b", "c"]


def test_the_same_factory_again_is_harmless(registry: Registry) -> None:
    registry.register("service", "thing", Thing)
    registry.register("service", "thing", Thing)
    registry.register("service", "bound", Thing().__repr__)
    assert registry.get("service", "thing") is Thing


def test_another_factory_of_the_same_name_is_an_error_unless_replace_says_so(registry: Registry) -> None:
    registry.register("service", "thing", Thing)
    with pytest.raises(AlreadyRegistered, match=r"service 'thing' is registered already.*replace=True"):
        registry.register("service", "thing", Other)
    assert registry.get("service", "thing") is Thing
    registry.register("service", "thing", Other, replace=True)
    assert registry.get("service", "thing") is Other


def test_a_name_that_a_distribution_has_is_taken(registry: Registry, install: Any) -> None:
    install("toy", "[sequential_adaptor.backends]\nthing = toy_taken:Thing\n", {"toy_taken": "class Thing: ...\n"})
    with pytest.raises(AlreadyRegistered):
        registry.register("adapter", "thing", Thing)
    registry.register("adapter", "thing", registry.get("adapter", "thing"))
    registry.register("adapter", "thing", Thing, replace=True)
    assert registry.get("adapter", "thing") is Thing


def test_an_unknown_type_is_an_error_that_names_the_five(registry: Registry) -> None:
    for call in (registry.list, lambda type: registry.has(type, "x"), lambda type: registry.get(type, "x")):
        with pytest.raises(UnknownType, match="adapter, runner, service, command, loader"):
            call("adapters")
    with pytest.raises(UnknownType):
        registry.register("adapters", "x", Thing)


def test_an_unknown_name_names_what_there_is_and_the_nearest(registry: Registry) -> None:
    registry.register("loader", "yaml", Thing)
    registry.register("loader", "toml", Thing)
    with pytest.raises(UnknownName, match=r"no loader 'yml' \(installed: toml, yaml\)\. Did you mean 'yaml'\?"):
        registry.get("loader", "yml")


class NothingInstalled(EntryPoints):
    def names(self, type: str) -> Iterable[str]:
        return ()

    def find(self, type: str, name: str) -> None:
        return None


def test_a_known_backend_that_is_missing_names_the_line_that_installs_it() -> None:
    with pytest.raises(UnknownName) as caught:
        Registry(NothingInstalled()).get("adapter", "supabase")
    assert 'pip install "sequential-adaptor[supabase]"' in str(caught.value)


@pytest.mark.parametrize("factory", [None, 0, "module:name", object()])
def test_a_factory_that_is_not_callable_is_refused(registry: Registry, factory: Any) -> None:
    with pytest.raises(PluginError, match="the factory of service 'x' is not callable"):
        registry.register("service", "x", factory)
    assert not registry.has("service", "x")


@pytest.mark.parametrize("name", ["", "../x", "a b", "x:y", "a/b", "ü", None, 3, "x" * 65])
def test_a_name_that_could_be_a_path_or_a_url_is_refused(registry: Registry, name: Any) -> None:
    with pytest.raises(InvalidId):
        registry.register("service", name, Thing)


def test_registries_are_live_and_read_only(registry: Registry) -> None:
    view = registry.registries["loader"]
    assert list(registry.registries) == list(TYPES)
    assert dict(view) == {}
    registry.register("loader", "thing", Thing)
    assert dict(view) == {"thing": Thing}
    assert (len(view), "thing" in view, "x" in view, view.get("x")) == (1, True, False, None)
    for change in (lambda: view.__setitem__("x", Thing), lambda: registry.registries.__setitem__("x", view)):
        with pytest.raises(AttributeError):
            change()


def test_of_many_threads_that_want_one_name_exactly_one_gets_it(registry: Registry) -> None:
    factories = [lambda n=n: n for n in range(16)]
    start, refused = threading.Barrier(len(factories)), []

    def take(factory: Any) -> None:
        start.wait()
        try:
            registry.register("service", "wanted", factory)
        except AlreadyRegistered:
            refused.append(factory)

    threads = [threading.Thread(target=take, args=(factory,)) for factory in factories]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(refused) == len(factories) - 1
    assert registry.get("service", "wanted") not in refused


def test_the_public_functions_share_one_registry(public: Any) -> None:
    public.register_adapter("mine", Thing)
    public.register_runner("mine", Other)
    assert "mine" in public.get_registered_adapters() == public.list("adapter")
    assert "mine" in public.get_registered_runners() == public.list("runner")
    assert public.registries["adapter"]["mine"] is public.get("adapter", "mine") is Thing
    public.register_adapter("mine", Other, replace=True)
    assert public.get("adapter", "mine") is Other
